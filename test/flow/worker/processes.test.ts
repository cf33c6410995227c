import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";
import { WorkerProcess } from "./process.ts";
import { Scene } from "./scene.ts";

// Processes take their time to start on a busy machine.
vi.setConfig({ testTimeout: 90_000 });

test.concurrent("Worker – its process is killed with 50 entries in flight: another handles all, once each", async () => {
  await using scene = await Scene.open();
  const { ledger, key, server } = scene;
  await scene.add(50);
  const orders = { port: server.port, key, options: { concurrency: 50, lease: 1500 } };
  await using first = new WorkerProcess(ledger, { ...orders, name: "first", does: "hang" });
  await waitFor(() => ledger.runs().length === 50, { what: "50 in flight", timeout: 40_000 });
  await using _second = new WorkerProcess(ledger, { ...orders, name: "second", does: 5 });
  await _second.ready();
  await first.end();
  await scene.settled(50);
  expect(ledger.runs().map(({ worker }) => worker)).toEqual([
    ...Array.from({ length: 50 }, () => "first"),
    ...Array.from({ length: 50 }, () => "second"),
  ]);
  expect(
    ledger
      .runs()
      .slice(50)
      .every(({ deliveries }) => deliveries === 2),
  ).toBe(true);
  expect([...ledger.counts().values()]).toEqual(Array.from({ length: 50 }, () => 2));
  scene.isExclusive();
});

test.concurrent("Worker – an entry kills its process each time: dead-lettered, and the entries beside it are handled", async () => {
  await using scene = await Scene.open();
  const { ledger, key, server, watch } = scene;
  const options = { lease: 300, prefetch: 10, retry: { maxDeliveries: 3 } };
  const orders = { port: server.port, key, does: "die" as const, options };
  await watch.redis.xadd(key, "*", "n", "bad");
  await scene.add(9);
  let lives = 0;
  for (; lives < 8 && (await scene.dead()).length === 0; lives++) {
    await using worker = new WorkerProcess(ledger, { ...orders, name: `life ${lives}` });
    const isBuried = waitFor(async () => (await scene.dead()).length > 0, {
      what: "the burial",
      timeout: 40_000,
    });
    await Promise.race([worker.exit, isBuried.catch(() => {})]);
    if ((await scene.dead()).length > 0) await scene.settled(10);
  }
  expect(await scene.dead()).toEqual(["bad"]);
  expect(ledger.counts().get("bad")).toBe(3);
  expect(lives).toBe(4);
  expect(ledger.counts().size).toBe(10);
  expect(await scene.pending()).toBe(0);
  scene.isExclusive();
});

test.concurrent("Worker – two processes with the same consumer name, a handler ten times longer than its lease: it runs once", async () => {
  await using scene = await Scene.open();
  const { ledger, key, server } = scene;
  const orders = { port: server.port, key, does: 5000, options: { lease: 500, concurrency: 4 } };
  await using _one = new WorkerProcess(ledger, { ...orders, name: "one" });
  await scene.add(2);
  await waitFor(() => ledger.runs().length === 2, { what: "two begun", timeout: 40_000 });
  // It starts while the other runs what is pending under that name.
  await using two = new WorkerProcess(ledger, { ...orders, name: "two" });
  await two.ready();
  await scene.add(2, 3);
  await scene.settled(4, 30_000);
  expect(ledger.runs().map(({ deliveries }) => deliveries)).toEqual([1, 1, 1, 1]);
  expect(ledger.counts().size).toBe(4);
});

test.concurrent("Worker – SIGTERM with a full prefetch: what has not begun runs elsewhere at once, uncounted", async () => {
  await using scene = await Scene.open();
  const { ledger, key, server } = scene;
  const options = { lease: 30_000, concurrency: 2, prefetch: 20, drain: 10_000 };
  await scene.add(10);
  await using leaving = new WorkerProcess(ledger, {
    port: server.port,
    key,
    name: "leaving",
    does: "outlast",
    options,
  });
  await waitFor(async () => ledger.runs().length === 2 && (await scene.pending()) === 10, {
    timeout: 40_000,
  });
  await using staying = new WorkerProcess(ledger, {
    port: server.port,
    key,
    name: "staying",
    does: 1,
    options,
  });
  await staying.ready();
  const start = performance.now();
  leaving.kill("SIGTERM");
  await waitFor(() => ledger.counts().size === 10, { what: "the others elsewhere", timeout: 20_000 });
  expect(performance.now() - start).toBeLessThan(6000);
  expect(await within(20_000, leaving.exit)).toEqual([0, null]);
  await scene.settled(10);
  const runs = ledger.runs();
  expect(runs.map(({ worker }) => worker).sort()).toEqual([
    ...["leaving", "leaving"],
    ...Array.from({ length: 8 }, () => "staying"),
  ]);
  expect(runs.every(({ deliveries, to }) => deliveries === 1 && to !== null)).toBe(true);
  expect(leaving.events.find(({ type }) => type === "metrics")).toMatchObject({
    acked: 2,
    released: 8,
    inFlight: 0,
  });
});

test.concurrent("Worker – the clock of its machine jumps by hours: leases, delays and rates are unaffected", async () => {
  await using scene = await Scene.open();
  const { ledger, key, server } = scene;
  const options = { lease: 600, concurrency: 4, timeout: 5000 };
  const orders = { port: server.port, key, does: 3000, options };
  const clock = [join(import.meta.dirname, "skewed-clock.ts")];
  await using skewed = new WorkerProcess(ledger, { ...orders, name: "skewed" }, clock);
  await skewed.ready();
  await scene.add(3);
  await waitFor(() => ledger.runs().length === 3, { what: "three begun" });
  await using other = new WorkerProcess(ledger, {
    ...orders,
    name: "other",
    options: { ...options, block: 50 },
  });
  await other.ready();
  await scene.settled(3);
  // Its own leases are kept, and those of others are neither taken too early nor left lying.
  expect(ledger.runs().map(({ worker, deliveries }) => `${worker} ${deliveries}`)).toEqual(
    Array.from({ length: 3 }, () => "skewed 1"),
  );
  other.kill("SIGTERM");
  expect(await within(20_000, other.exit)).toEqual([0, null]);
  await scene.add(1, 4);
  await scene.settled(4);
  // Delivered to a consumer that is gone, and to no other before.
  await scene.watch.redis
    .multi()
    .xadd(key, "*", "n", "silent")
    .xreadgroup("GROUP", "g", "gone", "STREAMS", key, ">")
    .exec();
  const since = performance.now();
  await waitFor(() => ledger.counts().has("silent"), { what: "the silent one's", timeout: 20_000 });
  expect(performance.now() - since).toBeGreaterThan(500);
  await scene.settled(5);
  skewed.kill("SIGTERM");
  expect(await within(20_000, skewed.exit)).toEqual([0, null]);
  const metrics = skewed.events.find(({ type }) => type === "metrics")! as unknown as Record<string, number>;
  expect(metrics).toMatchObject({ acked: 5, failed: 0 });
  expect(metrics.uptime).toBeGreaterThan(6000);
  expect(metrics.uptime).toBeLessThan(120_000);
  expect(metrics.rateOut).toBeGreaterThan(0.04);
  expect(metrics.rateOut).toBeLessThan(2);
  expect(skewed.events.some(({ type }) => type === "leaseExpired")).toBe(false);
});
