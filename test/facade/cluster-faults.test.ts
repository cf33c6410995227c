import { afterAll, beforeAll, expect, test } from "vitest";
import { ClosedError, ClusterDatabase } from "../../src/index.ts";
import { type ClusterServer, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, numbersOf, Watch, within } from "../connection/harness.ts";

let cluster: ClusterServer;
let watch: Watch;

beforeAll(async () => {
  cluster = await startServer({ cluster: { masters: 1 }, appendOnly: true, args: ["--hz", "100"] });
  watch = new Watch(cluster.masters[0]!);
});
afterAll(async () => {
  watch.redis.disconnect();
  await cluster.stop();
});

function open(pause = 20): ClusterDatabase {
  const db = new ClusterDatabase(cluster.startupNodes, { clusterRetryStrategy: () => pause });
  db.on("error", () => {});
  return db;
}

async function restart(): Promise<void> {
  await cluster.nodes[0]!.restart();
  await cluster.ready();
}

test("ClusterDatabase – its only node is killed and started again while reads wait", async () => {
  await using db = open();
  const group = db.consumerGroup("g", ["a"]);
  await group.create();
  const reading = db.Stream("b").read({ block: 0, lastId: "$" });
  const groupReading = group.read({ block: 0 });
  await watch.blocked(2);
  await cluster.nodes[0]!.kill();
  await waitFor(() => db.status !== "ready");
  await restart();
  await watch.blocked(2);
  await db.Stream("a").add({ n: 1 });
  await db.Stream("b").add({ n: 2 });
  expect(numbersOf((await within(2000, groupReading)).a!)).toEqual([1]);
  expect(numbersOf(await within(2000, reading))).toEqual([2]);
});

test("ClusterDatabase – abort, disconnect and close while no node answers", async () => {
  const ends = [(db: ClusterDatabase) => db.disconnect(), (db: ClusterDatabase) => db.close()];
  const databases = ends.map(() => open());
  await Promise.all(databases.map((db) => db.ping()));
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = databases.map((db) => failure(db.Stream("c").read({ block: 0, signal }), 10_000));
  const reads = databases.map((db) => failure(db.Stream("c").read({ block: 0 }), 10_000));
  await watch.blocked(4);
  await cluster.nodes[0]!.kill();
  for (const db of databases) await waitFor(() => db.status === "reconnecting" || db.status === "connecting");
  const start = performance.now();
  controller.abort();
  for (const failed of aborted) expect((await failed).error).toBe(signal.reason);
  expect(performance.now() - start).toBeLessThan(500);
  for (const [i, end] of ends.entries()) {
    await within(1500, Promise.resolve(end(databases[i]!)));
    expect((await within(500, reads[i]!)).error).toBeInstanceOf(ClosedError);
  }
  await restart();
  await watch.gone();
});

test("ClusterDatabase.disconnect – while it is connecting again, of which ioredis tells nobody: the wires end too", async () => {
  const db = open(5000);
  await db.ping();
  const reading = failure(db.Stream("c").read({ block: 0 }), 10_000);
  const [wire] = await watch.blocked();
  for (const { id } of await watch.clients()) {
    if (id !== wire!.id) await watch.redis.client("KILL", "ID", Number(id));
  }
  await waitFor(() => db.status === "reconnecting");
  const start = performance.now();
  db.disconnect();
  expect((await reading).error).toBeInstanceOf(ClosedError);
  expect(performance.now() - start).toBeLessThan(500);
  await watch.gone();
});

test("ClusterDatabase.close – while a node is frozen", async () => {
  const db = open();
  await db.ping();
  const pending = [failure(db.Stream("d").read({ block: 0 }), 10_000)];
  await watch.blocked();
  await cluster.nodes[0]!.freeze();
  pending.push(
    failure(db.Stream("d").length(), 10_000),
    failure(db.Stream("d").addMany(numbered(10)), 10_000),
    failure(db.Stream("d").range(), 10_000),
  );
  await new Promise(setImmediate);
  const start = performance.now();
  await within(1500, db.close());
  for (const failed of pending) expect((await failed).error).toBeInstanceOf(ClosedError);
  expect(performance.now() - start).toBeLessThan(1500);
  await cluster.nodes[0]!.thaw();
  await watch.gone();
});

test("ClusterDatabase – abort while the node that a read waits on is frozen", async () => {
  await using db = open();
  await db.ping();
  const controller = new AbortController();
  const reading = db.Stream("e").read({ block: 0, signal: controller.signal });
  await watch.blocked();
  await cluster.nodes[0]!.freeze();
  controller.abort();
  const { error, took } = await failure(reading);
  expect(error).toBe(controller.signal.reason);
  expect(took).toBeLessThan(1500);
  await cluster.nodes[0]!.thaw();
  expect(await within(5000, db.Stream("e").read({ block: 1 }))).toEqual([]);
});

test("Stream.add – on a cluster, its connection lost before the reply: at most once", async () => {
  await using db = open();
  await db.Stream("f").add({ n: 0 });
  await cluster.nodes[0]!.freeze();
  const adding = failure(db.Stream("f").add({ n: 1 }), 10_000);
  await new Promise(setImmediate);
  // The command waits in the server's socket; its connection is dropped on this side.
  for (const node of db.nodes()) node.stream.destroy();
  await cluster.nodes[0]!.thaw();
  expect((await adding).error).toMatchObject({ code: "CONNECTION_LOST" });
  await waitFor(async () => (await db.Stream("f").length()) >= 1);
  expect([[0], [0, 1]]).toContainEqual(numbersOf(await db.Stream("f").range()));
});

test("ClusterDatabase – no node is there: ConnectionLostError, quickly", async () => {
  const db = new ClusterDatabase([{ host: "127.0.0.1", port: 1 }], {
    clusterRetryStrategy: (times) => (times > 2 ? null : 10),
    redisOptions: { maxRetriesPerRequest: 1 },
  });
  db.on("error", () => {});
  for (const act of [
    () => db.Stream("a").read(),
    () => db.Stream("a").range(),
    () => db.Stream("a").length(),
  ]) {
    expect((await failure(act())).error).toMatchObject({ code: "CONNECTION_LOST" });
  }
  await db.close();
});
