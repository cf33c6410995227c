import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { ClosedError } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { upTo } from "../harness.ts";
import { Desk } from "./desk.ts";
import { FakeHost, task } from "./fake-host.ts";

const tasks = (count: number) => upTo(count).map((n) => task(n));

test("Crew – one at a time by default, in order", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler);
  await host.give(...tasks(3));
  for (const n of upTo(3)) {
    expect(desk.numbers).toEqual([n]);
    await desk.end(n);
  }
  expect(host.ended).toEqual(upTo(3).map((n) => ({ n, error: null })));
  expect([desk.most, host.crew.isIdle]).toEqual([1, true]);
});

test("Crew – as many as may run do, never more, whatever ends first", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { concurrency: 3 });
  await host.give(...tasks(8));
  host.crew.start();
  expect(desk.numbers).toEqual([1, 2, 3]);
  expect([host.crew.running, host.counters.inFlight]).toEqual([3, 3]);
  await desk.end(2);
  expect(desk.numbers).toEqual([1, 3, 4]);
  await desk.end(4, new Error("no"));
  expect(desk.numbers).toEqual([1, 3, 5]);
  for (const n of [1, 3, 5, 6, 7, 8]) await desk.end(n);
  expect([desk.most, desk.begun.length, host.counters.inFlight]).toEqual([3, 8, 0]);
  expect(host.counters.times.summary().count).toBe(8);
});

test("Crew – handlers that return at once run to the end of the queue, without a stack for each", async () => {
  let handled = 0;
  const host = new FakeHost(() => void handled++);
  await host.give(...tasks(20_000));
  // No timer's turn was due in so short a time; the rest follows where it took longer.
  return waitFor(() => handled === 20_000 && host.crew.isIdle);
});

test("Crew – many handlers that do not wait let timers and sockets have their turn", async () => {
  let handled = 0;
  const host = new FakeHost(() => {
    const until = performance.now() + 2;
    while (performance.now() < until);
    handled++;
  });
  host.queue.push(...tasks(40));
  host.crew.start();
  const atOnce = handled;
  expect(atOnce).toBeGreaterThan(0);
  expect(atOnce).toBeLessThan(20);
  host.crew.start();
  expect(handled).toBe(atOnce);
  const seen: number[] = [];
  while (handled < 40) {
    await turn();
    seen.push(handled);
  }
  expect(seen.length).toBeGreaterThan(3);
  expect(host.numbers).toEqual(upTo(40));
});

test("Crew.abort – all that run are told, with the reason", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { concurrency: 2 });
  await host.give(...tasks(3));
  const contexts = desk.open.map(({ context }) => context);
  const reason = new ClosedError("enough");
  host.crew.abort(reason);
  expect(contexts.map(({ signal }) => signal.reason)).toEqual([reason, reason]);
  await desk.end(1);
  expect(desk.open.at(-1)!.context.signal.aborted).toBe(false);
});

test("Crew – acknowledged first: the handler begins when the server has it", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { ack: "first" });
  let answer: () => void = () => {};
  host.answer = new Promise((resolve) => {
    answer = resolve;
  });
  await host.give(...tasks(2));
  await turn();
  expect([host.acknowledged, desk.begun, host.crew.running]).toEqual([[1], [], 1]);
  answer();
  await turn();
  expect(desk.begun).toEqual([[1]]);
  await desk.end(1);
  expect(host.acknowledged).toEqual([1, 2]);
});

test("Crew – acknowledged first: aborted before the server has it, the handler does not begin", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { ack: "first" });
  let answer: () => void = () => {};
  host.answer = new Promise((resolve) => {
    answer = resolve;
  });
  await host.give(task(1));
  const reason = new ClosedError("enough");
  host.crew.abort(reason);
  answer();
  await turn();
  expect(desk.begun).toEqual([]);
  expect(host.ended).toEqual([{ n: 1, error: reason }]);
  expect(host.crew.isIdle).toBe(true);
});

test("Crew – in batches: as many as are there, never more than the size", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { batch: { size: 3 }, concurrency: 2 });
  await host.give(...tasks(8));
  expect(desk.begun).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  expect([host.crew.running, host.counters.inFlight]).toEqual([2, 6]);
  await desk.end(1);
  expect(desk.begun.at(-1)).toEqual([7, 8]);
  await desk.end(4);
  await desk.end(7);
  expect(host.numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect([host.counters.inFlight, host.counters.times.summary().count]).toEqual([0, 3]);
});

test("Crew – in batches that wait: called when full, or when the time since its first message is over", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { batch: { size: 3, wait: 60_000 }, concurrency: 9 });
  await host.give(task(1), task(2));
  expect([desk.begun, host.crew.isIdle]).toEqual([[], false]);
  await host.give(task(3), task(4));
  expect(desk.begun).toEqual([[1, 2, 3]]);
  expect(host.crew.takeBack([]).map(({ message }) => message.data.n)).toEqual([4]);
  await desk.end(1);
  expect(host.crew.isIdle).toBe(true);
  const short = new FakeHost(desk.handler, { batch: { size: 3, wait: 30 } });
  const given = performance.now();
  await short.give(task(5));
  await short.give(task(6));
  await waitFor(() => desk.begun.length === 2);
  expect(desk.begun[1]).toEqual([5, 6]);
  expect(performance.now() - given).toBeGreaterThanOrEqual(29);
});

test("Crew – a batch that became full leaves no timer to the next", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { batch: { size: 2, wait: 60_000 } });
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = timers();
  await host.give(task(1));
  expect(timers()).toBe(before + 1);
  await host.give(task(2));
  expect(desk.begun).toEqual([[1, 2]]);
  expect(timers()).toBe(before);
  await desk.end(1);
});

test("Crew – in batches that wait: not where nothing more is read", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { batch: { size: 3, wait: 60_000 } });
  host.isOpen = false;
  await host.give(task(1));
  expect(desk.begun).toEqual([[1]]);
});

test("Crew – a batch leaves out what is not this worker's any more", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { batch: { size: 3, wait: 60_000 } });
  const [lost, kept, last] = tasks(3);
  await host.give(lost!, kept!);
  lost!.isGone = true;
  await host.give(last!);
  expect(desk.begun).toEqual([[2, 3]]);
});

/** What becomes of a batch of the messages 1 to 4 whose handler gives something. */
async function judged(result: (batch: readonly { readonly id: string }[]) => unknown) {
  const host = new FakeHost(async (batch: unknown) => result(batch as never) as never, {
    batch: { size: 4 },
  });
  await host.give(...tasks(4));
  await waitFor(() => host.ended.length === 4 && host.crew.isIdle);
  return host.ended.map(({ error }) => (error === null ? "done" : error.message));
}

test("Crew – the result of a batch handler: nothing, or which are done", async () => {
  const all = ["done", "done", "done", "done"];
  expect(await judged(() => undefined)).toEqual(all);
  expect(await judged(() => null)).toEqual(all);
  const open = "the batch handler did not name it among those that are done";
  const some = ["done", open, "done", open];
  expect(await judged((batch) => [batch[0], batch[2]])).toEqual(some);
  expect(await judged(() => ["1-0", "3-0"])).toEqual(some);
  expect(await judged((batch) => new Set([batch[0], "3-0"]))).toEqual(some);
  expect(
    await judged(function* (batch) {
      yield batch[2];
      yield "1-0";
    }),
  ).toEqual(some);
  expect(await judged(() => [])).toEqual([open, open, open, open]);
});

test.each<[string, () => unknown, string]>([
  ["a number", () => 4, "nothing, or the messages or ids that are done, got 4"],
  ["true", () => true, "nothing, or the messages or ids that are done, got true"],
  ["a string", () => "1-0", 'nothing, or the messages or ids that are done, got "1-0"'],
  ["an object", () => ({ done: true }), "nothing, or the messages or ids that are done, got an object"],
  ["ids of others", () => ["1-0", "9-0"], 'of messages or ids of the batch, got "9-0"'],
  ["a list with a hole", () => ["1-0", undefined], "of messages or ids of the batch, got undefined"],
  ["other messages", () => [task(1).message], "of messages or ids of the batch, got an object of class"],
])("Crew – a batch handler that gives %s: all have failed, by name", async (_, result, text) => {
  const messages = await judged(result);
  expect(messages).toHaveLength(4);
  for (const message of messages) expect(message).toContain(`result of a batch handler must be ${text}`);
});

test("Crew – a batch handler whose result throws when it is gone through: all have failed", async () => {
  const thrown = await judged(function* () {
    yield "1-0";
    throw new Error("half way");
  });
  expect(thrown).toEqual(["half way", "half way", "half way", "half way"]);
  const sync = new FakeHost(
    // biome-ignore lint/correctness/useYield: it throws before
    function* () {
      throw new Error("at once");
    } as never,
    { batch: { size: 2 } },
  );
  await sync.give(...tasks(2));
  expect(sync.ended.map(({ error }) => error?.message)).toEqual(["at once", "at once"]);
  expect(sync.crew.isIdle).toBe(true);
});

test("Crew – a batch handler that throws: all have failed with that", async () => {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { batch: { size: 2 } });
  await host.give(...tasks(3));
  const error = new Error("no");
  await desk.end(1, error);
  expect(host.ended).toEqual([
    { n: 1, error },
    { n: 2, error },
  ]);
  expect(desk.numbers).toEqual([3]);
});
