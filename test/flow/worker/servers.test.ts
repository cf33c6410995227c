import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Client } from "../../../src/connection/client.ts";
import { Deliveries } from "../../../src/containers/deliveries.ts";
import { ClosedError, deadLetterKey } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { failure, within } from "../../connection/harness.ts";
import { eventsOf, run, Scene } from "./scene.ts";

test.concurrent("Worker – the server is killed under load and comes back, three times: what was acknowledged is handled", async () => {
  await using scene = await Scene.open({
    appendOnly: true,
    args: ["--appendfsync", "always", "--hz", "100"],
  });
  await using writer = scene.database();
  await using one = scene.database();
  await using two = scene.database();
  const { ledger, key, server } = scene;
  const options = { concurrency: 10, lease: 5000, retry: { maxDeliveries: 20, delay: 50 } };
  const workers = [one, two].map((db, i) => {
    const handler = ledger.handler(`worker ${i}`, async ({ data, deliveries }) => {
      await sleep(5);
      if (Number(data.n) % 10 === 0 && deliveries === 1) throw new Error("the first time");
    });
    return db.worker(db.consumerGroup("g", key), handler, options);
  });
  const running = workers.map(run);
  const producer = writer.producer(key);
  const sure = new Set<string>();
  let isOver = false;
  const producing = Array.from({ length: 4 }, async (_, p): Promise<void> => {
    for (let n = p; !isOver; n += 4) {
      for (let tries = 0; tries < 50; tries++) {
        const id: string | null = await producer.push({ n }, { idempotencyKey: String(n) }).catch(() => null);
        if (id === null) continue;
        sure.add(String(n));
        break;
      }
    }
  });
  for (let round = 1; round <= 3; round++) {
    const before = ledger.runs().length;
    await waitFor(() => ledger.runs().length > before + 100, { what: "load", timeout: 15_000 });
    await server.kill();
    await server.restart();
  }
  isOver = true;
  await within(15_000, Promise.all(producing));
  await scene.settled(sure.size, 20_000);
  for (const worker of workers) await within(3000, worker.stop());
  await Promise.all(running);
  const handled = ledger.counts();
  expect([...sure].filter((n) => !handled.has(n))).toEqual([]);
  expect(sure.size).toBeGreaterThan(200);
  expect(await scene.watch.redis.exists(deadLetterKey(key))).toBe(0);
  scene.isExclusive();
});

const LOSSES: [situation: string, fault: (scene: Scene) => Promise<unknown>][] = [
  ["the stream is deleted", ({ watch, key }) => watch.redis.del(key)],
  // Without what runs: from where the group began, that would come again.
  [
    "the group is destroyed",
    ({ watch, key }) => watch.redis.multi().xgroup("DESTROY", key, "g").xtrim(key, "MAXLEN", 0).exec(),
  ],
  ["the server is flushed", ({ watch }) => watch.redis.flushall()],
];

test.concurrent.for(LOSSES)(
  "Worker – %s while handlers run: told, made again, new entries are handled, no hot loop",
  async ([, fault]) => {
    await using scene = await Scene.open();
    await using db = scene.database();
    const { ledger, key, watch } = scene;
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const worker = db.worker(
      db.consumerGroup("g", key),
      ledger.handler("one", ({ data }) => (Number(data.n) <= 2 ? held : undefined)),
      { concurrency: 3, lease: 900, from: "latest" },
    );
    const events = eventsOf(worker);
    const running = run(worker);
    await scene.add(2);
    await waitFor(() => ledger.counts().size === 2, { what: "two begun" });
    await fault(scene);
    await waitFor(() => events.some(({ type }) => type === "groupRecreated"), {
      what: "the group",
      timeout: 10_000,
    });
    const { count, seconds } = await scene.commandsDuring(async () => {
      await scene.add(1, 3);
      await waitFor(() => ledger.counts().has("3"), { what: "a new entry", timeout: 10_000 });
      // Some looks at leases that are nobody's any more.
      const looks = await watch.calls("evalsha");
      await waitFor(async () => (await watch.calls("evalsha")) >= looks + 6, {
        interval: 100,
        timeout: 10_000,
      });
    });
    expect(count / seconds).toBeLessThan(200);
    release();
    await scene.add(1, 4);
    await scene.settled(4);
    expect(events.map(({ type }) => type).filter((type) => type.startsWith("group"))).toEqual([
      "groupMissing",
      "groupRecreated",
    ]);
    expect(ledger.runs()).toHaveLength(4);
    await worker.stop();
    await running;
    scene.isExclusive();
  },
);

test.concurrent("Worker – SCRIPT FLUSH again and again: leases, retries and dead letters go on", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key, watch } = scene;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", async ({ data, deliveries }) => {
      await sleep(20);
      if (data.n === "1") await sleep(2000);
      if (data.n === "2" || (data.n === "3" && deliveries === 1)) throw new Error("no");
    }),
    { concurrency: 5, lease: 300, retry: { maxDeliveries: 3, delay: 20 } },
  );
  const running = run(worker);
  await scene.add(50);
  await waitFor(
    async () => {
      await watch.redis.script("FLUSH");
      return ledger.counts().size === 50 && (await scene.pending()) === 0;
    },
    { what: "all settled", timeout: 15_000, interval: 20 },
  );
  expect(await scene.dead()).toEqual(["2"]);
  expect(Object.fromEntries(ledger.counts())).toMatchObject({ 1: 1, 2: 3, 3: 2, 4: 1 });
  expect(await watch.calls("script\\|flush")).toBeGreaterThan(20);
  await worker.stop();
  await running;
  scene.isExclusive();
});

test.concurrent.for([
  ["shorter", 500],
  ["longer", 4000],
] as const)(
  "Worker – the server is frozen for %s than the lease: each runs once, by its owner",
  async ([, ms]) => {
    await using scene = await Scene.open();
    await using one = scene.database();
    await using two = scene.database();
    await using three = scene.database();
    const { ledger, key, server } = scene;
    const options = { concurrency: 5, prefetch: 1, lease: 3000 };
    const workers = [one, two].map((db, i) =>
      db.worker(
        db.consumerGroup("g", key),
        ledger.handler(`worker ${i}`, () => sleep(6000)),
        options,
      ),
    );
    const running = workers.map(run);
    // One more than run at once: one of the two holds it.
    await scene.add(11);
    await waitFor(() => ledger.counts().size === 10, { what: "all slots taken" });
    const taker = new Deliveries(Client.of(three), key, "g", "taker");
    await taker.takeDue(3000, 20);
    await server.freeze();
    // The first thing that the server meets when it goes on, before anybody could renew.
    const due = taker.takeDue(3000, 20);
    await sleep(ms);
    await server.thaw();
    expect((await due).taken).toEqual([]);
    await scene.add(3, 12);
    await scene.settled(14, 20_000);
    for (const worker of workers) await within(3000, worker.stop());
    await Promise.all(running);
    expect([...ledger.counts().values()].every((count) => count === 1)).toBe(true);
    scene.isExclusive();
  },
);

test.concurrent.for([
  ["dead", "kill"],
  ["frozen", "freeze"],
] as const)("Worker.stop – the server is %s: over soon after the drain", async ([, fault]) => {
  await using scene = await Scene.open();
  const { ledger, key, server } = scene;
  const db = scene.database();
  let isAborted = false;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", (_, { signal }) => {
      return new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          isAborted = true;
          resolve(undefined);
        }),
      );
    }),
    { concurrency: 2, prefetch: 10, drain: 700 },
  );
  const running = run(worker);
  await scene.add(8);
  await waitFor(() => ledger.counts().size === 2, { what: "two begun" });
  await server[fault]();
  const start = performance.now();
  await within(6000, worker.stop());
  await within(100, running);
  expect(performance.now() - start).toBeGreaterThan(650);
  expect(performance.now() - start).toBeLessThan(700 + 2000 + 800);
  expect(isAborted).toBe(true);
  expect(worker.metrics().inFlight).toBe(0);
  await within(2500, db.close());
});

test.concurrent.for([
  ["running", false],
  ["paused", true],
] as const)(
  "Worker.run – its database is closed while it is %s: ClosedError, nothing hangs",
  async ([, isPaused]) => {
    await using scene = await Scene.open();
    const db = scene.database();
    const { ledger, key } = scene;
    const group = db.consumerGroup("g", key);
    const worker = db.worker(
      group,
      ledger.handler("one", () => sleep(300)),
      { concurrency: 2, drain: 2000 },
    );
    const running = run(worker);
    await scene.add(5);
    await waitFor(() => ledger.counts().size === 2, { what: "two begun" });
    if (isPaused) await worker.pause();
    await within(2500, db.close());
    const { error } = await failure(running, 6000);
    expect(error).toBeInstanceOf(ClosedError);
    expect(worker.isRunning).toBe(false);
    await within(100, worker.stop());
    await scene.watch.gone();
  },
);

test.concurrent("Worker.stop – while it starts on a frozen server: over within a moment, run() resolves", async () => {
  await using scene = await Scene.open();
  const { ledger, key, server } = scene;
  const db = scene.database();
  await db.ping();
  await server.freeze();
  const worker = db.worker(db.consumerGroup("g", key), ledger.handler("one"));
  const running = run(worker);
  await new Promise(setImmediate);
  await within(4000, worker.stop());
  await within(100, running);
  await within(2500, db.close());
  await server.thaw();
  await scene.watch.gone();
  expect(ledger.runs()).toEqual([]);
});
