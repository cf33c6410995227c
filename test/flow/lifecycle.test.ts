import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import { ClosedError } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, within } from "../connection/harness.ts";
import { all, fill, Ground, Log, take, upTo } from "./harness.ts";

const at = new Ground();

test("Consumer – nothing is sent before the first message is asked for", async () => {
  const before = await at.watch.calls("xread");
  await using consumer = at.db.consumer(at.key);
  consumer.status();
  expect(Client.of(at.db).wires).toBe(0);
  expect(await at.watch.calls("xread")).toBe(before);
});

test("Consumer.close – while it waits: null, at once, and the wire is free for others", async () => {
  const consumer = at.db.consumer(at.key, { follow: true });
  const waiting = [consumer.getMessage(), consumer.getMessage()];
  const [client] = await at.watch.blocked();
  await within(1000, consumer.close());
  expect(await within(1000, Promise.all(waiting))).toEqual([null, null]);
  await at.watch.blocked(0);
  expect((await at.watch.clients()).map(({ id }) => id)).toContain(client!.id);
  expect(Client.of(at.db).wires).toBe(1);
});

test("Consumer.close – twice, before it is opened, and what holds after it", async () => {
  const consumer = at.db.consumer(at.key, { follow: true });
  const log = new Log(consumer);
  await Promise.all([consumer.close(), consumer.close()]);
  await consumer.close();
  await within(500, log.ended);
  expect(await consumer.getMessage()).toBeNull();
  expect(await all(consumer)).toEqual([]);
  expect((await failure(consumer.addStream("b"))).error).toBeInstanceOf(ClosedError);
  consumer.removeStream("b");
  await within(500, new Log(consumer).ended);
});

test("Consumer.close – messages that are held are dropped; a group's stay pending", async () => {
  await fill(at.watch, at.key, 10);
  const consumer = at.db.consumer(at.db.consumerGroup("g", [at.key]));
  expect(await take(consumer, 2)).toEqual([1, 2]);
  await consumer.close();
  expect(await consumer.getMessage()).toBeNull();
  expect((await at.watch.redis.xpending(at.key, "g"))[0]).toBe(10);
});

test("Consumer.close – an entry that arrives with it stays pending, and no one is told", async () => {
  const consumer = at.db.consumer(at.db.consumerGroup("g", [at.key]), { follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  const [, message] = await Promise.all([consumer.close(), waiting, fill(at.watch, at.key, 1)]);
  expect(message).toBeNull();
  await at.watch.blocked(0);
});

test("Consumer – await using, and break, close it", async () => {
  await fill(at.watch, at.key, 3);
  let kept: { getMessage(): Promise<unknown> };
  {
    await using consumer = at.db.consumer(at.key, { from: "earliest", follow: true });
    kept = consumer;
    expect(await take(consumer, 1)).toEqual([1]);
  }
  expect(await kept.getMessage()).toBeNull();
  const broken = at.db.consumer(at.key, { from: "earliest", follow: true });
  for await (const message of broken) if (message.id === "2-0") break;
  expect(await broken.getMessage()).toBeNull();
  await at.watch.blocked(0);
});

test("Consumer – signal: before it begins, while it waits, and while messages are held", async () => {
  const reason = new Error("enough");
  const early = at.db.consumer(at.key, { signal: AbortSignal.abort(reason) });
  expect((await failure(early.getMessage())).error).toBe(reason);
  await within(500, new Log(early).ended);

  const controller = new AbortController();
  const { signal } = controller;
  const waiting = at.db.consumer(at.key, { signal, follow: true });
  const log = new Log(waiting);
  const call = waiting.getMessage();
  call.catch(() => {});
  await at.watch.blocked();
  await fill(at.watch, `${at.key}-b`, 5);
  const holding = at.db.consumer(`${at.key}-b`, { signal, from: "earliest", follow: true });
  const iterator = holding[Symbol.asyncIterator]();
  await iterator.next();
  expect(getEventListeners(signal, "abort")).not.toHaveLength(0);
  controller.abort(reason);
  expect((await failure(call)).error).toBe(reason);
  expect((await failure(iterator.next())).error).toBe(reason);
  expect((await failure(waiting.getMessage())).error).toBe(reason);
  await within(500, log.ended);
  await at.watch.blocked(0);
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

test("Consumer – signal after close: still closed by its owner, and no listener stays", async () => {
  const controller = new AbortController();
  const consumer = at.db.consumer(at.key, { signal: controller.signal, follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await consumer.close();
  expect(getEventListeners(controller.signal, "abort")).toHaveLength(0);
  controller.abort();
  expect(await waiting).toBeNull();
  expect(await consumer.getMessage()).toBeNull();
});

test("Database.close – while a consumer waits: ClosedError, also when it follows", async () => {
  const consumer = at.db.consumer(at.key, { follow: true });
  const waiting = failure(consumer.getMessage());
  await at.watch.blocked();
  await within(1500, at.db.close());
  expect((await waiting).error).toBeInstanceOf(ClosedError);
});

test("Consumer.addStream – while it is blocked: read at once, with the others", async () => {
  const [a, b, c] = [at.key, `${at.key}-b`, `${at.key}-c`];
  await fill(at.watch, b, 2);
  await using consumer = at.db.consumer(a, { follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await within(1000, Promise.all([consumer.addStream(b, "earliest"), consumer.addStream(b, "latest")]));
  expect(await within(1000, waiting)).toMatchObject({ stream: b, id: "1-0" });
  await within(1000, consumer.addStream(c));
  expect(await take(consumer, 1)).toEqual([2]);
  const last = consumer.getMessage();
  await at.watch.blocked();
  await fill(at.watch, c, 1, 7);
  expect(await within(1000, last)).toMatchObject({ stream: c, id: "7-0" });
  await fill(at.watch, a, 1, 8);
  expect(await take(consumer, 1)).toEqual([8]);
  // The shared connection, the read's, and that which pinned the added stream.
  expect(await at.watch.clients()).toHaveLength(3);
});

test("Consumer.addStream – before anything is read: pinned when it is added", async () => {
  await fill(at.watch, `${at.key}-b`, 2);
  await using consumer = at.db.consumer(at.key, { block: 2000 });
  await consumer.addStream(`${at.key}-b`);
  await fill(at.watch, `${at.key}-b`, 1, 3);
  expect(await take(consumer, 1)).toEqual([3]);
});

test("Consumer.addStream – to a group: made where it begins; to a group's stream: refused", async () => {
  const [a, b] = [at.key, `${at.key}-b`];
  await fill(at.watch, b, 3);
  const group = at.db.consumerGroup("g", [a]);
  await using consumer = at.db.consumer(group, { follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await consumer.addStream(b, "1-0");
  const message = (await within(1000, waiting))!;
  expect(message).toMatchObject({ stream: b, id: "2-0", group: "g" });
  await message.ack();
  expect((await at.watch.redis.xpending(b, "g"))[0]).toBe(1);
  await using single = at.db.consumer(group.streams[a]!);
  expect((await failure(single.addStream(b))).error).toMatchObject({
    code: "INVALID_ARGUMENT",
    argument: "key",
  });
});

test("Consumer.addStream – a key that is no stream: refused, and the others are read on", async () => {
  await at.watch.redis.set(`${at.key}-b`, "text");
  await using consumer = at.db.consumer(at.key, { follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  expect((await failure(consumer.addStream(`${at.key}-b`))).error).toMatchObject({ code: "WRONG_TYPE" });
  await fill(at.watch, at.key, 1);
  expect(await within(1000, waiting)).toMatchObject({ id: "1-0" });
});

test("Consumer.removeStream – while it is blocked, and with messages held", async () => {
  const [a, b] = [at.key, `${at.key}-b`];
  await fill(at.watch, a, 10);
  await fill(at.watch, b, 10);
  await using consumer = at.db.consumer([a, b], { from: "earliest", follow: true });
  expect(await take(consumer, 2)).toEqual([1, 1]);
  consumer.removeStream(b);
  expect(await take(consumer, 9)).toEqual(upTo(10, 2));
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await fill(at.watch, b, 1, 11);
  await fill(at.watch, a, 1, 12);
  expect(await within(1000, waiting)).toMatchObject({ stream: a, id: "12-0" });
  // Added again it begins where it is told to.
  await consumer.addStream(b, "10-0");
  expect(await take(consumer, 1)).toEqual([11]);
});

test("Consumer.removeStream – before it is opened", async () => {
  await fill(at.watch, at.key, 2);
  await fill(at.watch, `${at.key}-b`, 2);
  const consumer = at.db.consumer([at.key, `${at.key}-b`], { from: "earliest" });
  consumer.removeStream(at.key);
  consumer.removeStream("nobody");
  expect((await all(consumer)).length).toBe(2);
});

test("Consumer.removeStream – all of them: it ends; with follow it waits for another", async () => {
  const ending = at.db.consumer(at.key, { block: 60_000 });
  const end = ending.getMessage();
  await at.watch.blocked();
  ending.removeStream(at.key);
  expect(await within(1000, end)).toBeNull();
  expect(await within(500, ending.getMessage())).toBeNull();
  await ending.close();
  await using following = at.db.consumer(at.key, { follow: true });
  const waiting = following.getMessage();
  await at.watch.blocked();
  for (let i = 0; i < 3; i++) {
    following.removeStream(at.key);
    await at.watch.blocked(0);
    await following.addStream(at.key);
    await at.watch.blocked(1);
  }
  await fill(at.watch, at.key, 1);
  expect(await within(1000, waiting)).toMatchObject({ id: "1-0" });
  // The shared connection, the read's, and that which pinned the added stream.
  expect(await at.watch.clients()).toHaveLength(3);
});

test("Consumer.status – slow: the buffer was full for a second", async () => {
  await fill(at.watch, at.key, 100);
  await using consumer = at.db.consumer(at.key, { from: "earliest", follow: true, buffer: 10 });
  const log = new Log(consumer);
  await take(consumer, 1);
  const since = performance.now();
  await waitFor(() => performance.now() - since > 1050, { what: "a slow second" });
  await take(consumer, 9);
  const { heldFor, streams } = await log.had("slow", 1000);
  expect(heldFor).toBeGreaterThanOrEqual(1000);
  expect(streams).toEqual([at.key]);
});
