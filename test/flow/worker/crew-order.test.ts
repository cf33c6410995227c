import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { waitFor } from "../../../src/testing/index.ts";
import { markSettled } from "../../../src/wire/message.ts";
import { upTo } from "../harness.ts";
import { Desk } from "./desk.ts";
import { FakeHost, task } from "./fake-host.ts";

/** A crew that keeps the messages of a key in order, three at a time. */
function ordered(concurrency = 3) {
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { concurrency, orderBy: ({ data }) => data.key });
  return { desk, host, crew: host.crew };
}

test("Crew.orderBy – one after another within a key, different keys at once", async () => {
  const { desk, host } = ordered();
  await host.give(task(1, "a"), task(2, "a"), task(3, "b"), task(4, "a"), task(5, "b"), task(6, "c"));
  expect(desk.numbers).toEqual([1, 3, 6]);
  await desk.end(3);
  expect(desk.numbers).toEqual([1, 6, 5]);
  await desk.end(1);
  expect(desk.numbers).toEqual([6, 5, 2]);
  await desk.end(2);
  expect(desk.numbers).toEqual([6, 5, 4]);
  for (const n of [4, 5, 6]) await desk.end(n);
  expect(host.crew.isIdle).toBe(true);
});

test("Crew.orderBy – any value is a key: undefined, NaN, objects by identity", async () => {
  const one = {};
  const keys = [undefined, undefined, Number.NaN, Number.NaN, one, one, {}];
  const desk = new Desk();
  const host = new FakeHost(desk.handler, { concurrency: 9, orderBy: ({ data }) => keys[data.n - 1] });
  await host.give(...upTo(7).map((n) => task(n)));
  expect(desk.numbers).toEqual([1, 3, 5, 7]);
});

test("Crew.orderBy – a function that throws fails its message, and no other", async () => {
  const desk = new Desk();
  const error = new TypeError("no key");
  const host = new FakeHost(desk.handler, {
    orderBy: ({ data }) => {
      if (data.n === 1) throw error;
      return 0;
    },
  });
  await host.give(task(1), task(2), task(3));
  expect(host.ended).toEqual([{ n: 1, error }]);
  expect(desk.numbers).toEqual([2]);
  await desk.end(2);
  expect(desk.numbers).toEqual([3]);
});

test("Crew.orderBy – a failed message keeps those behind it waiting until it is retried", async () => {
  const { desk, host, crew } = ordered();
  const first = task(1, "a");
  await host.give(first, task(2, "a"), task(3, "b"));
  await desk.end(1, new Error("no"));
  expect(desk.numbers).toEqual([3]);
  crew.settled(first, 500);
  await host.give(task(4, "a"));
  expect(desk.numbers).toEqual([3]);
  const again = task(1, "a");
  await host.give(again);
  expect(desk.numbers).toEqual([3, 1]);
  await desk.end(1);
  expect(desk.numbers).toEqual([3, 2]);
  await desk.end(2);
  expect(desk.numbers).toEqual([3, 4]);
});

test("Crew.orderBy – a message of another stream with the id of one that waits for its retry is not that one", async () => {
  const { desk, host, crew } = ordered();
  const first = task(1, "a");
  await host.give(first, task(2, "a"));
  await desk.end(1, new Error("no"));
  crew.settled(first, 500);
  await host.give(task(1, "a", "other"));
  expect(desk.numbers).toEqual([]);
  await host.give(task(1, "a"));
  await desk.end(1);
  expect(desk.numbers).toEqual([2]);
});

test("Crew.orderBy – a failed message that is dead lets the next go on", async () => {
  const { desk, host, crew } = ordered();
  const first = task(1, "a");
  await host.give(first, task(2, "a"));
  await desk.end(1, new Error("no"));
  expect(desk.numbers).toEqual([]);
  crew.settled(first, null);
  await turn();
  expect(desk.numbers).toEqual([2]);
});

test("Crew.orderBy – what its handler settles goes on when both have ended, the server's part and the handler", async () => {
  for (const isServerFirst of [true, false]) {
    const { desk, host, crew } = ordered();
    const first = task(1, "a");
    await host.give(first, task(2, "a"));
    markSettled(first.message);
    const settle = (): void => {
      first.isSettled = true;
      crew.settled(first, null);
    };
    if (isServerFirst) settle();
    else await desk.end(1);
    await turn();
    expect(desk.begun).toHaveLength(1);
    if (isServerFirst) await desk.end(1);
    else settle();
    await turn();
    expect(desk.numbers).toEqual([2]);
  }
});

test("Crew.orderBy – a retry that comes while its first handler still runs: those behind wait for the retry", async () => {
  const { desk, host, crew } = ordered();
  const first = task(1, "a");
  await host.give(first, task(2, "a"));
  // By a verb, of which the handler did not make its last act.
  markSettled(first.message);
  first.isSettled = true;
  crew.settled(first, 0);
  const again = task(1, "a");
  await host.give(again);
  expect(desk.begun).toEqual([[1], [1]]);
  await desk.end(1);
  expect(desk.begun).toEqual([[1], [1]]);
  await desk.end(1);
  expect(desk.begun).toEqual([[1], [1], [2]]);
});

test("Crew.giveUp – a retry that does not come is not waited for for ever", async () => {
  const { desk, host, crew } = ordered();
  const first = task(1, "a");
  await host.give(first, task(2, "a"), task(3, "a"));
  await desk.end(1, new Error("no"));
  crew.settled(first, 1000);
  const now = performance.now();
  crew.giveUp(now + 1000);
  await turn();
  expect(desk.numbers).toEqual([]);
  crew.giveUp(now + 10_000);
  await turn();
  expect(desk.numbers).toEqual([2]);
  // Should it come after all, it is in line with the others.
  await host.give(task(1, "a"));
  expect(desk.numbers).toEqual([2]);
  await desk.end(2);
  await desk.end(3);
  expect(desk.numbers).toEqual([1]);
});

test("Crew.giveUp – a retry that has come and waits for a free handler goes before those behind it", async () => {
  const { desk, host, crew } = ordered(1);
  const first = task(1, "a");
  await host.give(first, task(2, "a"));
  await desk.end(1, new Error("no"));
  crew.settled(first, 1000);
  await host.give(task(3, "b"));
  expect(desk.numbers).toEqual([3]);
  await host.give(task(1, "a"));
  crew.giveUp(performance.now() + 10_000);
  await desk.end(3);
  expect(desk.numbers).toEqual([1]);
  await desk.end(1);
  expect(desk.numbers).toEqual([2]);
});

test("Crew.orderBy – what may be another's by now keeps those behind it waiting until that is known", async () => {
  const { desk, host, crew } = ordered();
  const doubted = task(1, "a");
  host.doubted = doubted;
  await host.give(doubted, task(2, "a"), task(3, "b"));
  expect(desk.numbers).toEqual([3]);
  host.doubted = null;
  crew.again(doubted);
  await host.give();
  expect(desk.numbers).toEqual([3, 1]);
  await desk.end(1);
  expect(desk.numbers).toEqual([3, 2]);
});

test("Crew.orderBy – what is lost while it waits is not begun, the next one is", async () => {
  const { desk, host } = ordered();
  const lost = task(2, "a");
  await host.give(task(1, "a"), lost, task(3, "a"));
  lost.isGone = true;
  await desk.end(1);
  expect(desk.numbers).toEqual([3]);
});

test("Crew.orderBy – a busy key does not keep the others from running, nor fill the memory", async () => {
  const { desk, host } = ordered(2);
  await host.give(...upTo(1500).map((n) => task(n, "a")), task(1501, "b"));
  expect(desk.numbers).toEqual([1]);
  // 1,000 wait, the rest is not even taken.
  await waitFor(() => host.queue.length === 500);
  await desk.end(1);
  expect(desk.numbers).toEqual([2]);
  await waitFor(() => host.queue.length === 499);
  await turn();
  expect(host.queue).toHaveLength(499);
});

test("Crew.takeBack – all that has not begun, once; what runs goes on, and its key is free after it", async () => {
  const { desk, host, crew } = ordered();
  await host.give(task(1, "a"), task(2, "a"), task(3, "a"), task(4, "b"));
  expect(crew.takeBack([]).map(({ message }) => message.data.n)).toEqual([2, 3]);
  expect(crew.takeBack([])).toEqual([]);
  expect(desk.numbers).toEqual([1, 4]);
  await host.give(task(5, "a"));
  expect(desk.numbers).toEqual([1, 4]);
  await desk.end(1);
  expect(desk.numbers).toEqual([4, 5]);
});

test("Crew.takeBack – a key whose next message had its turn but no room is free again", async () => {
  const { desk, host, crew } = ordered(1);
  const first = task(1, "a");
  await host.give(first, task(2, "a"), task(5, "a"), task(3, "b"));
  await desk.end(1, new Error("no"));
  expect(desk.numbers).toEqual([3]);
  crew.settled(first, null);
  expect(crew.takeBack([]).map(({ message }) => message.data.n)).toEqual([2, 5]);
  await desk.end(3);
  await host.give(task(4, "a"));
  expect(desk.numbers).toEqual([4]);
});

test("Crew.takeBack – a key that waits for a retry is free again", async () => {
  const { desk, host, crew } = ordered();
  const first = task(1, "a");
  await host.give(first, task(2, "a"));
  await desk.end(1, new Error("no"));
  crew.settled(first, 60_000);
  expect(crew.takeBack([]).map(({ message }) => message.data.n)).toEqual([2]);
  expect(crew.isIdle).toBe(true);
  await host.give(task(3, "a"));
  expect(desk.numbers).toEqual([3]);
});
