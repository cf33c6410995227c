import { expect, test, vi } from "vitest";
import { z } from "zod";
import { WAITING } from "../../../src/connection/scripts.ts";
import { deadLetterKey, type GroupMessage } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { fill, Ground, upTo } from "../harness.ts";
import { Desk } from "./desk.ts";
import { heldIn, Job, pendingIs, work } from "./job.ts";

const at = new Ground();
type Text = Record<string, string>;

/** Waits until the handlers are blocked and nothing more is read: as many pending twice in a row of reads. */
async function heldAtRest(key = at.key): Promise<number> {
  let before = -1;
  let looks = await at.watch.calls("evalsha");
  return waitFor(async () => {
    const held = (await heldIn(at.watch, key)).length;
    const calls = await at.watch.calls("evalsha");
    if (held === 0 || calls <= looks) return null;
    looks = calls;
    if (held === before) return held;
    before = held;
    return null;
  });
}

test("Worker.concurrency – reached, never exceeded", async () => {
  await fill(at.watch, at.key, 100);
  const desk = new Desk();
  await using job = work(at, desk.handler, { concurrency: 7 });
  await waitFor(() => desk.open.length === 7);
  expect(job.worker.metrics().inFlight).toBe(7);
  await desk.endAll(100);
  expect(desk.most).toBe(7);
  await pendingIs(at.watch, at.key, 0);
});

test("Worker.prefetch – twice the concurrency beside what runs, by default", async () => {
  await fill(at.watch, at.key, 100);
  const desk = new Desk();
  await using _ = work(at, desk.handler, { concurrency: 3, lease: 150 });
  await waitFor(() => desk.open.length === 3);
  const held = await heldAtRest();
  expect(held).toBeGreaterThanOrEqual(3 + 3);
  expect(held).toBeLessThanOrEqual(3 + 6);
  await desk.endAll(100);
});

test("Worker.prefetch – as much as is said, shared out among the streams", async () => {
  const keys = ["a", "b", "c"].map((name) => `${at.key}${name}`);
  for (const key of keys) await fill(at.watch, key, 50);
  const desk = new Desk();
  await using job = work(at, desk.handler, { prefetch: 6, lease: 150 }, keys);
  await waitFor(() => job.worker.metrics().read >= 6);
  const held = await Promise.all(keys.map((key) => heldAtRest(key)));
  expect(Math.max(...held)).toBeLessThanOrEqual(3);
  expect(held.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(1 + 6);
  await desk.endAll(150);
});

test("Worker.prefetch – what is due is not taken up beyond it either, of all streams together", async () => {
  const keys = ["a", "b", "c", "d"].map((name) => `${at.key}${name}`);
  const group = at.db.consumerGroup("g", keys, { consumer: "before" });
  for (const key of keys) await fill(at.watch, key, 20);
  await group.ensure();
  await group.read({ count: 20 });
  for (const key of keys) {
    const ids = (await heldIn(at.watch, key)).map(({ id }) => id);
    await at.watch.redis.xclaim(key, "g", "@retry:0", 0, ...ids, "JUSTID");
  }
  const desk = new Desk();
  await using job = work(at, desk.handler, { prefetch: 4, lease: 150 }, keys);
  await waitFor(() => desk.open.length === 1);
  await heldAtRest(keys[0]);
  const mine = (await Promise.all(keys.map((key) => heldIn(at.watch, key)))).flat();
  // What is read and what is taken up are each held as far as the prefetch goes.
  expect(mine.filter(({ consumer }) => consumer === "g.c1").length).toBeLessThanOrEqual(1 + 2 * 4);
  await desk.endAll(80);
  for (const key of keys) await pendingIs(at.watch, key, 0);
  expect(job.worker.metrics().reclaimed).toBe(80);
});

test("Worker.prefetch – grows with the pace of fast handlers, up to 1,000; not where it is said", async () => {
  const readsOf = async (key: string, options: object): Promise<number> => {
    await fill(at.watch, key, 1000);
    const before = await at.watch.calls("xreadgroup");
    let [handled, most] = [0, 0];
    await using job = work(
      at,
      () => {
        handled++;
        most = Math.max(most, job.worker.metrics().read - handled);
      },
      options,
      key,
    );
    await pendingIs(at.watch, key, 0);
    expect(most).toBeLessThanOrEqual(1000);
    return (await at.watch.calls("xreadgroup")) - before;
  };
  expect(await readsOf(`${at.key}a`, {})).toBeLessThan(100);
  expect(await readsOf(`${at.key}b`, { prefetch: 5 })).toBeGreaterThanOrEqual(200);
});

test("Worker – several streams take turns, a busy one does not starve the others", async () => {
  const [busy, calm] = [`${at.key}busy`, `${at.key}calm`];
  await fill(at.watch, busy, 500);
  await fill(at.watch, calm, 20);
  const seen: string[] = [];
  await using _ = work(at, ({ stream }: GroupMessage<Text>) => void seen.push(stream), { prefetch: 20 }, [
    busy,
    calm,
  ]);
  await waitFor(() => seen.length === 520);
  expect(seen.lastIndexOf(calm)).toBeLessThan(100);
  for (const key of [busy, calm]) await pendingIs(at.watch, key, 0);
});

test("Worker.batch – as many as are there, at most the size; all acknowledged where it returns nothing", async () => {
  await fill(at.watch, at.key, 10);
  const desk = new Desk();
  await using job = work(at, desk.handler, { batch: { size: 4 } });
  await desk.at(1);
  expect(desk.begun).toEqual([[1, 2, 3, 4]]);
  await desk.end(1);
  await desk.at(5);
  await desk.end(5);
  await desk.at(9);
  await desk.end(9);
  expect(desk.begun).toEqual([upTo(4), upTo(8, 5), [9, 10]]);
  await pendingIs(at.watch, at.key, 0);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 10, handlerTime: { count: 3 } });
});

test("Worker.batch – waits to be full, but no longer than it may", async () => {
  const begun: { numbers: number[]; at: number }[] = [];
  const handler = (batch: GroupMessage<Text>[]): void =>
    void begun.push({ numbers: batch.map(({ data }) => Number(data.n)), at: performance.now() });
  await using job = work(at, handler as never, { batch: { size: 3, wait: 300 }, block: 100 });
  await at.watch.blocked();
  await fill(at.watch, at.key, 2);
  await waitFor(() => job.worker.metrics().read === 2);
  expect(begun).toEqual([]);
  await fill(at.watch, at.key, 2, 3);
  await waitFor(() => begun.length === 1);
  const full = performance.now();
  await waitFor(() => begun.length === 2);
  expect(begun.map(({ numbers }) => numbers)).toEqual([[1, 2, 3], [4]]);
  expect(begun[1]!.at - full).toBeGreaterThan(200);
  await pendingIs(at.watch, at.key, 0);
});

test("Worker.batch – what it does not name comes back, by message or by id", async () => {
  await fill(at.watch, at.key, 4);
  const seen: string[][] = [];
  const handler = (batch: GroupMessage<Text>[]) => {
    seen.push(batch.map(({ id, deliveries }) => `${id} ${deliveries}`));
    return seen.length === 1 ? [batch[0]!, "3-0"] : undefined;
  };
  await using job = work(at, handler as never, { batch: { size: 4 } });
  await pendingIs(at.watch, at.key, 0);
  expect(seen[0]).toEqual(["1-0 1", "2-0 1", "3-0 1", "4-0 1"]);
  expect(seen.slice(1).flat()).toEqual(["2-0 2", "4-0 2"]);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 4, failed: 2, retried: 2 });
});

test("Worker.batch – one that throws has failed as a whole; a message's own verb holds", async () => {
  await fill(at.watch, at.key, 3);
  const seen: string[][] = [];
  const handler = async (batch: GroupMessage<Text>[]) => {
    seen.push(batch.map(({ id }) => id));
    if (seen.length > 1) return;
    await batch[0]!.ack();
    await batch[1]!.reject("no");
    throw new Error("no");
  };
  await using job = work(at, handler as never, { batch: { size: 3 } });
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual([["1-0", "2-0", "3-0"], ["3-0"]]);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 2, retried: 1, deadLettered: 1 });
  expect(await at.watch.redis.xlen(deadLetterKey(at.key))).toBe(1);
});

test("Worker.orderBy – in order within a key, different keys at once", async () => {
  const pipeline = at.watch.redis.pipeline();
  for (const n of upTo(60)) pipeline.xadd(at.key, `${n}-0`, "n", n, "key", n % 3);
  await pipeline.exec();
  const done = new Map<string, number[]>();
  const open = new Set<string>();
  let most = 0;
  await using _ = work(
    at,
    async ({ data }: GroupMessage<Text>) => {
      const key = data.key!;
      expect(open.has(key)).toBe(false);
      open.add(key);
      most = Math.max(most, open.size);
      await new Promise((resolve) => setImmediate(resolve));
      open.delete(key);
      done.set(key, [...(done.get(key) ?? []), Number(data.n)]);
    },
    { concurrency: 10, orderBy: ({ data }) => data.key },
  );
  await pendingIs(at.watch, at.key, 0);
  expect(most).toBe(3);
  for (const key of [0, 1, 2]) expect(done.get(String(key))).toEqual(upTo(60).filter((n) => n % 3 === key));
});

test("Worker.orderBy – order holds while one of a key fails and waits for its retry; the other keys go on", async () => {
  const pipeline = at.watch.redis.pipeline();
  for (const n of upTo(9)) pipeline.xadd(at.key, `${n}-0`, "n", n, "key", n % 2);
  await pipeline.exec();
  const seen: string[] = [];
  await using job = work(
    at,
    ({ data, deliveries }: GroupMessage<Text>) => {
      seen.push(`${data.n} ${deliveries}`);
      if (data.n === "3" && deliveries < 3) throw new Error("no");
      if (data.n === "5") throw new Error("never");
    },
    {
      concurrency: 4,
      orderBy: ({ data }) => data.key,
      retry: { delay: 60, jitter: 0, factor: 1, maxDeliveries: 3 },
    },
  );
  await pendingIs(at.watch, at.key, 0);
  const odd = seen.filter((one) => Number(one.split(" ")[0]) % 2 === 1);
  expect(odd).toEqual(["1 1", "3 1", "3 2", "3 3", "5 1", "5 2", "5 3", "7 1", "9 1"]);
  expect(seen.indexOf("8 1")).toBeLessThan(seen.indexOf("3 2"));
  expect(job.worker.metrics().deadLettered).toBe(1);
});

test("Worker.orderBy – a look that another stream keeps waiting gives up no retry that has come since", async () => {
  const other = `${at.key}-other`;
  for (const key of [at.key, other]) await at.watch.redis.xgroup("CREATE", key, "g", "0", "MKSTREAM");
  await fill(at.watch, at.key, 2);
  let isReached = false;
  let pass = (): void => {};
  const passed = new Promise<void>((resolve) => {
    pass = resolve;
  });
  const schema = z.object({ n: z.string() }).refine(async ({ n }) => {
    if (n !== "99") return true;
    isReached = true;
    await passed;
    return true;
  });
  const group = at.db.consumerGroup("g", [at.key, other], { schema });
  const desk = new Desk();
  const orderBy = ({ stream }: GroupMessage<unknown>) => stream;
  const options = { orderBy, concurrency: 3, retry: { delay: 0 } };
  await using _ = new Job(at.db.worker(group, desk.handler, options));
  await desk.at(1);
  // One whose worker went silent: the look at its stream goes on until it is decoded.
  const { redis } = at.watch;
  const given = redis
    .multi()
    .xadd(other, "99-0", "n", 99)
    .xreadgroup("GROUP", "g", "ghost", "STREAMS", other, ">");
  await given.xclaim(other, "g", "ghost", 0, "99-0", "IDLE", 3_600_000).exec();
  await waitFor(() => isReached, { what: "the look" });
  await desk.end(1, new Error("no"));
  const isWaiting = async () => (await heldIn(at.watch, at.key))[0]!.consumer.startsWith(WAITING);
  await waitFor(isWaiting, { what: "the failed one to wait" });
  await at.db.ping(); // The worker knows too: its replies come by this connection.
  // Ten seconds later here; by the server's clock the retry, without a delay, is due at once.
  const { now } = performance;
  const later = vi.spyOn(performance, "now").mockImplementation(() => now.call(performance) + 10_000);
  try {
    pass();
    await waitFor(() => desk.begun.length === 3, { what: "the retry" });
    expect(desk.begun).toEqual([[1], [99], [1]]);
    await desk.endAll(4);
  } finally {
    later.mockRestore();
  }
  expect(desk.begun.at(-1)).toEqual([2]);
});
