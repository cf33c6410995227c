import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Server, startProxy, startServer, type TcpProxy, waitFor } from "../../src/testing/index.ts";

let server: Server;
let proxy: TcpProxy;
let direct: Redis;
const redises: Redis[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  server = await startServer();
  direct = new Redis(server.options);
});
afterAll(async () => {
  direct.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await direct.flushall();
  proxy = await startProxy(server);
});
afterEach(async () => {
  for (const redis of redises.splice(0)) redis.disconnect();
  for (const socket of sockets.splice(0)) socket.destroy();
  await proxy.close();
});

function viaProxy(): Redis {
  const redis = new Redis({ ...server.options, port: proxy.port, retryStrategy: () => 10 });
  redis.on("error", () => {});
  redises.push(redis);
  return redis;
}

/** A bare connection through the proxy, with all it has received. */
function bare(): { socket: Socket; received: () => string; isClosed: () => boolean } {
  const socket = connectSocket(proxy.port, proxy.host);
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString();
  });
  socket.on("error", () => {});
  sockets.push(socket);
  return { socket, received: () => text, isClosed: () => socket.destroyed };
}

test("startProxy – forwards, and counts connections", async () => {
  expect(proxy.target).toEqual({ host: server.host, port: server.port });
  const redis = viaProxy();
  await redis.set("a", "1");
  expect(await direct.get("a")).toBe("1");
  expect(proxy.connections).toBe(1);
  const other = bare();
  other.socket.write("PING\r\n");
  await waitFor(() => other.received() === "+PONG\r\n");
  expect(proxy.connections).toBe(2);
  other.socket.end();
  await waitFor(() => proxy.connections === 1);
});

test("startProxy – large values both ways", async () => {
  const redis = viaProxy();
  const value = "x".repeat(20_000_000);
  await redis.set("big", value);
  expect((await redis.get("big")) === value).toBe(true);
});

test("cut – all connections, and new ones go on", async () => {
  const redis = viaProxy();
  const other = bare();
  other.socket.write("PING\r\n");
  await redis.ping();
  await waitFor(() => other.received() !== "");
  const closed = once(redis, "close");
  proxy.cut();
  await closed;
  await waitFor(other.isClosed);
  expect(await redis.ping()).toBe("PONG");
});

test("cut – a reply that was swallowed is lost", async () => {
  const one = bare();
  proxy.swallow();
  one.socket.write("INCR n\r\n");
  await waitFor(() => proxy.heldBytes === 4, { what: "the reply to be held" });
  proxy.cut();
  await waitFor(one.isClosed);
  expect(one.received()).toBe("");
  expect(proxy.heldBytes).toBe(0);
  expect(await direct.get("n")).toBe("1");
});

test("swallow and pass – replies come late, in order", async () => {
  const one = bare();
  one.socket.write("PING\r\n");
  await waitFor(() => one.received() === "+PONG\r\n");
  proxy.swallow();
  one.socket.write("INCR n\r\nINCR n\r\n");
  await waitFor(() => proxy.heldBytes === 8);
  expect(await direct.get("n")).toBe("2");
  expect(one.received()).toBe("+PONG\r\n");
  expect(proxy.connections).toBe(1);
  proxy.pass();
  await waitFor(() => one.received() === "+PONG\r\n:1\r\n:2\r\n");
});

test("swallow – a connection made meanwhile", async () => {
  proxy.swallow("both");
  const one = bare();
  one.socket.write("INCR n\r\n");
  await waitFor(() => proxy.heldBytes === 8);
  proxy.pass("commands");
  await waitFor(() => proxy.heldBytes === 4);
  expect(one.received()).toBe("");
  proxy.pass("replies");
  await waitFor(() => one.received() === ":1\r\n");
});

test("swallow – commands only", async () => {
  const one = bare();
  proxy.swallow("commands");
  one.socket.write("INCR n\r\n");
  await waitFor(() => proxy.heldBytes === 8);
  expect(await direct.get("n")).toBeNull();
  proxy.pass();
  await waitFor(() => one.received() === ":1\r\n");
});

test("swallow – the server's end is held back too", async () => {
  const one = bare();
  one.socket.write("CLIENT ID\r\n");
  await waitFor(() => one.received().endsWith("\r\n"));
  proxy.swallow();
  await direct.client("KILL", "ID", Number(one.received().slice(1)));
  one.socket.write("PING\r\n");
  const two = bare();
  two.socket.write("PING\r\n");
  await waitFor(() => proxy.heldBytes === 7);
  expect(one.isClosed()).toBe(false);
  proxy.pass();
  await waitFor(one.isClosed);
  await waitFor(() => two.received() === "+PONG\r\n");
});

test("swallow – the client's end is passed on", async () => {
  const one = bare();
  one.socket.write("CLIENT SETNAME one\r\n");
  await waitFor(() => one.received() === "+OK\r\n");
  proxy.swallow();
  one.socket.destroy();
  await waitFor(async () => !String(await direct.client("LIST")).includes("name=one"));
  await waitFor(() => proxy.connections === 0);
});

test("cutAfter – in the middle of a reply, others stay", async () => {
  await direct.set("a", "0123456789");
  const [one, two] = [bare(), bare()];
  two.socket.write("PING\r\n");
  await waitFor(() => two.received() === "+PONG\r\n");
  const cut = proxy.cutAfter(8);
  one.socket.write("GET a\r\n");
  await cut;
  await waitFor(one.isClosed);
  expect(one.received()).toBe("$10\r\n012");
  two.socket.write("GET a\r\n");
  await waitFor(() => two.received() === "+PONG\r\n$10\r\n0123456789\r\n");
});

test("cutAfter – nothing of the reply, and more than one reply", async () => {
  const one = bare();
  void proxy.cutAfter(0);
  one.socket.write("INCR n\r\n");
  await waitFor(one.isClosed);
  expect(one.received()).toBe("");
  expect(await direct.get("n")).toBe("1");
  const two = bare();
  const cut = proxy.cutAfter(6);
  two.socket.write("INCR n\r\n");
  await waitFor(() => two.received() === ":2\r\n");
  two.socket.write("INCR n\r\n");
  await cut;
  await waitFor(two.isClosed);
  expect(two.received()).toBe(":2\r\n:3");
});

test("cutAfter – exactly one reply", async () => {
  const one = bare();
  const cut = proxy.cutAfter(4);
  one.socket.write("INCR n\r\n");
  await cut;
  await waitFor(one.isClosed);
  expect(one.received()).toBe(":1\r\n");
});

test("cutAfter – counts anew when the connection ends before", async () => {
  const one = bare();
  const cut = proxy.cutAfter(6);
  one.socket.write("INCR n\r\n");
  await waitFor(() => one.received() === ":1\r\n");
  one.socket.destroy();
  await waitFor(() => proxy.connections === 0);
  const two = bare();
  two.socket.write("INCR n\r\nINCR n\r\n");
  await cut;
  await waitFor(two.isClosed);
  expect(two.received()).toBe(":2\r\n:3");
});

test("cutAfter – replies that are swallowed count when they pass", async () => {
  proxy.swallow();
  const one = bare();
  const cut = proxy.cutAfter(2);
  one.socket.write("PING\r\n");
  await waitFor(() => proxy.heldBytes === 7);
  expect(one.isClosed()).toBe(false);
  proxy.pass();
  await cut;
  await waitFor(one.isClosed);
  expect(one.received()).toBe("+P");
});

test("cutAfter – replaced or closed, the promise resolves", async () => {
  const first = proxy.cutAfter(1);
  const second = proxy.cutAfter(1);
  await first;
  await proxy.close();
  await second;
  expect(() => proxy.cutAfter(-1)).toThrow("bytes must be an integer of at least 0, got -1");
});

test("refuse and accept – new connections only", async () => {
  const one = bare();
  one.socket.write("PING\r\n");
  await waitFor(() => one.received() === "+PONG\r\n");
  proxy.refuse();
  const [error] = await once(connectSocket(proxy.port, proxy.host), "error");
  expect(error.code).toBe("ECONNREFUSED");
  one.socket.write("PING\r\n");
  await waitFor(() => one.received() === "+PONG\r\n+PONG\r\n");
  const { port } = proxy;
  await proxy.accept();
  await proxy.accept();
  expect(proxy.port).toBe(port);
  expect(await viaProxy().ping()).toBe("PONG");
});

test("close – ends all, twice", async () => {
  const one = bare();
  one.socket.write("PING\r\n");
  await waitFor(() => one.received() !== "");
  await proxy.close();
  await proxy.close();
  await waitFor(one.isClosed);
  expect(proxy.connections).toBe(0);
  const [error] = await once(connectSocket(proxy.port, proxy.host), "error");
  expect(error.code).toBe("ECONNREFUSED");
});

test("startProxy – the server is gone", async () => {
  await using gone = await startServer();
  await using dead = await startProxy(gone);
  const redis = new Redis({ ...gone.options, port: dead.port, retryStrategy: () => 10 });
  redis.on("error", () => {});
  await redis.ping();
  const closed = once(redis, "close");
  await gone.kill();
  await closed;
  await waitFor(() => dead.connections === 0);
  await gone.restart();
  expect(await redis.ping()).toBe("PONG");
  redis.disconnect();
});

test("startProxy – bad target", async () => {
  await expect(startProxy({ host: "", port: 1 })).rejects.toThrow("host must be a non-empty string");
  await expect(startProxy({ host: "a", port: 70_000 })).rejects.toThrow(
    "port must be an integer from 1 to 65535, got 70000",
  );
});
