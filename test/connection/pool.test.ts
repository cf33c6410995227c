import { createHook } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import { ClosedError, ConsumerGroup, Stream } from "../../src/index.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, numbersOf, open, Watch, within } from "./harness.ts";

let server: Server;
let watch: Watch;

beforeAll(async () => {
  server = await startServer({ args: ["--hz", "100"] });
  watch = new Watch(server);
});
afterAll(async () => {
  watch.redis.disconnect();
  await server.stop();
});

test("Client – 50 blocked reads use 50 wires, of which at most 8 stay", async () => {
  await using db = open({ ...server.options, connectionName: "fifty" });
  await db.ping();
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on("warning", onWarning);
  const { signal } = new AbortController();
  const reads = Array.from({ length: 50 }, () => db.Stream("a").read({ block: 0, signal }));
  await watch.blocked(50, "fifty");
  process.off("warning", onWarning);
  expect(warnings).toEqual([]);
  expect(await watch.clients("fifty")).toHaveLength(51);
  await db.Stream("a").add({ n: 1 });
  for (const read of reads) expect(numbersOf(await within(2000, read))).toEqual([1]);
  await waitFor(async () => (await watch.clients("fifty")).length <= 9);
  const idle = (await watch.clients("fifty")).length;
  expect(Client.of(db).wires).toBe(idle - 1);
  const again = Array.from({ length: 8 }, () => db.Stream("a").read());
  await Promise.all(again);
  expect(await watch.clients("fifty")).toHaveLength(idle);
});

test("Client – one wire serves one read after another, of all containers of a connection", async () => {
  await using db = open({ ...server.options, connectionName: "one" });
  const group = new ConsumerGroup(db, "g", ["b", "c"]);
  await group.create();
  await new Stream(db, "b").addMany(numbered(3));
  await db.Stream("b").range();
  await group.read({ block: 1 });
  await new Stream(db, "c").read({ block: 1 });
  expect(await watch.clients("one")).toHaveLength(2);
});

test("Client – wires that the server closed while they were idle are not noticed", async () => {
  await using db = open({ ...server.options, connectionName: "killed" });
  await db.ping();
  await Promise.all(Array.from({ length: 5 }, () => db.Stream("none").read({ block: 20 })));
  const own = await db.client("ID");
  for (const { id } of await watch.clients("killed")) {
    if (Number(id) !== own) await watch.redis.client("KILL", "ID", Number(id));
  }
  await waitFor(() => Client.of(db).wires === 0);
  expect(await db.Stream("killed").addMany(numbered(2))).toHaveLength(2);
  expect(numbersOf(await db.Stream("killed").read({ block: 1 }))).toEqual([0, 1]);
  await watch.redis.del("killed");
  // Again, at once, perhaps before this process knows.
  for (const { id } of await watch.clients("killed")) {
    if (Number(id) !== own) await watch.redis.client("KILL", "ID", Number(id));
  }
  expect(await db.Stream("none").read({ block: 1 })).toEqual([]);
});

test("Client – 200 reads leave connections, listeners and timers as they were", async () => {
  await using db = open({ ...server.options, connectionName: "leak" });
  const { signal } = new AbortController();
  const stream = db.Stream("none");
  const listeners = (): number => db.eventNames().reduce((sum, event) => sum + db.listenerCount(event), 0);
  const round = async (): Promise<void> => {
    await Promise.all([stream.read({ block: 1, signal }), stream.read({ block: 1 }), stream.range()]);
  };
  await round();
  await round();
  const [clients, before] = [await watch.clients("leak"), listeners()];
  const timers = new Set<number>();
  const hook = createHook({
    init: (id, type) => type === "Timeout" && timers.add(id),
    destroy: (id) => timers.delete(id),
  }).enable();
  for (let i = 0; i < 100; i++) await round();
  await waitFor(() => timers.size <= 3, { timeout: 500, what: "the timers to be gone" });
  hook.disable();
  expect(listeners()).toBe(before);
  expect(getEventListeners(signal, "abort")).toEqual([]);
  const after = await watch.clients("leak");
  expect(after.map(({ id }) => id).sort()).toEqual(clients.map(({ id }) => id).sort());
});

test("Client – many containers on one connection add no listeners to it", async () => {
  await using db = open(server.options);
  await db.ping();
  db.Stream("a");
  const before = db.listenerCount("end");
  for (let i = 0; i < 100; i++) db.consumerGroup("g", [`s${i}`]);
  expect(db.listenerCount("end")).toBe(before);
});

test("Client – a user's connection stays the user's: our parts end, it does not", async () => {
  const redis = new Redis({ ...server.options, connectionName: "user" });
  const [stream, group] = [new Stream(redis, "d"), new ConsumerGroup(redis, "g", ["d"])];
  await group.create();
  const reads = [stream.read({ block: 0 }), group.read({ block: 0 })];
  for (const read of reads) read.catch(() => {});
  await watch.blocked(2, "user");
  Client.of(redis).close();
  for (const read of reads) expect((await failure(read)).error).toBeInstanceOf(ClosedError);
  await waitFor(async () => (await watch.clients("user")).length === 1);
  expect(await redis.ping()).toBe("PONG");
  expect(redis.status).toBe("ready");
  expect(await stream.read({ block: 1 })).toEqual([]);
  await redis.quit();
  await watch.gone("user");
});

test("Client – ends with the connection, and works again when that is connected again", async () => {
  const redis = new Redis({ ...server.options, connectionName: "again" });
  const stream = new Stream(redis, "none");
  for (const end of [() => redis.quit(), () => redis.disconnect()]) {
    const reading = failure(stream.read({ block: 0 }), 5000);
    await watch.blocked(1, "again");
    await end();
    expect((await reading).error).toBeInstanceOf(ClosedError);
    await watch.gone("again");
    expect((await failure(stream.read())).error).toBeInstanceOf(ClosedError);
    expect((await failure(stream.length())).error).toBeInstanceOf(ClosedError);
    await redis.connect();
    expect(await stream.read({ block: 1 })).toEqual([]);
  }
  redis.disconnect();
  await watch.gone("again");
});

test("Client – a subscriber's connection can still read over wires", async () => {
  await using db = open({ ...server.options, protocol: 2, connectionName: "subscriber" });
  await db.subscribe("channel");
  const controller = new AbortController();
  const reading = db.Stream("none").read({ block: 0, signal: controller.signal });
  await watch.blocked(1, "subscriber");
  controller.abort();
  expect((await failure(reading)).error).toBe(controller.signal.reason);
});
