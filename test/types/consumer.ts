import type { ZodType } from "zod";
import type {
  ClusterDatabase,
  Consumer,
  Database,
  GroupMessage,
  Message,
  Stream,
  TextRecord,
} from "../../src/index.ts";
import type { Equal, Expect } from "./equal.ts";

interface Order {
  readonly sku: string;
}

/** Never called: what is checked is its types. */
export async function consumers(
  db: Database,
  cluster: ClusterDatabase,
  orders: Stream<Order, Order>,
  schema: ZodType<Order>,
): Promise<void> {
  const group = db.consumerGroup("g", ["a", "b"]);
  const anyKeys = ["a"] as readonly string[];
  const plain = [
    db.consumer("a"),
    db.consumer(["a", "b"], { from: { a: "earliest", b: new Date(0) } }),
    db.consumer(db.Stream("a")),
    db.consumer([db.Stream("a"), db.Stream("b")]),
  ] as const;
  const grouped = [
    db.consumer(group),
    db.consumer(group.a),
    db.consumer(db.consumerGroup("g", ["a"])),
    db.consumer(db.consumerGroup("g", anyKeys), { backlog: true }),
    db.consumer(group.consumer("c2")),
    db.consumer(db.timeSeries("t", ["a"])),
    db.consumer(db.timeSeries("t", ["a"]).a),
    cluster.consumer(cluster.consumerGroup("g", anyKeys)),
  ] as const;
  const typed = [db.consumer(orders), db.consumer([orders]), db.consumer("orders", { schema })] as const;
  const typedGroup = db.consumer(db.consumerGroup("g", ["orders"], { schema }));
  const next = await db.consumer(group).getMessage();
  for await (const message of typedGroup) {
    const data: Order = message.data;
    await message.ack();
    void data;
  }
  // @ts-expect-error no such option
  db.consumer("a", { folow: true });
  // @ts-expect-error a message of a plain stream has nothing to acknowledge
  (await db.consumer("a").getMessage())?.ack();
  // @ts-expect-error not a source
  db.consumer(1);
  type Checks = [
    Expect<Equal<(typeof plain)[number], Consumer<TextRecord>>>,
    Expect<Equal<(typeof grouped)[number], Consumer<TextRecord, GroupMessage<TextRecord>>>>,
    Expect<Equal<(typeof typed)[number], Consumer<Order>>>,
    Expect<Equal<typeof typedGroup, Consumer<Order, GroupMessage<Order>>>>,
    Expect<Equal<typeof next, GroupMessage<TextRecord> | null>>,
    Expect<Equal<Awaited<ReturnType<Consumer<Order>["getMessage"]>>, Message<Order> | null>>,
  ];
  void (null as Checks | null);
}
