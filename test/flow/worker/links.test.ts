import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Client } from "../../../src/connection/client.ts";
import { Deliveries } from "../../../src/containers/deliveries.ts";
import { deadLetterKey } from "../../../src/index.ts";
import { startProxy, waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";
import { eventsOf, run, Scene } from "./scene.ts";

test.concurrent("Worker – its connections are cut again and again under load: each entry once, none lost", async () => {
  await using scene = await Scene.open();
  await using proxy = await startProxy(scene.server);
  await using db = scene.database(proxy.port);
  const { ledger, key } = scene;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", async ({ data, deliveries }) => {
      await sleep(10);
      if (data.n === "7") throw new Error("poison");
      if (data.n === "8" && deliveries < 3) throw new Error("twice");
    }),
    { concurrency: 10, lease: 4000, retry: { maxDeliveries: 4, delay: 20 } },
  );
  const running = run(worker);
  await scene.add(600);
  for (let cuts = 1; cuts <= 12; cuts++) {
    await waitFor(() => ledger.counts().size >= Math.min(590, cuts * 40), { timeout: 15_000 });
    // In the middle of a reply, or between two.
    if (cuts % 2 === 0) proxy.cut();
    else await Promise.race([proxy.cutAfter(cuts), waitFor(() => ledger.counts().size >= cuts * 40 + 20)]);
  }
  await scene.settled(600, 20_000);
  await within(3000, worker.stop());
  await running;
  expect(await scene.watch.redis.xlen(deadLetterKey(key))).toBe(1);
  expect(ledger.counts().get("1")).toBe(1);
  scene.isExclusive();
});

test.concurrent.for([
  ["acknowledgements", (n: number) => n < 0],
  ["retries and burials", (n: number) => n % 2 === 0],
] as const)("Worker – replies to %s are swallowed, then the link is cut: settled once", async ([, fails]) => {
  await using scene = await Scene.open();
  await using proxy = await startProxy(scene.server);
  await using db = scene.database(proxy.port);
  const { ledger, key } = scene;
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", async ({ data, deliveries }) => {
      if (deliveries === 1) await held;
      if (fails(Number(data.n))) throw new Error("no");
    }),
    { concurrency: 10, lease: 20_000, retry: { maxDeliveries: 2, delay: 100 } },
  );
  const running = run(worker);
  await scene.add(10);
  await waitFor(() => ledger.counts().size === 10, { what: "all begun" });
  proxy.swallow();
  release();
  await waitFor(() => proxy.heldBytes > 0, { what: "the replies" });
  proxy.cut();
  proxy.pass();
  await scene.settled(10);
  const failing = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter(fails);
  expect((await scene.dead()).map(Number).sort((a, b) => a - b)).toEqual(failing);
  expect(ledger.runs()).toHaveLength(10 + failing.length);
  await within(3000, worker.stop());
  await running;
  scene.isExclusive();
});

test.concurrent("Worker – replies to its reads are swallowed: when it finds the entries, their leases are old, and renewed first", async () => {
  await using scene = await Scene.open();
  await using proxy = await startProxy(scene.server);
  await using db = scene.database(proxy.port);
  await using other = scene.database();
  const { ledger, key, watch } = scene;
  // It drops a silent read after 2.2 s, so that little is left of the lease.
  const lease = 3300;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", () => sleep(3000)),
    { lease, block: 200, concurrency: 2 },
  );
  const running = run(worker);
  const [blocked] = await watch.blocked();
  proxy.swallow();
  await scene.add(2);
  await waitFor(async () => !(await watch.clients()).some(({ id }) => id === blocked!.id), {
    what: "the drop",
    timeout: 10_000,
  });
  proxy.pass();
  await waitFor(() => ledger.counts().size === 2, { what: "both begun", timeout: 10_000 });
  const taker = new Deliveries(Client.of(other), key, "g", "taker");
  let taken = 0;
  await waitFor(
    async () => {
      taken += (await taker.takeDue(lease, 10)).taken.length;
      return (await scene.pending()) === 0;
    },
    { what: "the acknowledgements", timeout: 10_000 },
  );
  expect(taken).toBe(0);
  await within(3000, worker.stop());
  await running;
  expect(ledger.runs().map(({ deliveries }) => deliveries)).toEqual([1, 1]);
});

test.concurrent.for([
  ["all connections are half open", false],
  ["the shared connection alone is half open", true],
] as const)("Worker – %s: noticed, leases are kept, acknowledgements arrive", async ([, isShared]) => {
  await using scene = await Scene.open();
  await using proxy = await startProxy(scene.server);
  await using db = scene.database(proxy.port);
  const { ledger, key, watch } = scene;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", ({ data }) => sleep(data.n === "1" ? 100 : 8000)),
    { lease: 6000, block: 300, concurrency: 5 },
  );
  const events = eventsOf(worker);
  const shared = String(await db.client("ID"));
  // What connects from now on goes past the proxy.
  if (isShared) db.options.port = scene.server.port;
  const running = run(worker);
  await scene.add(3);
  await waitFor(() => ledger.counts().size === 3, { what: "all begun" });
  proxy.swallow();
  await waitFor(async () => !(await watch.clients()).some(({ id }) => id === shared), {
    what: "the shared connection to be given up",
    timeout: 8000,
  });
  if (!isShared) proxy.pass();
  await waitFor(async () => (await scene.pending()) === 2, { what: "the acknowledgement", timeout: 5000 });
  await scene.settled(3, 15_000);
  expect([...ledger.counts().values()]).toEqual([1, 1, 1]);
  expect(events.filter(({ type }) => type === "leaseExpired")).toEqual([]);
  await within(3000, worker.stop());
  await running;
});

test.concurrent("Worker – the shared connection is half open when it starts: it starts all the same", async () => {
  await using scene = await Scene.open();
  await using proxy = await startProxy(scene.server);
  await using db = scene.database(proxy.port);
  const { ledger, key } = scene;
  await db.ping();
  db.options.port = scene.server.port;
  proxy.swallow();
  await scene.add(1);
  const worker = db.worker(db.consumerGroup("g", key), ledger.handler("one"));
  const running = run(worker);
  await scene.settled(1, 20_000);
  await within(3000, worker.stop());
  await running;
});

test.concurrent("Worker.stop – the shared connection is half open: over soon after the drain", async () => {
  await using scene = await Scene.open();
  await using proxy = await startProxy(scene.server);
  const db = scene.database(proxy.port);
  const { ledger, key } = scene;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", () => sleep(300)),
    { drain: 800 },
  );
  const running = run(worker);
  await scene.add(3);
  await waitFor(() => ledger.counts().size === 1, { what: "one begun" });
  proxy.swallow();
  const start = performance.now();
  await within(8000, worker.stop());
  await running;
  expect(performance.now() - start).toBeLessThan(800 + 2000 + 1200);
  await within(2500, db.close());
});
