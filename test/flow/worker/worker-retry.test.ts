import { expect, test } from "vitest";
import { z } from "zod";
import {
  DecodeError,
  type GroupMessage,
  type HandlerContext,
  HandlerTimeoutError,
  InvalidArgumentError,
  json,
  type WorkerOptions,
} from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { open } from "../../connection/harness.ts";
import { fill, Ground } from "../harness.ts";
import { deadOf, heldIn, Job, pendingIs, SOON, work } from "./job.ts";

const at = new Ground();
type Text = Record<string, string>;

/** A handler that always fails, and when it was called. */
function failing() {
  const calls: { deliveries: number; at: number }[] = [];
  const handler = ({ deliveries }: GroupMessage<Text>): never => {
    calls.push({ deliveries, at: performance.now() });
    throw new TypeError("never");
  };
  return { calls, handler };
}

test("Worker.retry – not before its delay by the server's idle time, and soon after", async () => {
  await fill(at.watch, at.key, 1);
  const { calls, handler } = failing();
  await using job = work(at, handler, { retry: { delay: 100, factor: 2, jitter: 0, maxDeliveries: 3 } });
  await pendingIs(at.watch, at.key, 0);
  expect(calls.map(({ deliveries }) => deliveries)).toEqual([1, 2, 3]);
  const waits = [calls[1]!.at - calls[0]!.at, calls[2]!.at - calls[1]!.at];
  // Server times are whole milliseconds.
  expect(waits[0]).toBeGreaterThanOrEqual(98);
  expect(waits[1]).toBeGreaterThanOrEqual(198);
  expect(waits[0]).toBeLessThan(600);
  expect(waits[1]).toBeLessThan(700);
  expect(job.of("failed").map(({ retryIn }) => retryIn)).toEqual([100, 200, null]);
});

test("Worker.retry – what waits is held under a name that says for how long, with its count", async () => {
  await fill(at.watch, at.key, 1);
  const { handler } = failing();
  await using job = work(at, handler, { retry: { delay: 12_345, jitter: 0 } });
  await waitFor(() => job.worker.metrics().retried === 1);
  expect(await heldIn(at.watch, at.key)).toEqual([{ id: "1-0", consumer: "@retry:13000", deliveries: 1 }]);
  expect(job.of("failed")[0]).toMatchObject({ stream: at.key, id: "1-0", deliveries: 1, retryIn: 13_000 });
});

test("Worker.retry – the count is the server's: what others delivered counts", async () => {
  await fill(at.watch, at.key, 1);
  const group = at.db.consumerGroup("g", at.key, { consumer: "before" });
  await group.ensure();
  await group.read();
  await at.watch.redis.xclaim(at.key, "g", "@retry:0", 0, "1-0", "RETRYCOUNT", 3, "JUSTID");
  const { calls, handler } = failing();
  await using _ = work(at, handler);
  await pendingIs(at.watch, at.key, 0);
  expect(calls.map(({ deliveries }) => deliveries)).toEqual([4, 5]);
  expect((await deadOf(at.db, at.key))[0]!.note.deliveries).toBe(5);
});

test("Worker.retry – delivered as often as it may be already: dead, without another call of the handler", async () => {
  await fill(at.watch, at.key, 2);
  const group = at.db.consumerGroup("g", at.key, { consumer: "before" });
  await group.ensure();
  await group.read();
  await at.watch.redis.xclaim(at.key, "g", "@retry:0", 0, "1-0", "RETRYCOUNT", 5, "JUSTID");
  await at.watch.redis.xclaim(at.key, "g", "@retry:0", 0, "2-0", "RETRYCOUNT", 4, "JUSTID");
  const seen: string[] = [];
  await using job = work(at, ({ id }: GroupMessage<Text>) => void seen.push(id));
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual(["2-0"]);
  expect((await deadOf(at.db, at.key)).map(({ note }) => [note.id, note.deliveries])).toEqual([["1-0", 5]]);
  expect(job.of("deadLettered")[0]).toMatchObject({ id: "1-0", deliveries: 5 });
});

test.each([
  ["", {}],
  [", in order of keys", { orderBy: ({ id }: GroupMessage<Text>) => id }],
])(
  "Worker.retry – lost in the latter half of its deliveries%s: one at a time, what lies behind at once",
  async (_, order) => {
    await fill(at.watch, at.key, 12);
    const group = at.db.consumerGroup("g", at.key, { consumer: "gone" });
    await group.ensure();
    await group.read();
    const suspects = ["1-0", "2-0", "3-0", "4-0", "5-0", "6-0"];
    await at.watch.redis.xclaim(
      at.key,
      "g",
      "gone",
      0,
      ...suspects,
      "IDLE",
      600_000,
      "RETRYCOUNT",
      3,
      "JUSTID",
    );
    const others = ["7-0", "8-0", "9-0", "10-0", "11-0", "12-0"];
    await at.watch.redis.xclaim(
      at.key,
      "g",
      "gone",
      0,
      ...others,
      "IDLE",
      600_000,
      "RETRYCOUNT",
      2,
      "JUSTID",
    );
    const begun: string[] = [];
    const held: number[] = [];
    const handler = async ({ id }: GroupMessage<Text>): Promise<void> => {
      begun.push(id);
      if (suspects.includes(id)) {
        const mine = (await heldIn(at.watch, at.key)).filter(({ consumer }) => consumer !== "gone");
        held.push(mine.filter((entry) => suspects.includes(entry.id)).length);
      } else await waitFor(() => begun.filter((one) => others.includes(one)).length === others.length);
    };
    await using _job = work(at, handler, { concurrency: 7, prefetch: 7, ...order });
    await pendingIs(at.watch, at.key, 0);
    expect(held).toEqual([1, 1, 1, 1, 1, 1]);
    // All there was room for came in one look.
    expect(begun.slice(0, 7).sort()).toEqual(["1-0", ...others].sort());
    expect(begun).toHaveLength(12);
  },
);

test("Worker.retry – a function decides by the count and the error", async () => {
  await fill(at.watch, at.key, 1);
  const asked: [number, string][] = [];
  const { calls, handler } = failing();
  const retry = (deliveries: number, error: Error) => {
    asked.push([deliveries, error.name]);
    return deliveries === 7 ? null : 0;
  };
  await using job = work(at, handler, { retry });
  await pendingIs(at.watch, at.key, 0);
  expect(calls).toHaveLength(7);
  expect(asked).toEqual([1, 2, 3, 4, 5, 6, 7].map((n) => [n, "TypeError"]));
  await expect.poll(() => job.worker.metrics()).toMatchObject({ failed: 7, retried: 6, deadLettered: 1 });
});

test("Worker.retry – a function that fails itself gives nothing up: the lease is the delay", async () => {
  await fill(at.watch, at.key, 1);
  const { calls, handler } = failing();
  const retry = (deliveries: number) => (deliveries === 1 ? "soon" : null);
  await using job = work(at, handler, { retry: retry as never, lease: 100 });
  await pendingIs(at.watch, at.key, 0);
  expect(calls.map(({ deliveries }) => deliveries)).toEqual([1, 2]);
  expect(job.of("failed").map(({ retryIn }) => retryIn)).toEqual([100, null]);
});

test("Worker.timeout – a handler past it is aborted and has failed", async () => {
  await fill(at.watch, at.key, 1);
  const reasons: unknown[] = [];
  await using job = work(
    at,
    (message: GroupMessage<Text>, { signal }: HandlerContext) => {
      if (message.deliveries > 1) return;
      return new Promise(() => signal.addEventListener("abort", () => reasons.push(signal.reason)));
    },
    { timeout: 50 },
  );
  await pendingIs(at.watch, at.key, 0);
  expect(reasons).toHaveLength(1);
  expect(reasons[0]).toBeInstanceOf(HandlerTimeoutError);
  expect(job.of("failed")[0]!.error).toBe(reasons[0]);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 1, failed: 1, inFlight: 0 });
});

test("Worker.deadLetter – by default beside the stream, as it was, with what is known of it", async () => {
  await at.watch.redis.xadd(at.key, "1-0", "n", "1", "n", "twice", "@headers", '{"region":"eu"}');
  const [before] = await at.watch.redis.time();
  const { handler } = failing();
  await using job = work(at, handler);
  const event = await job.had("deadLettered");
  const key = `{${at.key}}:dead`;
  expect(event).toMatchObject({ stream: at.key, id: "1-0", deliveries: 5, deadLetter: key });
  const [, parts] = (await at.watch.redis.xrange(key, "-", "+"))[0]!;
  expect(parts.slice(0, -2)).toEqual(["n", "1", "n", "twice", "@headers", '{"region":"eu"}']);
  const [dead] = await deadOf(at.db, at.key);
  expect(dead!.note).toEqual({
    ...{ stream: at.key, group: "g", id: "1-0", consumer: "g.c1", deliveries: 5, time: expect.any(Number) },
    error: { name: "TypeError", message: "never", stack: expect.stringContaining("worker-retry.test.ts") },
  });
  expect(dead!.note.time).toBeGreaterThanOrEqual(Number(before) * 1000);
  expect(await at.watch.redis.xlen(at.key)).toBe(1);
});

test.each<[string, (key: string) => WorkerOptions["deadLetter"], (key: string) => string | null]>([
  ["a key of one's own", (key) => `${key}-grave`, (key) => `${key}-grave`],
  ["false drops it", () => false, () => null],
  [
    "a function of the entry and the error",
    () => (entry, error) => `${entry.stream}-${entry.id}-${entry.deliveries}-${error.name}`,
    (key) => `${key}-1-0-2-TypeError`,
  ],
  ["a function that drops it", () => () => false, () => null],
])("Worker.deadLetter – %s", async (_, deadLetter, where) => {
  await fill(at.watch, at.key, 1);
  const { handler } = failing();
  const option = deadLetter(at.key) as string;
  await using job = work(at, handler, { deadLetter: option, retry: { ...SOON, maxDeliveries: 2 } });
  const event = await job.had("deadLettered");
  const key = where(at.key);
  expect(event.deadLetter).toBe(key);
  await pendingIs(at.watch, at.key, 0);
  if (key !== null) expect(await deadOf(at.db, at.key, key)).toHaveLength(1);
  const keys = await at.watch.redis.keys(`*${at.key}*`);
  expect(keys.filter((one) => !one.includes("worker:")).sort()).toEqual(
    [at.key, ...(key === null ? [] : [key])].sort(),
  );
  await expect.poll(() => job.worker.metrics()).toMatchObject({ failed: 2, deadLettered: 1, acked: 0 });
});

test.each<[string, () => unknown]>([
  [
    "throws",
    () => {
      throw new Error("my own");
    },
  ],
  ["gives no key", () => 5],
])(
  "Worker.deadLetter – a function that %s: reported, the entry is kept and comes back",
  async (_, choose) => {
    await fill(at.watch, at.key, 1);
    let isBroken = true;
    const deadLetter = () => (isBroken ? choose() : "graves") as string;
    const { handler } = failing();
    await using job = work(at, handler, { deadLetter, retry: { ...SOON, maxDeliveries: 1 }, lease: 50 });
    const { error } = await job.had("unsettled");
    expect(error instanceof InvalidArgumentError || error.message === "my own").toBe(true);
    expect(await heldIn(at.watch, at.key)).toHaveLength(1);
    isBroken = false;
    await job.had("deadLettered");
    await pendingIs(at.watch, at.key, 0);
  },
);

test("Worker – an entry that does not decode goes to the dead letters as it is, the others are handled", async () => {
  const schema = z.object({ total: z.number() });
  const bad = ["{", '{"total":"7"}'];
  for (const [i, text] of ['{"total":1}', bad[0]!, '{"total":2}', bad[1]!, '{"total":3}'].entries())
    await at.watch.redis.xadd(at.key, `${i + 1}-0`, "json", text);
  const group = at.db.consumerGroup("g", [at.key], { codec: json(), schema });
  const totals: number[] = [];
  await using job = new Job(at.db.worker(group, ({ data }) => void totals.push(data.total)));
  await pendingIs(at.watch, at.key, 0);
  expect(totals).toEqual([1, 2, 3]);
  const dead = await deadOf(at.db, at.key);
  expect(dead.map(({ fields }) => fields["json"])).toEqual(bad);
  expect(dead.map(({ note }) => [note.id, note.error.name, note.deliveries])).toEqual([
    ["2-0", "DecodeError", 1],
    ["4-0", "DecodeError", 1],
  ]);
  expect(
    job.of("failed").every(({ error, retryIn }) => error instanceof DecodeError && retryIn === null),
  ).toBe(true);
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({ read: 5, acked: 3, failed: 2, deadLettered: 2 });
});

test("Worker – an entry that does not decode and waits for a retry: dead with the server's count", async () => {
  await at.watch.redis.xadd(at.key, "1-0", "json", "{");
  const group = at.db.consumerGroup("g", [at.key], { codec: json() });
  await group.ensure();
  await at.watch.redis.xreadgroup("GROUP", "g", "before", "STREAMS", at.key, ">");
  await at.watch.redis.xclaim(at.key, "g", "@retry:0", 0, "1-0", "RETRYCOUNT", 2, "JUSTID");
  await using _ = new Job(at.db.worker(group, () => expect.unreachable()));
  await pendingIs(at.watch, at.key, 0);
  expect((await deadOf(at.db, at.key))[0]!.note.deliveries).toBe(3);
});

test("Worker – an entry redriven for another group is acknowledged unhandled, for this one handled", async () => {
  const redriven = (group: string) => ["@headers", JSON.stringify({ "redrive-group": group, redrives: "1" })];
  await at.watch.redis.xadd(at.key, "1-0", "n", 1, ...redriven("other"));
  await at.watch.redis.xadd(at.key, "2-0", "n", 2, ...redriven("g"));
  await at.watch.redis.xadd(at.key, "3-0", "n", 3);
  const seen: string[] = [];
  await using job = work(at, ({ id }: GroupMessage<Text>) => void seen.push(id));
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual(["2-0", "3-0"]);
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({
      read: 3,
      failed: 0,
      deadLettered: 0,
      handlerTime: { count: 2 },
    });
});

test("Worker – a keyPrefix stands before every key once, and in no name", async () => {
  const db = open({ ...at.server.options, keyPrefix: "p:" });
  try {
    await fill(at.watch, `p:${at.key}`, 1);
    const seen: string[] = [];
    const handler = ({ stream }: GroupMessage<Text>): never => {
      seen.push(stream);
      throw new Error("no");
    };
    const options = { retry: { ...SOON, maxDeliveries: 2 } };
    await using job = new Job(db.worker(db.consumerGroup("g", at.key), handler, options));
    await job.had("deadLettered");
    expect(seen).toEqual([at.key, at.key]);
    expect((await deadOf(at.watch.redis as never, at.key, `p:{${at.key}}:dead`))[0]!.note.stream).toBe(
      at.key,
    );
  } finally {
    db.disconnect();
  }
});
