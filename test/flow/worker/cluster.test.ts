import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { deadLetterKey } from "../../../src/index.ts";
import { type ClusterServer, startServer, waitFor } from "../../../src/testing/index.ts";
import { open, Watch, within } from "../../connection/harness.ts";
import { connect, keysOf, Nodes, slotOf } from "../cluster.ts";
import { Ledger } from "./ledger.ts";
import { eventsOf, run } from "./scene.ts";

let server: ClusterServer;
let nodes: Nodes;

beforeAll(async () => {
  server = await startServer({
    cluster: { replicas: 1, nodeTimeout: 1000 },
    args: ["--hz", "50", "--repl-diskless-sync-delay", "0"],
  });
  nodes = new Nodes(server);
});
afterAll(async () => {
  await nodes?.[Symbol.asyncDispose]();
  await server?.stop();
});

/** Add an entry to each of the streams; those that a node would not take are tried again. */
async function add(keys: readonly string[], n: string): Promise<void> {
  for (const key of keys)
    await waitFor(async () => (await nodes.of(key)).xadd(key, "*", "n", n), { timeout: 15_000 });
}

/** How many entries are pending in all streams. */
async function pending(keys: readonly string[]): Promise<number> {
  let sum = 0;
  for (const key of keys) sum += ((await (await nodes.of(key)).xpending(key, "g")) as [number])[0];
  return sum;
}

/** Wait until what is known has reached a replica of each owner. */
async function replicated(keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    const owner = await nodes.of(key);
    await owner.set(`{${key}}:mark`, "1");
    await waitFor(() => owner.wait(1, 1000), { timeout: 10_000 });
  }
}

/** A handler that fails "retry" once and "bad" always. */
function act({ data, deliveries }: { data: Record<string, string>; deliveries: number }): void {
  if (data.n === "bad" || (data.n === "retry" && deliveries === 1)) throw new Error(data.n);
}

test("Worker – streams in several slots: a slot moves, then a master dies; all is handled, retried, dead-lettered", async () => {
  using ledger = new Ledger();
  const keys = keysOf("work", 6);
  const db = await connect(server);
  const worker = db.worker(
    db.consumerGroup("g", keys),
    ledger.handler("one", async (message) => {
      await sleep(5);
      act(message);
    }),
    { concurrency: 5, lease: 4000, block: 1000, retry: { maxDeliveries: 3, delay: 50 } },
  );
  const events = eventsOf(worker);
  const running = run(worker);
  const handled = (n: string) =>
    new Set(
      ledger
        .runs()
        .filter((one) => one.n === n && one.to !== null)
        .map(({ entry }) => entry),
    ).size;
  const all = (n: string) =>
    waitFor(() => handled(n) === keys.length, { what: `${n} in every stream`, timeout: 20_000 });
  for (const n of ["0", "retry", "bad"]) await add(keys, n);
  await all("0");
  await waitFor(async () => (await pending(keys)) === 0, { timeout: 10_000 });

  const moving = keys[0]!;
  const from = await server.masterOf(slotOf(moving));
  const to = server.masters.find((node) => node !== from)!;
  const way = await nodes.migration(slotOf(moving), to);
  await way.begin();
  await add(keys.slice(1), "1");
  await way.move();
  await way.end();
  await add([moving], "1");
  await all("1");
  await waitFor(async () => (await pending(keys)) === 0, { timeout: 10_000 });

  await replicated(keys);
  const owner = await server.masterOf(slotOf(keys[1]!));
  await owner.kill();
  await add(
    keys.filter((key) => key !== keys[1]),
    "2",
  ).catch(() => {});
  await waitFor(async () => (await server.masterOf(slotOf(keys[1]!))) !== owner, { timeout: 20_000 });
  await add([keys[1]!], "2");
  await all("2");
  await waitFor(async () => (await pending(keys)) === 0, { timeout: 15_000 });
  for (const key of keys) {
    const dead = await (await nodes.of(key)).xrange(deadLetterKey(key), "-", "+");
    expect(dead.map(([, fields]) => fields[1])).toEqual(["bad"]);
    expect(ledger.runs().filter(({ entry, n }) => entry.startsWith(`${key} `) && n === "retry")).toHaveLength(
      2,
    );
  }
  expect(ledger.overlaps()).toEqual([]);
  expect(events.filter(({ type }) => type === "unsettled")).toEqual([]);
  await within(4000, worker.stop());
  await running;
  await within(1500, db.close());
  await owner.restart();
  await server.ready();
  await nodes.gone();
});

test("Worker – Sentinel: the master is killed while it runs, the replica takes over", async () => {
  using ledger = new Ledger();
  await using servers = await startServer({ sentinel: { downAfter: 500 }, args: ["--hz", "100"] });
  await using before = new Watch(servers.master);
  await using after = new Watch(servers.replicas[0]!);
  const db = open({ ...servers.options, sentinelRetryStrategy: () => 50 });
  await before.redis.xgroup("CREATE", "s", "g", "0", "MKSTREAM");
  for (let n = 1; n <= 20; n++) await before.redis.xadd("s", "*", "n", n);
  const worker = db.worker(
    db.consumerGroup("g", "s"),
    ledger.handler("one", async (message) => {
      await sleep(Number(message.data.n) > 15 ? 5000 : 5);
      if (message.data.n === "3" && message.deliveries === 1) throw new Error("once");
    }),
    { concurrency: 10, prefetch: 20, lease: 6000, retry: { delay: 50 } },
  );
  const running = run(worker);
  await waitFor(() => ledger.counts().size === 20, { timeout: 10_000 });
  // Five are running when the master dies, and end when the replica is the master.
  await waitFor(async () => ((await before.redis.xpending("s", "g")) as [number])[0] === 5, {
    timeout: 10_000,
  });
  await before.redis.set("mark", "1");
  await waitFor(() => before.redis.wait(1, 1000));
  await servers.master.kill();
  await waitFor(async () => (await servers.currentMaster()) === servers.replicas[0], { timeout: 15_000 });
  await waitFor(async () => (await after.redis.role())[0] === "master", { timeout: 5000 });
  await after.redis.xadd("s", "*", "n", "21");
  await waitFor(() => ledger.counts().has("21"), { timeout: 15_000 });
  await waitFor(async () => ((await after.redis.xpending("s", "g")) as [number])[0] === 0, {
    timeout: 15_000,
  });
  expect([...ledger.counts()].filter(([, count]) => count !== 1)).toEqual([["3", 2]]);
  expect(ledger.overlaps()).toEqual([]);
  await within(4000, worker.stop());
  await running;
  await within(1500, db.close());
});
