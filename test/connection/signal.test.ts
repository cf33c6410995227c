import { createHook } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import type { Database } from "../../src/index.ts";
import { type Server, startProxy, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbersOf, open, Watch, within } from "./harness.ts";

let server: Server;
let watch: Watch;
let db: Database;
let key: string;
let keys = 0;

beforeAll(async () => {
  server = await startServer({ args: ["--hz", "100"] });
  watch = new Watch(server);
  db = open(server.options);
  await db.ping();
});
afterAll(async () => {
  await db.close();
  watch.redis.disconnect();
  await server.stop();
});
beforeEach(() => {
  key = `s${keys++}`;
});

test("Stream.read – a signal aborted before the call: nothing is sent, no connection made", async () => {
  const fresh = open({ ...server.options, connectionName: "fresh" });
  await fresh.ping();
  const group = fresh.consumerGroup("g", [key, `${key}-b`]);
  await group.create();
  const signal = AbortSignal.abort(new Error("before"));
  const calls = (await watch.calls("xread")) + (await watch.calls("xreadgroup"));
  for (const options of [{ signal }, { signal, block: 0 }]) {
    expect((await failure(fresh.Stream(key).read(options))).error).toBe(signal.reason);
    expect((await failure(fresh.Stream(key).read({ ...options, lastId: "$" }))).error).toBe(signal.reason);
    expect((await failure(group.read(options))).error).toBe(signal.reason);
    expect((await failure(group.streams[key]!.read(options))).error).toBe(signal.reason);
  }
  expect((await watch.calls("xread")) + (await watch.calls("xreadgroup"))).toBe(calls);
  expect(await watch.clients("fresh")).toHaveLength(1);
  await fresh.close();
});

test("Stream.read – an abort ends the wait within 100 ms, with its reason", async () => {
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    const controller = new AbortController();
    const reading = db.Stream(key).read({ block: 0, signal: controller.signal });
    await watch.blocked();
    controller.abort();
    const { error, took } = await failure(reading);
    expect(error).toBe(controller.signal.reason);
    expect(error).toMatchObject({ name: "AbortError" });
    times.push(took);
  }
  expect(times.sort((a, b) => a - b)[4]).toBeLessThan(100);
});

test("ConsumerGroup.read – an abort ends the wait; what comes later is for the next read", async () => {
  const group = db.consumerGroup("g", [key]);
  await group.create();
  const controller = new AbortController();
  const reading = group.read({ block: 0, signal: controller.signal });
  await watch.blocked();
  controller.abort("no more");
  expect((await failure(reading)).error).toBe("no more");
  await group.streams[key]!.add({ n: 1 });
  expect(numbersOf((await group.read())[key]!)).toEqual([1]);
});

test("Stream.read – a signal of many reads, some of which end otherwise", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const served = db.Stream(key).read({ block: 0, signal });
  const others = Array.from({ length: 5 }, () =>
    failure(db.Stream(`${key}-b`).read({ block: 0, signal }), 5000),
  );
  await watch.blocked(6);
  await db.Stream(key).add({ n: 1 });
  expect(numbersOf(await served)).toEqual([1]);
  controller.abort();
  for (const other of others) expect((await other).error).toBe(signal.reason);
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test("Stream.read – 100 aborts in a row leave no listener, no timer and no connection", async () => {
  const timers = new Set<number>();
  const hook = createHook({
    init: (id, type) => type === "Timeout" && timers.add(id),
    destroy: (id) => timers.delete(id),
  });
  const lasting = new AbortController();
  const before = await watch.clients();
  hook.enable();
  for (let i = 0; i < 100; i++) {
    const controller = new AbortController();
    const signal = AbortSignal.any([controller.signal, lasting.signal]);
    const reading = db.Stream(key).read({ block: 0, signal: i % 2 === 0 ? signal : controller.signal });
    await watch.blocked();
    controller.abort();
    await failure(reading);
    await db.Stream(key).read({ block: 1, signal: lasting.signal });
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  }
  expect(getEventListeners(lasting.signal, "abort")).toEqual([]);
  // The loop that unblocks may be in its last pause.
  await waitFor(() => timers.size <= 3, { timeout: 500, what: "the timers to be gone" });
  hook.disable();
  expect((await watch.clients()).length).toBeLessThanOrEqual(before.length + 1);
});

test("Stream.read – an abort at any moment of its beginning leaves the pool in order", async () => {
  await db.Stream(key).read({ block: 1 });
  for (let turns = 0; turns < 25; turns++) {
    const controller = new AbortController();
    const reading = failure(db.Stream(key).read({ block: 0, signal: controller.signal }));
    for (let turn = 0; turn < turns; turn++) await null;
    controller.abort(turns);
    expect((await reading).error).toBe(turns);
    // A wire that were in the pool twice would be given to two reads at once.
    const reads = [db.Stream(key).read({ block: 1 }), db.Stream(key).read({ block: 1 })];
    expect(await Promise.all(reads)).toEqual([[], []]);
  }
});

describe.concurrent("faults", () => {
  test("Stream.read – an entry that has arrived wins over the abort", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using proxy = await startProxy(own);
    await using far = open({ host: proxy.host, port: proxy.port });
    await far.ping();
    const controller = new AbortController();
    const reading = far.Stream("a").read({ block: 0, signal: controller.signal });
    await view.blocked();
    proxy.swallow();
    const id = await view.redis.xadd("a", "*", "n", "1");
    await waitFor(() => proxy.heldBytes > 0);
    controller.abort();
    proxy.pass();
    expect(await within(1000, reading)).toMatchObject([{ id }]);
  });

  test("Stream.read – abort while the connection is made to a frozen server", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using frozen = open(own.options);
    await frozen.ping();
    await own.freeze();
    const controller = new AbortController();
    const reading = frozen.Stream("a").read({ block: 0, signal: controller.signal });
    await new Promise(setImmediate);
    controller.abort();
    const { error, took } = await failure(reading);
    expect(error).toBe(controller.signal.reason);
    expect(took).toBeLessThan(100);
    await own.thaw();
    // The wire that came too late serves the next read.
    await waitFor(() => Client.of(frozen).wires === 1);
    expect(await frozen.Stream("a").read({ block: 1 })).toEqual([]);
    expect(await view.clients()).toHaveLength(2);
  });

  test("Stream.read – abort while blocked on a frozen server", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using frozen = open(own.options);
    await frozen.ping();
    const controller = new AbortController();
    const reading = frozen.Stream("a").read({ block: 0, signal: controller.signal });
    await view.blocked();
    await own.freeze();
    controller.abort();
    const { error, took } = await failure(reading);
    expect(error).toBe(controller.signal.reason);
    expect(took).toBeLessThan(1500);
    await own.thaw();
    expect(await within(2000, frozen.Stream("a").read({ block: 1 }))).toEqual([]);
  });

  test("Stream.read – abort while the server is away", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using away = open(own.options);
    await away.ping();
    const controller = new AbortController();
    const reading = away.Stream("a").read({ block: 0, signal: controller.signal });
    reading.catch(() => {});
    await view.blocked();
    await own.kill();
    await waitFor(() => away.status === "reconnecting" || away.status === "connecting");
    controller.abort();
    const { error, took } = await failure(reading);
    expect(error).toBe(controller.signal.reason);
    expect(took).toBeLessThan(200);
  });

  test("Stream.read – abort while the shared connection is busy with a blocking command of the user", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using busy = open(own.options);
    const controller = new AbortController();
    const reading = busy.Stream("a").read({ block: 0, signal: controller.signal });
    await view.blocked();
    busy.blpop("list", 0).catch(() => {});
    await view.blocked(2);
    controller.abort();
    const { error, took } = await failure(reading);
    expect(error).toBe(controller.signal.reason);
    expect(took).toBeLessThan(1500);
    await view.redis.rpush("list", "1");
  });

  test("Stream.read – abort before the shared connection was ever used", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using lazy = open({ ...own.options, lazyConnect: true });
    const controller = new AbortController();
    const reading = lazy.Stream("a").read({ block: 0, signal: controller.signal });
    await view.blocked();
    controller.abort();
    expect((await failure(reading, 500)).error).toBe(controller.signal.reason);
    await view.gone();
    expect(lazy.status).toBe("wait");
  });
});
