import { expect, test } from "vitest";
import { Events } from "../../src/ground/events.ts";
import { collect } from "../containers/harness.ts";

test("Events.listen – each listener gets what happens from then on, in order", async () => {
  const events = new Events<number>();
  events.emit(() => 1);
  const first = events.listen();
  events.emit(() => 2);
  const second = events.listen();
  events.emit(() => 3);
  events.close();
  expect(await collect(first)).toEqual([2, 3]);
  expect(await collect(second)).toEqual([3]);
});

test("Events.listen – calls that wait are served in their order", async () => {
  const events = new Events<number>();
  const listener = events.listen();
  const waiting = [listener.next(), listener.next(), listener.next()];
  events.emit(() => 1);
  events.emit(() => 2);
  events.close();
  expect(await Promise.all(waiting)).toEqual([
    { done: false, value: 1 },
    { done: false, value: 2 },
    { done: true, value: undefined },
  ]);
});

test("Events.listen – after close it ends at once", async () => {
  const events = new Events<number>();
  events.close();
  expect(await collect(events.listen())).toEqual([]);
});

test("Events.listen – break stops listening", async () => {
  const events = new Events<number>();
  const listener = events.listen();
  events.emit(() => 1);
  events.emit(() => 2);
  for await (const event of listener) {
    expect(event).toBe(1);
    break;
  }
  let isMade = false;
  events.emit(() => {
    isMade = true;
    return 3;
  });
  expect(isMade).toBe(false);
  expect(await listener.next()).toEqual({ done: true, value: undefined });
});

test("Events.listen – return ends a call that waits", async () => {
  const listener = new Events<number>().listen();
  const waiting = listener.next();
  await listener.return!();
  expect(await waiting).toEqual({ done: true, value: undefined });
});

test("Events.emit – without a listener the event is not made", () => {
  let made = 0;
  new Events<number>().emit(() => ++made);
  expect(made).toBe(0);
});

test("Events.emit – a listener that fetches nothing keeps the last 1,000", async () => {
  const events = new Events<number>();
  const listener = events.listen();
  for (let i = 0; i < 1500; i++) events.emit(() => i);
  events.close();
  const kept = await collect(listener);
  expect(kept).toHaveLength(1000);
  expect(kept[0]).toBe(500);
});

test("Events.close – twice, and nothing is told after it", async () => {
  const events = new Events<number>();
  const listener = events.listen();
  events.close();
  events.close();
  events.emit(() => 1);
  expect(await collect(listener)).toEqual([]);
});
