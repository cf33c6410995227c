import type { Redis } from "ioredis";
import * as v from "valibot";
import { z } from "zod";
import {
  bytes,
  type Codec,
  ConsumerGroup,
  type Database,
  type GroupMessage,
  json,
  type Message,
  type Pair,
  pairs,
  Stream,
  structured,
  type TextInput,
  type TextRecord,
  TimeSeries,
} from "../../src/index.ts";
import type { Equal, Expect } from "./equal.ts";

/** What a container reads. */
type DataOf<S extends { get(id: string): Promise<unknown> }> =
  Awaited<ReturnType<S["get"]>> extends Message<infer T> | null ? T : never;
/** What a container takes. */
type InputOf<S extends { add(data: never): unknown }> = Parameters<S["add"]>[0];

interface Order {
  readonly sku: string;
  readonly total: number;
}

/** Compiled, never run. */
export async function payloads(db: Database, redis: Redis): Promise<void> {
  // Text by default.
  const plain = db.Stream("a");
  type _Plain = Expect<Equal<typeof plain, Stream<TextRecord, TextInput>>>;
  type _Text = Expect<Equal<DataOf<typeof plain>, Record<string, string>>>;
  await plain.add({ text: "x", number: 1, big: 1n, yes: true });
  // @ts-expect-error
  await plain.add({ no: null });
  // @ts-expect-error
  await plain.add({ no: undefined });
  // @ts-expect-error
  await plain.add({ no: { nested: 1 } });
  // @ts-expect-error
  await plain.add({ no: [1] });
  // @ts-expect-error
  await plain.add({ no: new Date() });
  // @ts-expect-error
  await plain.add("text");
  const first = (await plain.range())[0];
  type _First = Expect<Equal<typeof first, Message<TextRecord> | undefined>>;

  // A schema types both directions: zod, with a transform.
  const Reading = z.object({ temp: z.string().transform(Number), place: z.string().optional() });
  const read = db.Stream("a", { schema: Reading });
  type _Read = Expect<Equal<DataOf<typeof read>, { temp: number; place?: string | undefined }>>;
  type _Input = Expect<Equal<InputOf<typeof read>, { temp: string; place?: string | undefined }>>;
  for await (const { data } of read) data.temp.toFixed();
  await read.add({ temp: "7.1" });
  // @ts-expect-error -- a schema's input is what is added
  await read.add({ temp: 7.1 });
  // @ts-expect-error
  await read.add({ place: "x" });
  await read.addMany([{ temp: "1" }], { id: ({ temp }) => Number(temp) });
  // @ts-expect-error
  await read.addMany([{ temp: 1 }]);

  // The same with valibot, beside a codec.
  const Sale = v.object({ sku: v.string(), total: v.pipe(v.number(), v.minValue(0)) });
  const sales = db.Stream("a", { codec: json(), schema: Sale });
  type _Sale = Expect<Equal<DataOf<typeof sales>, { sku: string; total: number }>>;
  await sales.add({ sku: "a", total: 7 });
  // @ts-expect-error
  await sales.add({ sku: "a", total: "7" });

  // Codecs.
  const orders = db.Stream("a", { codec: json<Order>() });
  type _Orders = Expect<Equal<typeof orders, Stream<Order, Order>>>;
  await orders.add({ sku: "a", total: 7 });
  // @ts-expect-error
  await orders.add({ sku: "a" });
  type _Bytes = Expect<Equal<DataOf<typeof raw>, Record<string, Buffer>>>;
  const raw = db.Stream("a", { codec: bytes });
  await raw.add({ a: Buffer.from("x"), b: new Uint8Array(1), c: "text" });
  // @ts-expect-error
  await raw.add({ a: 1 });
  const clones = db.Stream("a", { codec: structured<Map<string, Date>>() });
  await clones.add(new Map([["a", new Date()]]));
  type _Pairs = Expect<Equal<DataOf<typeof listed>, Pair[]>>;
  const listed = db.Stream("a", { codec: pairs });
  await listed.add([{ name: "a", value: 1 }]);
  const celsius: Codec<number> = {
    name: "celsius",
    encode: (degrees) => ["c", String(degrees)],
    decode: (fields) => Number(fields[0]?.value.toString()),
  };
  type _Own = Expect<Equal<DataOf<typeof degrees>, number>>;
  const degrees = db.Stream("a", { codec: celsius });
  await degrees.add(7.5);

  // Groups and series hand the types on to their streams and messages.
  const cg = db.consumerGroup("cg", ["s-1", "s-2"], { schema: Reading, consumer: "c" });
  const batch = await cg.read();
  type _Batch = Expect<
    Equal<(typeof batch)["s-1"], GroupMessage<{ temp: number; place?: string | undefined }>[] | undefined>
  >;
  const claimed = await cg.s1.claim(["1-0"]);
  type _Claimed = Expect<Equal<(typeof claimed)[number]["data"]["temp"], number>>;
  const taken = await cg.s1.claim(["1-0"], { justId: true });
  type _Taken = Expect<Equal<typeof taken, string[]>>;
  const auto = await cg.s1.autoclaim({ justId: true });
  type _Auto = Expect<Equal<typeof auto.messages, string[]>>;
  const info = await cg.streamInfo();
  type _Info = Expect<
    Equal<(typeof info)["s-1"]["firstEntry"], Message<{ temp: number; place?: string | undefined }> | null>
  >;
  await cg.s1.add({ temp: "7" });
  // @ts-expect-error
  await cg.s1.add({ temp: 7 });
  const ts = db.timeSeries("ts", ["s1"], { codec: json<Order>() });
  const flat = await ts.read();
  type _Flat = Expect<Equal<typeof flat, GroupMessage<Order>[]>>;
  const merged = await ts.range();
  type _Merged = Expect<Equal<typeof merged, Message<Order>[]>>;
  ts.buckets({ every: 1, value: (m) => m.data.total });
  // @ts-expect-error -- no such field
  ts.buckets({ every: 1, value: (m) => m.data.price });
  const [row] = ts.rows(merged);
  type _Row = Expect<
    Equal<Pick<NonNullable<typeof row>, "id" | "timestamp" | "sku" | "total">["total"], number>
  >;

  // The classes by hand, on any connection of ioredis.
  type _Hand = Expect<Equal<typeof hand, Stream<Order, Order>>>;
  const hand = new Stream(redis, "a", { codec: json<Order>() });
  const group = new ConsumerGroup(redis, "g", ["s-1"], { schema: Sale, codec: json() });
  group.s1.add({ sku: "a", total: 1 });
  const series = new TimeSeries(redis, "g", { "s-1": new Date() }, { codec: celsius });
  series.s1.add(7);
  // @ts-expect-error -- a codec and a schema that do not fit text
  db.Stream("a", { codec: "json" });
  // @ts-expect-error -- misspelt
  db.Stream("a", { shema: Sale });
  // @ts-expect-error
  db.consumerGroup("a", ["b"], { consumerName: "c" });
}
