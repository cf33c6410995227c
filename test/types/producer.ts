import type { Cluster, Redis } from "ioredis";
import type { ZodType } from "zod";
import { Producer } from "../../src/flow/producer.ts";
import type { ProducerMetrics, StreamProducerMetrics } from "../../src/flow/producer-options.ts";
import {
  type ClusterDatabase,
  type Database,
  json,
  type TextInput,
  type TextRecord,
} from "../../src/index.ts";
import type { Equal, Expect } from "./equal.ts";

interface Order {
  readonly sku: string;
}

interface OrderInput {
  readonly sku: string | number;
}

/** Never called: what is checked is its types. */
export async function producers(
  db: Database,
  cluster: ClusterDatabase,
  redis: Redis,
  nodes: Cluster,
  schema: ZodType<Order, OrderInput>,
  orders: AsyncIterable<Order>,
): Promise<void> {
  const plain = [
    new Producer(db, "a"),
    new Producer(cluster, "a", { maxlen: 1000, linger: 5, window: { hours: 1 } }),
    new Producer(redis, "a", { minid: new Date(0), approximate: false }),
    new Producer(nodes, "a"),
  ] as const;
  const typed = new Producer(db, "orders", { schema, codec: json(), limit: 0, maxlen: 5 });
  const coded = new Producer(db, "orders", { codec: json<Order>() });
  const stated = new Producer<Order>(db, "orders", { codec: json<Order>() });
  const id = await typed.push({ sku: 7 }, { id: "1-*", headers: { a: "b" }, idempotencyKey: "k" });
  const ids = await coded.pushMany(orders, { idempotencyKey: (order, index) => `${order.sku} ${index}` });
  const metrics = typed.metrics();
  const all = Producer.allMetrics();
  await plain[0].push({ n: 1, text: "a", big: 1n, yes: true });
  await coded.pushMany([{ sku: "a" }]);
  await coded.pushMany(new Set([{ sku: "a" }]));
  const made = await typed.ensureGroup("g", "1-1");
  await using closing = coded;
  void closing;
  // @ts-expect-error no such option
  new Producer(db, "a", { lingr: 1 });
  // @ts-expect-error not what the schema takes
  typed.push({ sku: true });
  // @ts-expect-error text takes no objects
  plain[0].push({ a: {} });
  // @ts-expect-error a name is a text
  typed.push({ sku: 7 }, { idempotencyKey: 7 });
  // @ts-expect-error one key for all would store one value
  coded.pushMany([{ sku: "a" }], { idempotencyKey: "k" });
  // @ts-expect-error an id for all would be refused
  coded.pushMany([{ sku: "a" }], { id: "1-1" });
  type Checks = [
    Expect<Equal<(typeof plain)[number], Producer<TextRecord, TextInput>>>,
    Expect<Equal<(typeof plain)[number], Producer>>,
    Expect<Equal<typeof typed, Producer<Order, OrderInput>>>,
    Expect<Equal<typeof coded, Producer<Order>>>,
    Expect<Equal<typeof stated, Producer<Order>>>,
    Expect<Equal<typeof id, string>>,
    Expect<Equal<typeof ids, string[]>>,
    Expect<Equal<typeof metrics, ProducerMetrics>>,
    Expect<Equal<(typeof all)[number], StreamProducerMetrics>>,
    Expect<Equal<typeof made, boolean>>,
  ];
  void (null as Checks | null);
}
