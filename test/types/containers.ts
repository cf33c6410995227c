import type { Cluster, Redis } from "ioredis";
import type * as api from "../../src/index.ts";
import {
  type ClusterDatabase,
  type Container,
  type Database,
  type GroupMessage,
  type GroupStream,
  type IdLike,
  type InputOf,
  json,
  type Message,
  type ParsedId,
  type PendingEntry,
  type Range,
  type SeriesStream,
  type Stream,
  type TextRecord,
} from "../../src/index.ts";
import type { Assignable, Equal, Expect } from "./equal.ts";

interface Order {
  readonly sku: string;
  readonly total: number;
}

type Ids = [
  Expect<Assignable<Message<unknown>, IdLike>>,
  Expect<Assignable<GroupMessage<Order>, IdLike>>,
  Expect<Assignable<PendingEntry, IdLike>>,
  Expect<Assignable<ParsedId, IdLike>>,
  Expect<Assignable<Date | string | number | bigint, IdLike>>,
  Expect<Equal<Assignable<[Date, number], IdLike>, false>>,
  Expect<Equal<Assignable<null, IdLike>, false>>,
  Expect<Equal<Assignable<undefined, IdLike>, false>>,
  Expect<Equal<Assignable<boolean, IdLike>, false>>,
];

type Kinds = [
  // What is added where nothing is said of it: the same as is read, but for text.
  Expect<Equal<[InputOf<Order>, InputOf<TextRecord>], [Order, api.TextInput]>>,
  Expect<Equal<[InputOf<unknown>, InputOf<{ a: string }>], [unknown, { a: string }]>>,
  Expect<Equal<[Stream, Stream<Order>], [Stream<TextRecord, api.TextInput>, Stream<Order, Order>]>>,
  Expect<Assignable<Stream<Order>, Stream<unknown, never>>>,
  Expect<Assignable<Stream<{ n: number }, { n: string }>, Stream<{ n: number }, never>>>,
  Expect<Assignable<api.ConsumerGroup<"a" | "b", Order>, api.ConsumerGroup<string, Order>>>,
  Expect<Assignable<GroupStream<Order, Order>, Stream<Order, Order>>>,
  Expect<Assignable<SeriesStream<Order, Order>, GroupStream<Order, Order>>>,
  Expect<Assignable<Stream, Container>>,
  Expect<Assignable<GroupMessage<Order>, Message<Order>>>,
  Expect<Assignable<Range<Message<Order>>, AsyncIterable<Message<Order>> & PromiseLike<Message<Order>[]>>>,
  Expect<Assignable<Database, Redis>>,
  Expect<Assignable<ClusterDatabase, Cluster>>,
  Expect<Assignable<Database | ClusterDatabase, api.Factories>>,
  Expect<Assignable<Redis, api.RedisLike>>,
  Expect<Assignable<Cluster, api.RedisLike>>,
  Expect<Equal<Assignable<Stream<Order, Order>, Stream<{ other: string }, { other: string }>>, false>>,
];

/** Compiled, never run. */
export async function containers(db: Database, cluster: ClusterDatabase): Promise<[Ids, Kinds] | undefined> {
  const stream = db.Stream("a");

  // Where a stream of orders is asked for, any kind of one will do.
  const total = async (orders: Stream<Order>): Promise<number> => {
    let sum = 0;
    for await (const { data } of orders) sum += data.total;
    return sum;
  };
  const cg = db.consumerGroup("cg", ["orders"], {
    codec: (await import("../../src/index.ts")).json<Order>(),
  });
  await total(cg.orders);
  await total(db.Stream<Order>("orders", { codec: json() }));
  // @ts-expect-error -- a stream of text is no stream of orders
  await total(stream);

  // add: an id, or null with noMkStream only.
  const id = await stream.add({ a: 1 });
  const maybe = await stream.add({ a: 1 }, { noMkStream: true });
  const sure = await stream.add({ a: 1 }, { noMkStream: false, id: new Date() });
  const ids = await stream.addMany([{ a: 1 }]);
  type _Add = Expect<
    Equal<[typeof id, typeof maybe, typeof sure, typeof ids], [string, string | null, string, string[]]>
  >;
  // @ts-expect-error -- misspelt
  await stream.add({ a: 1 }, { maxLen: 5 });
  // @ts-expect-error -- no tuples
  await stream.get([new Date(), 0]);

  // Reading.
  const range = stream.range(new Date(), undefined, 3).reverse();
  type _Range = Expect<Equal<typeof range, Range<Message<TextRecord>>>>;
  const all = await range;
  type _All = Expect<Equal<typeof all, Message<TextRecord>[]>>;
  for await (const page of range.pages()) page.at(0)?.timestamp.getTime();
  const one = await stream.first();
  type _One = Expect<Equal<typeof one, Message<TextRecord> | null>>;
  // @ts-expect-error -- readonly
  one!.id = "1-0";
  // @ts-expect-error -- readonly
  one!.headers.a = "b";
  await stream.delete(all[0]!, "1-0", new Date(), 5, 5n, { timestamp: new Date() });

  // Infos by what was asked for.
  const info = await stream.info();
  const full = await stream.info({ full: true });
  type _Groups = Expect<Equal<[typeof info.groups, typeof full.groups], [number, readonly api.FullGroup[]]>>;
  const [group] = await stream.groupsInfo();
  type _Lag = Expect<Equal<NonNullable<typeof group>["lag"], number | null>>;
  // @ts-expect-error -- an ended set of limits
  await stream.trim({ maxLength: 5 });
  await stream.trim({ olderThan: { days: 1, hours: 2 }, limit: 5 });
  // @ts-expect-error
  await stream.trim({ olderThan: { day: 1 } });

  // Group streams.
  const [entry] = await cg.orders.pending({ idle: { minutes: 1 }, consumer: "c" });
  await cg.orders.claim([entry!, "1-0"], { minIdle: 5 });
  const created = await cg.create();
  type _Created = Expect<Equal<typeof created, Record<"orders", boolean>>>;
  const stats = await cg.stats();
  type _Stats = Expect<Equal<typeof stats.streams.orders.lag, number | null>>;

  // A cluster has the same factories, with the same types.
  type _Cluster = Expect<Equal<typeof cluster.consumerGroup, typeof db.consumerGroup>>;
  cluster.consumerGroup("cg", ["stream-a"]).streamA.pending();
  cluster.timeSeries("ts", ["s1"]).s1.buckets({ every: 1, value: "a" });
  cluster.Stream("a").add({ a: 1 });
  return undefined;
}
