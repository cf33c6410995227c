import { describe, expect, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import { startProxy, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, numbersOf, open, Watch, within } from "./harness.ts";

const servers = { args: ["--hz", "100"] };

/** How much longer than its block a read waits before it takes its connection for dead. */
const MARGIN = 2000;

// Each waits for the margin, so they wait together.
describe.concurrent("half-open", () => {
  test("Stream.read – replies are swallowed: noticed after block and margin, read again", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using proxy = await startProxy(server);
    await using db = open({ host: proxy.host, port: proxy.port });
    await db.ping();
    const start = performance.now();
    const reading = db.Stream("a").read({ block: 300 });
    const [client] = await watch.blocked();
    proxy.swallow();
    const id = await watch.redis.xadd("a", "*", "n", "1");
    await waitFor(async () => !(await watch.clients()).some((one) => one.id === client!.id), {
      what: "the drop",
    });
    const took = performance.now() - start;
    expect(took).toBeGreaterThanOrEqual(300 + MARGIN - 50);
    expect(took).toBeLessThan(300 + MARGIN + 1500);
    proxy.pass();
    expect(await within(2000, reading)).toMatchObject([{ id }]);
  });

  test("Stream.read – the request is swallowed", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using proxy = await startProxy(server);
    await using db = open({ host: proxy.host, port: proxy.port });
    await db.Stream("a").read({ block: 1 });
    proxy.swallow("commands");
    const reading = db.Stream("a").read({ block: 50 });
    await waitFor(() => proxy.heldBytes > 0);
    const id = await watch.redis.xadd("a", "*", "n", "1");
    await waitFor(() => Client.of(db).wires === 0, { what: "the drop" });
    proxy.pass();
    expect(await within(2000, reading)).toMatchObject([{ id }]);
  });

  test("Stream.read – a frozen server: dropped, then read from it when it goes on", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using db = open(server.options);
    await db.ping();
    const start = performance.now();
    const reading = db.Stream("a").read({ block: 300 });
    await watch.blocked();
    await server.freeze();
    const adding = watch.redis.xadd("a", "*", "n", "1");
    await waitFor(() => Client.of(db).wires === 0, { what: "the drop" });
    expect(performance.now() - start).toBeLessThan(300 + MARGIN + 1500);
    await server.thaw();
    expect(await within(2000, reading)).toMatchObject([{ id: await adding }]);
  });

  test("Stream.read – a frozen server does not answer the login: bounded by connectTimeout", async () => {
    await using server = await startServer(servers);
    await using db = open({ ...server.options, connectTimeout: 200, maxRetriesPerRequest: 1 });
    await db.ping();
    await server.freeze();
    const { error, took } = await failure(db.Stream("a").read({ block: 0 }), 3000);
    expect(error).toMatchObject({ code: "CONNECTION_LOST", isSent: false });
    expect(took).toBeGreaterThan(350);
    await server.thaw();
    expect(await within(2000, db.Stream("a").read({ block: 1 }))).toEqual([]);
  });

  test("ConsumerGroup.read – replies are swallowed: the messages come by the same read", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using proxy = await startProxy(server);
    await using db = open({ host: proxy.host, port: proxy.port });
    const group = db.consumerGroup("g", ["a"]);
    await group.create();
    const reading = group.read({ block: 100 });
    const [client] = await watch.blocked();
    proxy.swallow();
    await watch.redis.xadd("a", "*", "n", "1");
    await waitFor(async () => !(await watch.clients()).some((one) => one.id === client!.id), {
      what: "the drop",
    });
    proxy.pass();
    expect(numbersOf((await within(2000, reading)).a!)).toEqual([1]);
  });
});

describe.concurrent("lost", () => {
  test("Stream.read – the server is killed and started again while a read waits", async () => {
    await using server = await startServer({ ...servers, appendOnly: true });
    await using watch = new Watch(server);
    await using db = open(server.options);
    await db.Stream("a").add({ n: 0 });
    const reading = db.Stream("a").read({ block: 0, lastId: "$" });
    await watch.blocked();
    await server.kill();
    await waitFor(() => watch.redis.status === "reconnecting");
    await server.restart();
    await watch.blocked();
    await watch.redis.xadd("a", "*", "n", "1");
    expect(numbersOf(await within(1000, reading))).toEqual([1]);
  });

  test("ConsumerGroup.read – the server is killed and started again while a read waits", async () => {
    await using server = await startServer({ ...servers, appendOnly: true });
    await using watch = new Watch(server);
    await using db = open(server.options);
    const group = db.consumerGroup("g", ["a", "b"]);
    await group.create();
    await group.a.add({ n: 0 });
    expect(numbersOf((await group.read()).a!)).toEqual([0]);
    const reading = group.read({ block: 0 });
    await watch.blocked();
    await server.kill();
    await waitFor(() => watch.redis.status === "reconnecting");
    await server.restart();
    await watch.blocked();
    await watch.redis.xadd("a", "*", "n", "1");
    const messages = await within(1000, reading);
    expect(numbersOf(messages.a!)).toEqual([1]);
    expect(Object.keys(messages)).toEqual(["a"]);
  });

  test("Stream.read – its connection is killed by an administrator, again and again", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using db = open(server.options);
    await db.ping();
    const reading = db.Stream("a").read({ block: 0 });
    for (let i = 0; i < 3; i++) {
      const [client] = await watch.blocked();
      await watch.redis.client("KILL", "ID", Number(client!.id));
    }
    await watch.blocked();
    await db.Stream("a").add({ n: 1 });
    expect(numbersOf(await within(1000, reading))).toEqual([1]);
    expect(await watch.clients()).toHaveLength(2);
  });

  test("Stream.read – lost more often than maxRetriesPerRequest allows", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using db = open({ ...server.options, maxRetriesPerRequest: 2 });
    await db.ping();
    const reading = db.Stream("a").read({ block: 0 });
    reading.catch(() => {});
    for (let i = 0; i < 3; i++) {
      const [client] = await watch.blocked();
      await watch.redis.client("KILL", "ID", Number(client!.id));
    }
    const { error } = await failure(reading);
    expect(error).toMatchObject({ code: "CONNECTION_LOST", retriable: true });
    expect(await db.Stream("a").read({ block: 1 })).toEqual([]);
  });

  test("Stream.range – the server is killed and started again between two pages", async () => {
    await using server = await startServer({ ...servers, appendOnly: true });
    await using db = open(server.options);
    await db.Stream("a").addMany(numbered(4500));
    const seen: number[] = [];
    for await (const page of db.Stream("a").range().pages()) {
      seen.push(...numbersOf(page));
      if (seen.length === 2000) {
        await server.kill();
        await server.restart();
      }
    }
    expect(seen).toEqual(Array.from({ length: 4500 }, (_, i) => i));
  });

  test("Database.select – a read that begins while the connection is made anew is in the database chosen", async () => {
    await using server = await startServer(servers);
    await using watch = new Watch(server);
    await using db = open(server.options);
    await db.select(4);
    await server.freeze();
    db.stream.destroy();
    await waitFor(() => db.status === "connect");
    const reading = db.Stream("a").read({ block: 0 });
    await new Promise(setImmediate);
    await server.thaw();
    const [client] = await watch.blocked();
    expect(client!.db).toBe("4");
    await within(2000, db.Stream("a").add({ n: 1 }));
    expect(numbersOf(await within(2000, reading))).toEqual([1]);
  });

  test("Database.select – the database that was chosen is still the wires' after a reconnection", async () => {
    await using server = await startServer({ ...servers, appendOnly: true });
    await using watch = new Watch(server);
    await using db = open(server.options);
    await db.select(4);
    await db.Stream("a").add({ n: 4 });
    const reading = db.Stream("a").read({ block: 0, lastId: "$" });
    await watch.blocked();
    await server.kill();
    await waitFor(() => watch.redis.status === "reconnecting");
    await server.restart();
    const [client] = await watch.blocked();
    expect(client!.db).toBe("4");
    await waitFor(() => db.status === "ready");
    await db.Stream("a").add({ n: 5 });
    expect(numbersOf(await within(1000, reading))).toEqual([5]);
  });
});
