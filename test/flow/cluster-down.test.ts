import { afterAll, beforeAll, expect, test } from "vitest";
import { type ClusterServer, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, within } from "../connection/harness.ts";
import { connect, keysOf, Nodes, slotOf } from "./cluster.ts";

let server: ClusterServer;
let nodes: Nodes;

beforeAll(async () => {
  server = await startServer({ cluster: { nodeTimeout: 500 }, appendOnly: true, args: ["--hz", "50"] });
  nodes = new Nodes(server);
});
afterAll(async () => {
  await nodes?.[Symbol.asyncDispose]();
  await server?.stop();
});

/** Whether the nodes that run refuse everything. */
async function isDown(): Promise<boolean> {
  const running = server.nodes.filter((node) => node.isRunning);
  const infos = await Promise.all(running.map((node) => nodes.at(node).cluster("INFO")));
  return infos.every((info) => String(info).includes("cluster_state:fail"));
}

test("Consumer – CLUSTERDOWN: a master without replica is stopped, and comes back", async () => {
  const keys = keysOf("down", 6);
  const db = await connect(server);
  const group = db.consumerGroup("g", keys);
  const consumer = db.consumer(group, { follow: true });
  const hasty = db.consumer(group.consumer("hasty"), { follow: true });
  const abort = new AbortController();
  const reading = db.consumerGroup("other", keys);
  await reading.create();
  const first = consumer.getMessage();
  const dropped = hasty.getMessage();
  await nodes.waitBlocked(12);
  const blocked = reading.read({ block: 0, signal: abort.signal });
  blocked.catch(() => {});
  await nodes.waitBlocked(18);
  const stopped = await server.masterOf(slotOf(keys[0]!));
  await stopped.kill();
  await waitFor(isDown, { what: "cluster_state:fail on the others", timeout: 10_000 });

  // Nothing spins, seen by those that still answer.
  const running = server.nodes.filter((node) => node !== stopped);
  const total = async () => {
    const counts = await Promise.all(
      running.map(async (node) => [await nodes.accepted(node), await nodes.calls(node, "xreadgroup")]),
    );
    return [0, 1].map((i) => counts.reduce((sum, count) => sum + count[i]!, 0));
  };
  const before = await total();
  const start = performance.now();
  await waitFor(() => performance.now() - start > 2000, { what: "two seconds to pass" });
  const after = await total();
  expect(after[0]! - before[0]!).toBeLessThan(100);
  expect(after[1]! - before[1]!).toBeLessThan(100);

  await within(1000, hasty.close());
  expect(await within(1000, dropped)).toBe(null);
  const reason = new Error("enough");
  abort.abort(reason);
  expect((await failure(blocked)).error).toBe(reason);

  await stopped.restart();
  await server.ready();
  for (const key of keys) await db.Stream(key).add({ n: key });
  const seen = [(await within(8000, first))!];
  while (seen.length < keys.length) seen.push((await within(8000, consumer.getMessage()))!);
  expect(seen.map(({ data }) => data.n).sort()).toEqual([...keys].sort());
  await within(1000, consumer.close());
  await within(1000, db.close());
});

test("Consumer – the whole cluster is gone: nothing is left waiting after close", async () => {
  const keys = keysOf("gone", 6);
  const db = await connect(server);
  const consumer = db.consumer(db.consumerGroup("g", keys), { follow: true });
  const first = consumer.getMessage();
  const abort = new AbortController();
  const aborted = db.Stream(keys[0]!).read({ block: 0, signal: abort.signal });
  const closed = db.Stream(keys[1]!).read({ block: 0 });
  for (const promise of [aborted, closed]) promise.catch(() => {});
  await nodes.waitBlocked(8);
  await Promise.all(server.nodes.map((node) => node.kill()));
  const reason = new Error("enough");
  abort.abort(reason);
  const refused = await failure(aborted);
  expect(refused.error).toBe(reason);
  expect(refused.took).toBeLessThan(500);
  await within(1000, consumer.close());
  expect(await within(1000, first)).toBe(null);
  await within(1500, db.close());
  expect((await failure(closed)).error).toMatchObject({ code: "CLOSED" });
  for (const event of ["ready", "end", "disconnecting"]) expect(db.listenerCount(event)).toBeLessThan(3);
  await Promise.all(server.nodes.map((node) => node.restart()));
  await server.ready();
});
