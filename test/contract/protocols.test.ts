import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  ClusterDatabase,
  Consumer,
  ConsumerGroup,
  Database,
  DeadLetters,
  Producer,
  Stream,
  Worker,
} from "../../src/index.ts";
import { type ClusterServer, type Server, startServer } from "../../src/testing/index.ts";
import { collect, ids, idsOf, numbered } from "../containers/harness.ts";

type Connection = Redis | Cluster;

let server: Server;
let cluster: ClusterServer;
beforeAll(async () => {
  [server, cluster] = await Promise.all([startServer(), startServer({ cluster: { masters: 2 } })]);
});
afterAll(async () => {
  await Promise.all([server?.stop(), cluster?.stop()]);
});

const maps = { protocol: 3, replyMapping: "resp3" } as const;

const connections: readonly (readonly [name: string, connect: () => Connection])[] = [
  ["Redis, protocol 2", () => new Redis({ ...server.options, protocol: 2 })],
  ["Redis, protocol 3", () => new Redis({ ...server.options, protocol: 3 })],
  ["Redis, protocol 3, maps", () => new Redis({ ...server.options, ...maps }) as unknown as Redis],
  ["Database, protocol 2", () => new Database({ ...server.options, protocol: 2 })],
  ["Database, protocol 3", () => new Database({ ...server.options, protocol: 3 })],
  ["Cluster, protocol 2", () => new Cluster(cluster.startupNodes, { redisOptions: { protocol: 2 } })],
  ["Cluster, protocol 3", () => new Cluster(cluster.startupNodes, { redisOptions: { protocol: 3 } })],
  [
    "Cluster, protocol 3, maps",
    () => new Cluster(cluster.startupNodes, { redisOptions: maps }) as unknown as Cluster,
  ],
  [
    "ClusterDatabase, protocol 2",
    () => new ClusterDatabase(cluster.startupNodes, { redisOptions: { protocol: 2 } }),
  ],
];

let tours = 0;

for (const [name, connect] of connections) {
  test(`${name} – ioredis speaks it`, () =>
    on(connect, async (redis, key) => {
      await redis.xadd(key, "1-0", "n", "0");
      const raw = await redis.xinfo("STREAM", key);
      expect(Array.isArray(raw)).toBe(!name.endsWith("maps"));
      const nodes = redis instanceof Cluster ? redis.nodes("master") : [redis];
      const resp = name.includes("protocol 3") ? "resp=3" : "resp=2";
      for (const node of nodes) expect(await node.client("INFO")).toContain(resp);
    }));
  test(`${name} – containers, inspection and pending entries`, () => on(connect, inspect));
  test(`${name} – consumer, worker, dead letters and producer`, () => on(connect, work));
}

async function on(
  connect: () => Connection,
  tour: (redis: Connection, key: string) => Promise<void>,
): Promise<void> {
  const redis = connect();
  try {
    await tour(redis, `tour-${tours++}`);
  } finally {
    if (redis instanceof Database || redis instanceof ClusterDatabase) await redis.close();
    else redis.disconnect();
  }
}

async function inspect(redis: Connection, key: string): Promise<void> {
  const stream = new Stream(redis, key);
  expect(await stream.add({ n: 0 }, { id: 1 })).toBe("1-0");
  await stream.addMany(numbered(3, 1), { id: (_, i) => i + 2 });
  expect(idsOf(await stream.range())).toEqual(ids(4));
  expect(idsOf(await stream.read({ lastId: "2-0" }))).toEqual(["3-0", "4-0"]);

  const cg = new ConsumerGroup(redis, "g", [key]);
  const own = cg.streams[key]!;
  expect(await cg.create()).toEqual({ [key]: true });
  expect(idsOf((await cg.read({ count: 3 }))[key]!)).toEqual(ids(3));
  const entry = { id: "1-0", data: { n: "0" } };
  expect(await stream.info()).toMatchObject({
    length: 4,
    groups: 1,
    entriesAdded: 4,
    lastGeneratedId: "4-0",
    firstEntry: entry,
    lastEntry: { id: "4-0" },
  });
  const group = { name: "g", lag: 1, entriesRead: 3, lastDeliveredId: "3-0" };
  expect(await stream.groupsInfo()).toMatchObject([{ ...group, consumers: 1, pending: 3 }]);
  expect(await own.consumersInfo()).toMatchObject([{ name: "g.c1", pending: 3, idle: expect.any(Number) }]);
  const full = await stream.info({ full: true });
  expect(full.entries[0]).toMatchObject(entry);
  expect(full.groups).toMatchObject([
    {
      ...group,
      pendingCount: 3,
      pending: ids(3).map((id) => ({ id, consumer: "g.c1", deliveries: 1 })),
      consumers: [{ name: "g.c1", pendingCount: 3, pending: ids(3).map((id) => ({ id, deliveries: 1 })) }],
    },
  ]);
  expect(await cg.stats()).toMatchObject({ length: 4, lag: 1, pending: 3, unknownLags: 0 });
  expect(await cg.consumers()).toMatchObject([{ name: "g.c1", pending: 3 }]);

  expect(await own.claim(["3-0"], { consumer: "other" })).toMatchObject([
    { id: "3-0", consumer: "other", deliveries: 2, data: { n: "2" } },
  ]);
  expect(await own.pendingSummary()).toEqual({
    count: 3,
    first: "1-0",
    last: "3-0",
    consumers: [
      { name: "g.c1", pending: 2 },
      { name: "other", pending: 1 },
    ],
  });
  await stream.delete("2-0");
  const { next, messages, deleted } = await own.autoclaim({ consumer: "other" });
  expect([next, idsOf(messages), deleted]).toEqual(["0-0", ["1-0", "3-0"], ["2-0"]]);
  expect(await own.pending()).toMatchObject([
    { id: "1-0", consumer: "other", deliveries: 2, idle: expect.any(Number) },
    { id: "3-0", consumer: "other", deliveries: 3 },
  ]);
  expect(await own.ack("1-0", "3-0")).toBe(2);
  const empty = { count: 0, first: null, last: null, consumers: [] };
  expect(await own.pendingSummary()).toEqual(empty);
  expect(await cg.removeIdleConsumers({ idle: 0 })).toEqual(["g.c1", "other"]);
}

async function work(redis: Connection, key: string): Promise<void> {
  const producer = new Producer(redis, key);
  const first = await producer.push({ n: 0 }, { idempotencyKey: "once" });
  expect(await producer.push({ n: 0 }, { idempotencyKey: "once" })).toBe(first);
  const second = await producer.push({ n: 1 });
  await producer.close();

  const streamed = await collect(new Consumer(new Stream(redis, key), { from: "earliest", block: 1 }));
  expect(idsOf(streamed)).toEqual([first, second]);

  const cg = new ConsumerGroup(redis, "g", [key]);
  const handled: string[] = [];
  const handler = ({ data }: { data: Record<string, string> }): void => {
    if (data["n"] === "0") throw new RangeError("too small");
    handled.push(data["n"]!);
  };
  const worker = new Worker(cg, handler, { retry: { maxDeliveries: 1 } });
  expect(await worker.runOnce()).toBe(2);
  await worker.stop();
  expect(handled).toEqual(["1"]);
  expect(worker.metrics()).toMatchObject({ read: 2, acked: 1, failed: 1, deadLettered: 1 });
  expect((await cg.stats()).pending).toBe(0);

  const letters = new DeadLetters(redis, `{${key}}:dead`);
  expect(await letters.range()).toMatchObject([
    { data: { n: "0" }, origin: { stream: key, id: first }, error: { name: "RangeError" } },
  ]);
  expect(await letters.redrive()).toBe(1);
  expect(await letters.length()).toBe(0);
  const again = await collect(new Consumer(cg, { block: 1 }));
  expect(again).toMatchObject([{ data: { n: "0" }, headers: { redrives: "1" } }]);
}
