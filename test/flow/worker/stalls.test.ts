import { expect, test } from "vitest";
import type { GroupMessage } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { block, eventsOf, run, Scene } from "./scene.ts";

type Text = Record<string, string>;

test("Worker – others hold what it prefetched when its event loop is free again: not begun here", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key, watch } = scene;
  const group = db.consumerGroup("g", key);
  let hasBlocked = false;
  const worker = db.worker(
    group,
    ledger.handler("blocked", async ({ data }) => {
      if (data.n !== "1" || hasBlocked) return;
      hasBlocked = true;
      await waitFor(async () => (await scene.pending()) === 5, { what: "a full prefetch" });
      // The other takes them meanwhile: sent now, carried out while nothing here is looked at.
      const other = watch.redis.call(
        "xclaim",
        key,
        "g",
        "other",
        0,
        ...(await scene.ids()).slice(1),
        "JUSTID",
      );
      await new Promise(setImmediate);
      block(1500);
      await other;
    }),
    { lease: 400, prefetch: 5 },
  );
  const events = eventsOf(worker);
  await scene.add(5);
  const running = run(worker);
  await waitFor(() => events.some(({ type }) => type === "leaseExpired"), {
    what: "the report",
    timeout: 10_000,
  });
  const ids = await scene.ids();
  const expired = events.filter((event) => event.type === "leaseExpired");
  expect(new Set(expired.flatMap(({ lost }) => lost))).toEqual(new Set(ids.slice(1)));
  expect(ledger.counts().size).toBe(1);
  // The other goes silent in turn: then they are handled here, in their second delivery.
  await scene.settled(5);
  const runs = ledger.runs().filter(({ n }) => n !== "1");
  expect(runs.map(({ deliveries }) => deliveries)).toEqual([2, 2, 2, 2]);
  await worker.stop();
  await running;
  scene.isExclusive();
});

test("Worker – entries that arrive while its event loop is blocked, and another takes: not begun here", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key, watch } = scene;
  const worker = db.worker(db.consumerGroup("g", key), ledger.handler("blocked"), { lease: 600 });
  const running = run(worker);
  await watch.blocked();
  const sent = watch.redis
    .pipeline()
    .xadd(key, "1-0", "n", "taken")
    .xclaim(key, "g", "other", 0, "1-0", "JUSTID")
    .exec();
  await new Promise(setImmediate);
  block(2000);
  await sent;
  // Its reply has waited in the socket for longer than the lease.
  await scene.add(1);
  await waitFor(() => ledger.counts().has("1"), { what: "the next one" });
  expect(ledger.runs().filter(({ n, deliveries }) => n === "taken" && deliveries === 1)).toEqual([]);
  await scene.settled(2);
  expect(ledger.runs().filter(({ n }) => n === "taken")).toMatchObject([{ deliveries: 2 }]);
  await worker.stop();
  await running;
});

test.for([
  ["in a batch that fills", { batch: { size: 10, wait: 1200 }, prefetch: 10 }],
  ["behind one of their key", { orderBy: () => "same", prefetch: 10, concurrency: 2 }],
] as const)(
  "Worker – entries wait %s while the event loop is blocked, and others take them: not begun here",
  async ([, options]) => {
    await using scene = await Scene.open();
    await using db = scene.database();
    const { key, watch } = scene;
    const begun: string[] = [];
    const group = db.consumerGroup("g", key);
    const handle = async (message: GroupMessage<Text> | GroupMessage<Text>[]): Promise<void> => {
      const messages = Array.isArray(message) ? message : [message];
      begun.push(...messages.map(({ data, deliveries }) => `${data.n} ${deliveries}`));
      if (!("batch" in options) && begun.length === 1) await stall();
    };
    const stall = async (): Promise<void> => {
      await waitFor(async () => (await scene.pending()) === 4 - ("batch" in options ? 1 : 0));
      const sent = watch.redis.call(
        "xclaim",
        key,
        "g",
        "other",
        0,
        ...(await scene.ids()).slice(1),
        "JUSTID",
      );
      await new Promise(setImmediate);
      block(1500);
      // What comes next follows at once, before anything from the server is looked at.
      sent.catch(() => {});
    };
    const settings = { lease: 400, ...options } as never;
    const worker = db.worker(group, handle as never, settings);
    const events = eventsOf(worker);
    await watch.redis.xadd(key, "*", "n", "first");
    const running = run(worker);
    if ("batch" in options) {
      await waitFor(() => begun.length === 1, { timeout: 10_000 });
    }
    await scene.add(3);
    if ("batch" in options) {
      await waitFor(async () => (await scene.pending()) === 3);
      await stall();
    }
    await waitFor(() => events.some(({ type }) => type === "leaseExpired"), {
      what: "the report",
      timeout: 10_000,
    });
    await waitFor(() => begun.length === 4 && scene.pending().then((count) => count === 0), {
      timeout: 15_000,
    });
    expect(begun.slice(1).sort()).toEqual(["1 2", "2 2", "3 2"]);
    await worker.stop();
    await running;
  },
);

test("Worker – blocked for longer than the lease, its entry runs elsewhere: both acks harm nothing", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key, watch } = scene;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("blocked", async () => {
      const sent = watch.redis.call("xautoclaim", key, "g", "other", 400, "0");
      await new Promise(setImmediate);
      block(1200);
      void sent;
    }),
    { lease: 400 },
  );
  const events = eventsOf(worker);
  await scene.add(1);
  const running = run(worker);
  await waitFor(() => ledger.runs()[0]?.to != null, { timeout: 10_000 });
  // The other succeeds, too, and says so.
  const [id] = await scene.ids();
  await watch.redis.xack(key, "g", id!);
  await scene.settled(1);
  await scene.add(1, 2);
  await scene.settled(2);
  expect(events.filter(({ type }) => type === "unsettled" || type === "failed")).toEqual([]);
  await worker.stop();
  await running;
  expect(ledger.counts().get("1")).toBe(1);
});
