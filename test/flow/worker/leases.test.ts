import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Client } from "../../../src/connection/client.ts";
import { Deliveries } from "../../../src/containers/deliveries.ts";
import { deadLetterKey, type GroupMessage, type WorkerEvent } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";
import { eventsOf, run, Scene } from "./scene.ts";

type Text = Record<string, string>;

test.concurrent("Worker – two with one group object and the default consumer name, handlers ten leases long: each runs once", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const group = db.consumerGroup("g", scene.key);
  const workers = ["one", "two"].map((name) =>
    db.worker(
      group,
      scene.ledger.handler(name, () => sleep(10_000)),
      { lease: 1000, concurrency: 3, prefetch: 1 },
    ),
  );
  const first = run(workers[0]!);
  await scene.add(3);
  await waitFor(() => scene.ledger.counts().size === 3, { what: "three begun" });
  const running = [first, run(workers[1]!)];
  await scene.add(3, 4);
  await scene.settled(6);
  for (const worker of workers) await worker.stop();
  await Promise.all(running);
  expect(scene.ledger.runs().map(({ deliveries }) => deliveries)).toEqual([1, 1, 1, 1, 1, 1]);
  expect(new Set(scene.ledger.runs().map(({ worker }) => worker))).toEqual(new Set(["one", "two"]));
  expect(await scene.watch.redis.xpending(scene.key, "g")).toEqual([0, null, null, null]);
});

test.concurrent("Deliveries.bury – from many connections at once: one dead letter each, acknowledged once", async () => {
  await using scene = await Scene.open();
  const { key, watch } = scene;
  await scene.add(50);
  await watch.redis.xreadgroup("GROUP", "g", "c", "STREAMS", key, ">");
  const ids = await scene.ids();
  const databases = Array.from({ length: 10 }, () => scene.database());
  const moved = await Promise.all(
    databases.flatMap((db) => {
      const deliveries = new Deliveries(Client.of(db), key, "g", "c");
      return ids.map((id) => deliveries.bury({ id, deliveries: 1 }, deadLetterKey(key), new Error("no")));
    }),
  );
  for (const db of databases) await db.close();
  expect(moved.filter((count) => count === 1)).toHaveLength(50);
  expect(moved.filter((count) => count === 0)).toHaveLength(450);
  expect((await scene.dead()).map(Number).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 50 }, (_, i) => i + 1),
  );
  expect(await scene.pending()).toBe(0);
});

test.concurrent("Deliveries.renew – an entry that is held in two deliveries, and one that is gone: each for itself", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { key, watch } = scene;
  await scene.add(2);
  const [id, other] = (await scene.ids()) as [string, string];
  await watch.redis.xreadgroup("GROUP", "g", "c", "STREAMS", key, ">");
  await watch.redis.xclaim(key, "g", "c", 0, id, "RETRYCOUNT", 2);
  await watch.redis.xack(key, "g", other);
  const deliveries = new Deliveries(Client.of(db), key, "g", "c");
  const held = [
    { id, deliveries: 1 },
    { id, deliveries: 2 },
    { id: other, deliveries: 1 },
  ];
  expect(await deliveries.renew(held)).toEqual(["lost", "kept", "gone"]);
});

test.concurrent("Deliveries.bury – dropping an entry: only in its own delivery", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  await scene.add(1);
  await scene.watch.redis.xreadgroup("GROUP", "g", "c", "STREAMS", scene.key, ">");
  const [id] = await scene.ids();
  const deliveries = new Deliveries(Client.of(db), scene.key, "g", "c");
  expect(await deliveries.bury({ id: id!, deliveries: 2 }, null, new Error("late"))).toBe(0);
  expect(await scene.pending()).toBe(1);
  expect(await deliveries.bury({ id: id!, deliveries: 1 }, null, new Error("no"))).toBe(1);
  expect([await scene.pending(), await scene.dead()]).toEqual([0, []]);
});

test.concurrent("Deliveries.wait – again, since the reply was lost: it is said to wait, and does so once", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  await scene.add(2);
  await scene.watch.redis.xreadgroup("GROUP", "g", "c", "STREAMS", scene.key, ">");
  const [failed, unbegun] = (await scene.ids()).map((id) => ({ id, deliveries: 1 }));
  const deliveries = new Deliveries(Client.of(db), scene.key, "g", "c");
  for (let times = 0; times < 2; times++) {
    expect(await deliveries.wait([failed!], 5000, true)).toEqual([failed!.id]);
    expect(await deliveries.wait([unbegun!], 0, false)).toEqual([unbegun!.id]);
  }
  // In another delivery it is not this one's affair.
  expect(await deliveries.wait([{ ...failed!, deliveries: 2 }], 5000, true)).toEqual([]);
  const rows = (await scene.watch.redis.xpending(scene.key, "g", "-", "+", 9)) as [
    string,
    string,
    number,
    number,
  ][];
  expect(rows.map(([id, holder, , count]) => [id, holder, count])).toEqual([
    [failed!.id, "@retry:5000", 1],
    [unbegun!.id, "@retry:0", 0],
  ]);
});

test.concurrent("Worker – two give up the same entries at once, one of them too late: one dead letter each", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key, watch } = scene;
  // While the first handles an entry, the second is given it; both give it up.
  const options = { lease: 20_000, retry: { maxDeliveries: 1 } };
  const fail = (): never => {
    throw new Error("no");
  };
  const first = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("first", async ({ id, deliveries }) => {
      if (deliveries === 1) await watch.redis.xclaim(key, "g", "second", 0, id, "RETRYCOUNT", 1, "JUSTID");
      fail();
    }),
    options,
  );
  const events = eventsOf(first);
  await scene.add(20);
  const running = run(first);
  await waitFor(() => ledger.runs().filter(({ to }) => to !== null).length >= 20, { timeout: 10_000 });
  const second = new Deliveries(Client.of(db), key, "g", "second");
  const ids = await scene.ids();
  const moved = await Promise.all(
    ids.map((id) => second.bury({ id, deliveries: 1 }, deadLetterKey(key), new Error("no"))),
  );
  await waitFor(async () => (await scene.pending()) === 0, { timeout: 10_000 });
  await first.stop();
  await running;
  // The first has no say any more.
  expect(events.filter(({ type }) => type === "deadLettered" || type === "unsettled")).toEqual([]);
  expect(moved).toEqual(Array.from({ length: 20 }, () => 1));
  expect((await scene.dead()).map(Number).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
});

test.concurrent("Worker – handlers that throw anything, throw at once, never return or fail too late: no slot is lost", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key } = scene;
  const late: Promise<unknown>[] = [];
  const ways: ((message: GroupMessage<Text>) => unknown)[] = [
    () => undefined,
    () => {
      throw "a string";
    },
    () => {
      throw undefined;
    },
    () => Promise.reject(null),
    () => Promise.reject({ then: "no function" }),
    () => new Promise(() => {}),
    () => {
      const failing = sleep(400).then(() => {
        throw new Error("after the timeout");
      });
      late.push(failing);
      return failing;
    },
    () => sleep(400),
    () => ({
      then: () => {
        throw new Error("then throws");
      },
    }),
    () => Object.defineProperty({}, "then", { get: () => fail("reading then throws") }),
    () => Promise.resolve().then(() => fail(Symbol("symbol") as never)),
  ];
  const fail = (reason: string): never => {
    throw reason;
  };
  const count = 50 * ways.length;
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", (message) => ways[Number(message.data.n) % ways.length]!(message)),
    { concurrency: 20, timeout: 150, retry: { maxDeliveries: 2, delay: 20 }, lease: 30_000 },
  );
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on("unhandledRejection", onUnhandled);
  await scene.add(count, ways.length);
  const running = run(worker);
  await waitFor(async () => ledger.counts().size === count && (await scene.pending()) === 0, {
    timeout: 25_000,
  });
  const good = count / ways.length;
  expect(worker.metrics()).toMatchObject({ inFlight: 0, acked: good, deadLettered: count - good });
  expect(await scene.watch.redis.xlen(deadLetterKey(key))).toBe(count - good);
  // All slots still work: so many at once.
  await scene.add(20, 100_000 - (100_000 % ways.length));
  await scene.settled(count + 1);
  await Promise.allSettled(late);
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled).toEqual([]);
  await within(3000, worker.stop());
  await running;
});

test.concurrent("Worker – the dead letters' key has another type: told, kept, no hot loop, moved once that is mended", async () => {
  await using scene = await Scene.open();
  await using db = scene.database();
  const { ledger, key, watch } = scene;
  await watch.redis.set(deadLetterKey(key), "a string");
  const worker = db.worker(
    db.consumerGroup("g", key),
    ledger.handler("one", ({ data }) => {
      if (data.n === "1") throw new Error("never");
    }),
    { lease: 600, retry: { maxDeliveries: 1 } },
  );
  const events = eventsOf(worker);
  const running = run(worker);
  await scene.add(5);
  const isUnsettled = (event: WorkerEvent): boolean => event.type === "unsettled";
  const { count, seconds } = await scene.commandsDuring(() =>
    waitFor(() => events.filter(isUnsettled).length >= 3, { what: "three reports", timeout: 10_000 }),
  );
  expect(count / seconds).toBeLessThan(100);
  expect(seconds).toBeGreaterThan(1);
  expect(events.find(isUnsettled)).toMatchObject({ deliveries: 1, error: { code: "WRONG_TYPE" } });
  expect(await scene.pending()).toBe(1);
  expect(ledger.counts()).toEqual(new Map(["1", "2", "3", "4", "5"].map((n) => [n, 1])));
  await watch.redis.del(deadLetterKey(key));
  await waitFor(async () => (await scene.dead()).length === 1 && (await scene.pending()) === 0, {
    timeout: 10_000,
  });
  expect(await scene.dead()).toEqual(["1"]);
  await worker.stop();
  await running;
});
