import { expect, test } from "vitest";
import {
  type GroupMessage,
  type Handler,
  RejectError,
  RetryError,
  SettledError,
  type WorkerOptions,
} from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { failure } from "../../connection/harness.ts";
import { fill, Ground, upTo } from "../harness.ts";
import { Desk } from "./desk.ts";
import { deadOf, heldIn, type Job, pendingIs, SOON, work as workOn } from "./job.ts";

const at = new Ground();
type Text = Record<string, string>;
type TextMessage = GroupMessage<Text>;

/** A worker on this test's stream. */
const work = (handler: Handler<Text>, options?: WorkerOptions<Text>): Job => workOn(at, handler, options);

test("Worker.ack – after success, and not before", async () => {
  await fill(at.watch, at.key, 1);
  const desk = new Desk();
  await using job = work(desk.handler);
  await desk.at(1);
  expect(await heldIn(at.watch, at.key)).toEqual([{ id: "1-0", consumer: "g.c1", deliveries: 1 }]);
  expect(job.worker.metrics().acked).toBe(0);
  await desk.end(1);
  await pendingIs(at.watch, at.key, 0);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ read: 1, acked: 1, failed: 0 });
  expect(await at.watch.redis.xlen(at.key)).toBe(1);
});

test("Worker.ack – all that end in one turn of the event loop are acknowledged by one command", async () => {
  await fill(at.watch, at.key, 200);
  const before = await at.watch.calls("xack");
  await using job = work(() => {}, { prefetch: 200 });
  await expect.poll(() => job.worker.metrics().acked).toBe(200);
  expect((await at.watch.calls("xack")) - before).toBeLessThan(40);
});

test("Worker.ack – a failed message is not acknowledged, it comes back with its count", async () => {
  await fill(at.watch, at.key, 1);
  const seen: number[] = [];
  await using job = work(({ deliveries }) => {
    seen.push(deliveries);
    if (deliveries < 3) throw new Error("no");
  });
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual([1, 2, 3]);
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({ read: 3, acked: 1, failed: 2, retried: 2, reclaimed: 2 });
});

test("Worker.ack – always: acknowledged whatever the handler does, and told as failed", async () => {
  await fill(at.watch, at.key, 2);
  const seen: string[] = [];
  await using job = work(
    ({ id }) => {
      seen.push(id);
      throw new RetryError({ delay: 0 });
    },
    { ack: "always" },
  );
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual(["1-0", "2-0"]);
  expect(job.of("failed").map(({ retryIn }) => retryIn)).toEqual([null, null]);
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({ acked: 2, failed: 2, retried: 0, deadLettered: 0 });
});

test("Worker.ack – first: acknowledged before the handler begins, at most once", async () => {
  await fill(at.watch, at.key, 2);
  const pending: Promise<number>[] = [];
  const seen: string[] = [];
  await using job = work(
    async ({ id }) => {
      seen.push(id);
      pending.push(heldIn(at.watch, at.key).then((held) => held.filter((one) => one.id === id).length));
      await pending.at(-1);
      throw new Error("no");
    },
    { ack: "first" },
  );
  await waitFor(() => job.of("failed").length === 2);
  expect(await Promise.all(pending)).toEqual([0, 0]);
  expect(seen).toEqual(["1-0", "2-0"]);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 2, failed: 2, retried: 0 });
});

test("Worker.ack – first: a verb has nothing left to say", async () => {
  await fill(at.watch, at.key, 1);
  const desk = new Desk();
  await using _ = work(desk.handler, { ack: "first" });
  const message = await desk.message(1);
  for (const verb of [message.ack(), message.retry(), message.reject("no"), message.extend()])
    expect((await failure(verb)).error).toBeInstanceOf(SettledError);
  await desk.end(1);
});

test("Worker.ack – manual: only by the message itself, in the handler or long after", async () => {
  await fill(at.watch, at.key, 2);
  const messages: TextMessage[] = [];
  await using job = work((message) => void messages.push(message), { ack: "manual", lease: 60 });
  await waitFor(() => messages.length === 2);
  const renewals = await at.watch.calls("evalsha");
  // Renewed while nobody has settled it: well beyond its lease it is there, in its first delivery.
  await waitFor(async () => (await at.watch.calls("evalsha")) > renewals + 20);
  const held = await heldIn(at.watch, at.key);
  expect(held.map(({ deliveries }) => deliveries)).toEqual([1, 1]);
  await messages[0]!.ack();
  expect((await heldIn(at.watch, at.key)).map(({ id }) => id)).toEqual(["2-0"]);
  expect(await messages[1]!.reject("late")).toBe(true);
  await pendingIs(at.watch, at.key, 0);
  expect(messages).toHaveLength(2);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 1, deadLettered: 1 });
});

test("Worker.ack – manual: a handler that throws has failed as ever", async () => {
  await fill(at.watch, at.key, 1);
  await using _ = work(
    async (message) => {
      if (message.deliveries === 1) throw new Error("no");
      await message.ack();
    },
    { ack: "manual" },
  );
  await pendingIs(at.watch, at.key, 0);
});

test.each(["success", "always", "manual"] as const)("Worker – verbs win over the policy %s", async (ack) => {
  await fill(at.watch, at.key, 3);
  const seen: string[] = [];
  await using job = work(
    async (message) => {
      seen.push(`${message.id} ${message.deliveries}`);
      if (message.id === "1-0") await message.ack();
      else if (message.id === "3-0") await message.reject("no total");
      else if (message.deliveries === 1) await message.retry({ delay: 10 });
      else await message.ack();
      // Said already what becomes of it.
      if (message.id === "1-0") throw new Error("too late to fail");
    },
    { ack, concurrency: 3 },
  );
  await waitFor(() => seen.length === 4);
  await pendingIs(at.watch, at.key, 0);
  expect(seen.slice(0, 3)).toEqual(["1-0 1", "2-0 1", "3-0 1"]);
  expect(seen[3]).toBe("2-0 2");
  const [dead] = await deadOf(at.db, at.key);
  expect(dead!.note.error).toMatchObject({
    name: "RejectError",
    message: expect.stringContaining("no total"),
  });
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({ acked: 2, failed: 1, retried: 1, deadLettered: 1 });
});

test("Worker – verbs that are not awaited hold as well", async () => {
  await fill(at.watch, at.key, 3);
  const seen: string[] = [];
  await using job = work((message) => {
    seen.push(`${message.id} ${message.deliveries}`);
    if (message.id === "1-0" || message.deliveries > 1) void message.ack();
    else if (message.id === "2-0") void message.retry({ delay: 10 });
    else void message.reject("no");
  });
  await waitFor(() => seen.length === 4);
  await pendingIs(at.watch, at.key, 0);
  expect(await deadOf(at.db, at.key)).toHaveLength(1);
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({ acked: 2, failed: 0, retried: 1, deadLettered: 1 });
});

test("Worker – the second verb of a message is a SettledError, and does nothing", async () => {
  await fill(at.watch, at.key, 3);
  const desk = new Desk();
  await using job = work(desk.handler, { concurrency: 3 });
  const verbs = (message: TextMessage) => [
    ...[() => message.ack(), () => message.retry(), () => message.reject("x"), () => message.extend()],
  ];
  for (const n of upTo(3)) {
    const message = await desk.message(n);
    const first = verbs(message)[n - 1]!();
    for (const verb of verbs(message)) {
      const { error } = await failure(verb());
      expect(error).toBeInstanceOf(SettledError);
      expect(error).toMatchObject({ id: `${n}-0` });
    }
    await first;
    await desk.end(n);
  }
  await waitFor(() => job.worker.metrics().deadLettered === 1);
  await desk.message(2);
  await desk.end(2);
  await pendingIs(at.watch, at.key, 0);
  await expect
    .poll(() => job.worker.metrics())
    .toMatchObject({ acked: 2, retried: 1, deadLettered: 1, failed: 0 });
});

test("Worker – extend: its idle time begins again, true while it is this worker's", async () => {
  await fill(at.watch, at.key, 1);
  const desk = new Desk();
  await using _ = work(desk.handler);
  const message = await desk.message(1);
  const idle = async () =>
    ((await at.watch.redis.xpending(at.key, "g", "-", "+", 1)) as [string, string, number][])[0]![2];
  await waitFor(async () => (await idle()) > 50);
  expect(await message.extend()).toBe(true);
  expect(await idle()).toBeLessThan(50);
  await at.watch.redis.xclaim(at.key, "g", "thief", 0, "1-0");
  expect(await message.extend()).toBe(false);
  expect(await message.retry()).toBe(false);
  await desk.end(1);
});

test("Worker – RetryError and RejectError say what becomes of a message", async () => {
  await fill(at.watch, at.key, 2);
  const seen: string[] = [];
  await using job = work(
    ({ id, deliveries }) => {
      seen.push(`${id} ${deliveries}`);
      if (id === "1-0") throw new RejectError("no total");
      if (deliveries === 1) throw new RetryError({ delay: { seconds: 0.03 } });
      if (deliveries === 2) throw new RetryError();
    },
    { retry: { ...SOON, delay: 50 } },
  );
  await waitFor(() => seen.length === 4);
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual(["1-0 1", "2-0 1", "2-0 2", "2-0 3"]);
  expect(job.of("failed").map(({ id, retryIn }) => [id, retryIn])).toEqual([
    ["1-0", null],
    ["2-0", 30],
    ["2-0", 50],
  ]);
  expect((await deadOf(at.db, at.key))[0]!.note).toMatchObject({ id: "1-0", deliveries: 1 });
});

test("Worker – a verb that fails after its handler has ended: the entry is let go, and comes back", async () => {
  await fill(at.watch, at.key, 1);
  await at.watch.redis.set(`{${at.key}}:dead`, "no stream");
  const refusals: unknown[] = [];
  const seen: number[] = [];
  await using job = work(
    (message) => {
      seen.push(message.deliveries);
      if (message.deliveries === 1) message.reject("no").catch((error) => refusals.push(error));
    },
    { lease: 100 },
  );
  await waitFor(() => refusals.length === 1);
  expect(refusals[0]).toMatchObject({ code: "WRONG_TYPE" });
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual([1, 2]);
  expect(job.of("unsettled")[0]).toMatchObject({ id: "1-0", error: { code: "WRONG_TYPE" } });
});

test("Worker – a verb that fails in its handler leaves the message open: the policy decides", async () => {
  await fill(at.watch, at.key, 1);
  await at.watch.redis.set(`{${at.key}}:dead`, "no stream");
  await using job = work(async (message) => {
    await message.reject("no").catch(() => {});
  });
  await pendingIs(at.watch, at.key, 0);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ acked: 1, failed: 0 });
});
