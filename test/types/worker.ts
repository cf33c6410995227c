import type { ZodType } from "zod";
import {
  type BatchHandler,
  type ClusterDatabase,
  type Codec,
  type Database,
  type GroupMessage,
  type TextRecord,
  Worker,
} from "../../src/index.ts";
import type { Equal, Expect } from "./equal.ts";

interface Order {
  readonly sku: string;
}

/** Never called: what is checked is its types. */
export async function workers(
  db: Database,
  cluster: ClusterDatabase,
  schema: ZodType<Order>,
  codec: Codec<Order>,
): Promise<void> {
  const text = db.consumerGroup("g", ["a", "b"]);
  const orders = db.consumerGroup("g", ["orders"], { schema });
  const coded = db.consumerGroup("g", ["orders"], { codec });
  const plain = [
    db.worker(text, (message) => void message.data.sku?.length),
    db.worker(text.a, async ({ data }) => data.sku),
    db.worker(db.timeSeries("t", ["a"]), () => {}),
    db.worker(db.timeSeries("t", ["a"]).a, () => {}),
    cluster.worker(cluster.consumerGroup("g", ["a"] as readonly string[]), () => {}),
    new Worker(text, () => {}),
  ] as const;
  const typed = [
    db.worker(orders, ({ data, headers, deliveries }, { signal }) => {
      const order: Order = data;
      return [order.sku, headers.region, deliveries.toFixed(), signal.aborted];
    }),
    db.worker(coded, ({ data }) => data.sku.length, { orderBy: ({ data }) => data.sku }),
    db.worker(orders.orders, async (message) => {
      await message.ack();
      const isMoved: boolean = await message.retry({ delay: { minutes: 1 } });
      return isMoved;
    }),
    db.worker(
      orders,
      (messages) => {
        const skus: string[] = messages.map(({ data }) => data.sku);
        return skus.length > 1 ? [messages[0]!, "1-0"] : undefined;
      },
      { batch: { size: 10, wait: { seconds: 1 } } },
    ),
    db.worker(orders, async (messages) => new Set(messages), { batch: { size: 10 } }),
    new Worker(orders, ({ data }) => data.sku),
  ] as const;
  db.worker(text, () => {}, {
    ...{ concurrency: 5, prefetch: 10, lease: { minutes: 1 }, timeout: 1000, drain: 0, block: 100 },
    retry: (deliveries, error) =>
      error.name === "TypeError" || deliveries > 3 ? null : { seconds: deliveries },
    deadLetter: ({ stream, deliveries }) => (deliveries > 1 ? `${stream}:dead` : false),
    ...{ ack: "manual", from: "latest", stopOn: ["SIGINT"], signal: new AbortController().signal },
  });
  const batch: BatchHandler<TextRecord> = () => {};
  // @ts-expect-error a handler of arrays needs `batch`
  db.worker(text, batch);
  // @ts-expect-error messages of a batch have no data of their own
  db.worker(text, (messages) => messages.data, { batch: { size: 2 } });
  // @ts-expect-error a batch handler gives messages or ids
  db.worker(text, () => 5, { batch: { size: 2 } });
  // @ts-expect-error a batch has a size
  db.worker(text, () => {}, { batch: {} });
  // @ts-expect-error no such field
  db.worker(orders, ({ data }) => data.price);
  // @ts-expect-error a plain stream has no group
  db.worker(db.Stream("a"), () => {});
  // @ts-expect-error no such option
  db.worker(text, () => {}, { concurency: 5 });
  // @ts-expect-error no such policy
  db.worker(text, () => {}, { ack: "later" });
  // @ts-expect-error no such signal
  db.worker(text, () => {}, { stopOn: ["SIGNOT"] });
  for await (const event of plain[0].status()) {
    if (event.type === "failed") void event.retryIn?.toFixed();
    // @ts-expect-error only of those that failed
    if (event.type === "slow") void event.retryIn;
  }
  type Checks = [
    Expect<Equal<(typeof plain)[number], Worker<TextRecord>>>,
    Expect<Equal<(typeof typed)[number], Worker<Order>>>,
    Expect<Equal<Parameters<BatchHandler<Order>>[0], GroupMessage<Order>[]>>,
    Expect<Equal<ReturnType<Worker<Order>["runOnce"]>, Promise<number>>>,
    Expect<Equal<ReturnType<Worker<Order>["metrics"]>["lastError"], Error | null>>,
  ];
  void (null as Checks | null);
}
