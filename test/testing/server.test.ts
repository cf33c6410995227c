import { existsSync, mkdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Redis } from "ioredis";
import { afterEach, expect, test } from "vitest";
import { command } from "../../src/testing/admin.ts";
import { type ServerConnection, StartError, startServer, waitFor } from "../../src/testing/index.ts";
import { certificate } from "./certificate.ts";
import { isAlive, ownTemporaryDirectory } from "./temporary.ts";

const temporary = ownTemporaryDirectory();

const clients: Redis[] = [];
afterEach(() => {
  for (const client of clients.splice(0)) client.disconnect();
});

function connect(to: string | ServerConnection): Redis {
  const options = { retryStrategy: () => 20, maxRetriesPerRequest: 100 };
  const client = typeof to === "string" ? new Redis(to, options) : new Redis({ ...to, ...options });
  client.on("error", () => {});
  clients.push(client);
  return client;
}

test("startServer – a private port, a socket, nothing saved", async () => {
  await using server = await startServer();
  expect(server.host).toBe("127.0.0.1");
  expect(server.port).not.toBe(6379);
  expect(server.port).toBeLessThan(55_536);
  expect(server.url).toBe(`redis://127.0.0.1:${server.port}`);
  expect(server.options).toEqual({ host: "127.0.0.1", port: server.port });
  expect(isAlive(server.pid!)).toBe(true);
  // It leads a process group of its own: a Ctrl-C for this process is not one for the server.
  expect(isAlive(-server.pid!)).toBe(true);
  const redis = connect(server.url);
  expect(await redis.config("GET", "bind")).toEqual(["bind", "127.0.0.1"]);
  expect(await redis.config("GET", "save")).toEqual(["save", ""]);
  expect(await redis.config("GET", "appendonly")).toEqual(["appendonly", "no"]);
  expect(await connect({ path: server.socketPath! }).ping()).toBe("PONG");
  expect(await server.log()).toContain("Ready to accept connections");
});

test("startServer – many at once, one exit listener", async () => {
  const before = process.listenerCount("exit");
  const servers = await Promise.all(Array.from({ length: 6 }, () => startServer()));
  expect(new Set(servers.map(({ port }) => port)).size).toBe(6);
  expect(process.listenerCount("exit")).toBe(before + 1);
  await Promise.all(servers.map((server) => server.stop()));
  expect(process.listenerCount("exit")).toBe(before);
});

test("startServer – socket: true", async () => {
  await using server = await startServer({ socket: true, password: "p" });
  expect(server.options).toEqual({ path: server.socketPath, password: "p" });
  expect(await connect(server.options).ping()).toBe("PONG");
  expect(await connect(server.url).ping()).toBe("PONG");
});

test("startServer – password with odd characters, in url and options", async () => {
  await using server = await startServer({ password: 'a b"c\\d@/:%é' });
  expect(await connect(server.url).ping()).toBe("PONG");
  expect(await connect(server.options).ping()).toBe("PONG");
  await expect(connect({ host: server.host, port: server.port }).set("a", 1)).rejects.toThrow("NOAUTH");
});

test("startServer – TLS", async () => {
  const [tls, other] = await Promise.all([certificate(), certificate()]);
  await using server = await startServer({ tls, password: "p" });
  expect(server.url).toBe(`rediss://:p@127.0.0.1:${server.port}`);
  const redis = connect(server.options);
  expect(await redis.ping()).toBe("PONG");
  expect((redis.stream as unknown as { encrypted: boolean }).encrypted).toBe(true);
  const distrustful = new Redis({
    ...server.options,
    tls: { ca: other.ca },
    lazyConnect: true,
    retryStrategy: () => null,
  });
  const errors: Error[] = [];
  distrustful.on("error", (error) => errors.push(error));
  await expect(distrustful.connect()).rejects.toThrow();
  expect(errors.map(String).join()).toMatch(/self.signed/);
  const plain = new Redis({
    host: server.host,
    port: server.port,
    lazyConnect: true,
    retryStrategy: () => null,
  });
  plain.on("error", () => {});
  await expect(plain.connect()).rejects.toThrow();
  await server.kill();
  await server.restart();
  expect(await redis.ping()).toBe("PONG");
});

test("startServer – kill and restart keeps AOF data", async () => {
  await using server = await startServer({ appendOnly: true, args: ["--appendfsync", "always"] });
  const redis = connect(server.options);
  const id = await redis.xadd("s", "*", "n", "1");
  const pid = server.pid!;
  await server.kill();
  expect(isAlive(pid)).toBe(false);
  expect(server.pid).toBeNull();
  expect(server.isRunning).toBe(false);
  await server.restart();
  expect(server.pid).not.toBe(pid);
  expect(await redis.xrange("s", "-", "+")).toEqual([[id, ["n", "1"]]]);
});

test("restart – waits until all data are loaded, with a password too", async () => {
  const args = ["--key-load-delay", "100"];
  await using server = await startServer({ appendOnly: true, password: "p", args });
  const pipeline = connect(server.options).pipeline();
  for (let i = 0; i < 3000; i++) pipeline.set(`key-${i}`, "1");
  await pipeline.exec();
  await server.restart();
  expect(await command(server, "DBSIZE")).toBe(3000);
});

test("startServer – restart of a running server, with and without AOF", async () => {
  await using kept = await startServer({ appendOnly: true, password: "p" });
  await using lost = await startServer();
  for (const server of [kept, lost]) {
    const { port, pid } = server;
    await connect(server.options).set("a", "1");
    await server.restart();
    expect(server.port).toBe(port);
    expect(isAlive(pid!)).toBe(false);
  }
  expect(await connect(kept.options).get("a")).toBe("1");
  expect(await connect(lost.options).get("a")).toBeNull();
});

test("startServer – restart after CONFIG REWRITE", async () => {
  await using server = await startServer();
  const redis = connect(server.options);
  await redis.config("SET", "maxmemory", "12345678");
  await redis.config("REWRITE");
  await server.restart();
  expect(await redis.config("GET", "maxmemory")).toEqual(["maxmemory", "12345678"]);
});

test("stop – no process, no file, no second time; restart begins anew", async () => {
  const server = await startServer({ appendOnly: true });
  const pid = server.pid!;
  const home = dirname(server.socketPath!);
  expect(existsSync(home)).toBe(true);
  await connect(server.options).set("a", "1");
  await server.stop();
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(home)).toBe(false);
  await server.stop();
  await server.restart();
  expect(await connect(server.options).get("a")).toBeNull();
  await server.stop();
});

test("stop – shuts down gracefully", async () => {
  const dir = join(tmpdir(), "graceful");
  const server = await startServer({ dir, appendOnly: true, args: ["--appendfsync", "no"] });
  await connect(server.options).set("a", "1");
  await server.stop();
  await using again = await startServer({ dir, appendOnly: true });
  expect(await connect(again.options).get("a")).toBe("1");
  await rm(dir, { recursive: true });
});

test("freeze and thaw – nothing is answered meanwhile, everything afterwards", async () => {
  await using server = await startServer();
  const redis = connect(server.options);
  const watcher = connect(server.options);
  await Promise.all([redis.ping(), watcher.ping()]);
  await server.freeze();
  expect(server.isFrozen).toBe(true);
  let isAnswered = false;
  const late = redis.incr("n").then((n) => {
    isAnswered = true;
    return n;
  });
  // A new connection is accepted by the system, and its PING times out.
  const impatient = new Redis({ ...server.options, commandTimeout: 100, retryStrategy: () => null });
  impatient.on("error", () => {});
  await expect(impatient.ping()).rejects.toThrow();
  impatient.disconnect();
  expect(isAnswered).toBe(false);
  await server.thaw();
  expect(server.isFrozen).toBe(false);
  expect(await late).toBe(1);
});

test("freeze – kill, stop and restart of a frozen server", async () => {
  const server = await startServer();
  await server.freeze();
  await server.kill();
  await expect(server.freeze()).rejects.toThrow("not running");
  await server.restart();
  await server.freeze();
  await server.restart();
  expect(server.isFrozen).toBe(false);
  expect(await server.log()).toContain("Received SIGTERM");
  expect(await connect(server.options).ping()).toBe("PONG");
  await server.freeze();
  const pid = server.pid!;
  await server.stop();
  expect(isAlive(pid)).toBe(false);
});

test("kill – of a server that has ended by itself", async () => {
  await using server = await startServer();
  const redis = connect(server.options);
  await redis.ping();
  process.kill(server.pid!, "SIGTERM");
  await waitFor(() => !server.isRunning, { what: "the server to end" });
  await server.kill();
  await server.restart();
  expect(await redis.ping()).toBe("PONG");
});

test("startServer – dir is made, kept and read again", async () => {
  const dir = join(tmpdir(), "my data", "here");
  const first = await startServer({ dir, appendOnly: true });
  await connect(first.options).set("a", "1");
  await first.stop();
  expect(existsSync(join(dir, "appendonlydir"))).toBe(true);
  const second = await startServer({ dir, appendOnly: true });
  expect(await connect(second.options).get("a")).toBe("1");
  await second.stop();
  await rm(dirname(dir), { recursive: true });
});

test("startServer – args", async () => {
  await using server = await startServer({
    args: ["--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru"],
  });
  const redis = connect(server.options);
  expect(await redis.config("GET", "maxmemory")).toEqual(["maxmemory", String(10 * 1024 * 1024)]);
});

test("startServer – args the server refuses: the error has its log", async () => {
  const failing = startServer({ args: ["--no-such-directive", "1"] });
  await expect(failing).rejects.toThrow(/exited before it was ready; its log:[\s\S]*no-such-directive/);
  await expect(failing).rejects.toBeInstanceOf(StartError);
});

test("restart – the port has been taken meanwhile", async () => {
  const server = await startServer();
  const { port } = server;
  await server.kill();
  const listener = createServer();
  await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
  await expect(server.restart()).rejects.toMatchObject({ isPortTaken: true });
  await new Promise((resolve) => listener.close(resolve));
  await server.restart();
  expect(await connect(server.options).ping()).toBe("PONG");
  await server.stop();
});

test("startServer – a temporary directory with a long name", async () => {
  const before = process.env.TMPDIR!;
  const long = join(before, "x".repeat(100));
  mkdirSync(long);
  process.env.TMPDIR = long;
  try {
    await using server = await startServer();
    expect(Buffer.byteLength(server.socketPath!)).toBeLessThan(104);
    expect(await connect({ path: server.socketPath! }).ping()).toBe("PONG");
  } finally {
    process.env.TMPDIR = before;
    await rm(long, { recursive: true });
  }
});

test("startServer – signal", async () => {
  const reason = new Error("enough");
  await expect(startServer({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const controller = new AbortController();
  const starting = startServer({ signal: controller.signal });
  controller.abort(reason);
  await expect(starting).rejects.toBe(reason);
  const later = new AbortController();
  const slow = startServer({ signal: later.signal });
  await waitFor(() => temporary.entries().length === 1, { interval: 1, what: "the start to be under way" });
  later.abort(reason);
  await expect(slow).rejects.toBe(reason);
});
