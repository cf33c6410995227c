import { Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Wire } from "../../src/connection/wire.ts";
import { ClosedError, ConnectionLostError, ProtocolError } from "../../src/index.ts";
import { type Server, startProxy, startServer, waitFor } from "../../src/testing/index.ts";
import { StreamsDecoder } from "../../src/wire/reply.ts";
import { Request } from "../../src/wire/request.ts";
import { type Value, ValuesDecoder } from "../../src/wire/values.ts";
import { failure, Watch, within } from "./harness.ts";

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

/** A wire of its own, and how often it said that it is gone. */
async function wireTo(
  options: Omit<RedisOptions, "replyMapping">,
  signal = new AbortController().signal,
): Promise<{ wire: Wire; gone: Wire[] }> {
  const gone: Wire[] = [];
  const redis = new Redis({ ...options, protocol: 2, lazyConnect: true, disableClientInfo: true });
  return { wire: await Wire.open(redis, (wire) => gone.push(wire), signal), gone };
}

const request = (...commands: string[][]): Buffer => {
  const all = new Request();
  for (const words of commands) all.command(words);
  return all.payload();
};
const values = (count = 1): ValuesDecoder => new ValuesDecoder(count);

test("Wire.exchange – one request, its reply; many replies in one exchange", async () => {
  const { wire, gone } = await wireTo(server.options);
  expect(wire.isIdle).toBe(true);
  expect(await wire.exchange(request(["PING"]), values())).toEqual(["PONG"]);
  const pings = Array.from({ length: 500 }, () => ["PING"]);
  expect(await wire.exchange(request(...pings), values(500))).toEqual(pings.map(() => "PONG"));
  expect(wire.clientId).toBe(Number((await wire.exchange(request(["CLIENT", "ID"]), values()))[0]));
  wire.close();
  expect(gone).toEqual([wire]);
});

test("Wire.exchange – a second exchange while one is under way is refused and disturbs nothing", async () => {
  const { wire } = await wireTo(server.options);
  const first = wire.exchange(request(["XREAD", "BLOCK", "100", "STREAMS", "none", "0"]), values());
  expect(wire.isIdle).toBe(false);
  expect((await failure(wire.exchange(request(["PING"]), values()))).error).toBeInstanceOf(ProtocolError);
  expect(await first).toEqual([null]);
  expect(await wire.exchange(request(["PING"]), values())).toEqual(["PONG"]);
  wire.close();
});

test("Wire.close – rejects what is under way with the reason given, tells its owner once, drops the connection", async () => {
  const { wire, gone } = await wireTo({ ...server.options, connectionName: "closing" });
  const reading = wire.exchange(request(["XREAD", "BLOCK", "0", "STREAMS", "none", "0"]), values());
  reading.catch(() => {});
  const reason = new ConnectionLostError("enough");
  wire.close(reason);
  wire.close(new ClosedError("later"));
  expect((await failure(reading)).error).toBe(reason);
  expect((await failure(wire.exchange(request(["PING"]), values()))).error).toBe(reason);
  expect(gone).toEqual([wire]);
  expect(wire.isIdle).toBe(false);
  await watch.gone("closing");
});

test("Wire.exchange – the connection is closed by the server", async () => {
  const { wire, gone } = await wireTo(server.options);
  const reading = wire.exchange(request(["XREAD", "BLOCK", "0", "STREAMS", "none", "0"]), values());
  reading.catch(() => {});
  await watch.blocked();
  await watch.redis.client("KILL", "ID", wire.clientId!);
  expect((await failure(reading)).error).toMatchObject({ code: "CONNECTION_LOST", isSent: true });
  expect(gone).toEqual([wire]);
});

test("Wire – closed by the server while idle", async () => {
  const { wire, gone } = await wireTo(server.options);
  await watch.redis.client("KILL", "ID", wire.clientId!);
  await waitFor(() => gone.length === 1);
  expect(wire.isIdle).toBe(false);
});

test("Wire.exchange – silence for longer than allowed", async () => {
  const { wire, gone } = await wireTo(server.options);
  const start = performance.now();
  const reading = wire.exchange(request(["XREAD", "BLOCK", "5000", "STREAMS", "none", "0"]), values(), 150);
  expect((await failure(reading)).error).toBeInstanceOf(ConnectionLostError);
  expect(performance.now() - start).toBeGreaterThanOrEqual(148);
  expect(performance.now() - start).toBeLessThan(600);
  expect(gone).toEqual([wire]);
});

test("Wire.exchange – a reply that comes in pieces, each in time, may take longer than the silence", async () => {
  const { wire } = await wireTo(server.options);
  const piece = ["XREAD", "BLOCK", "120", "STREAMS", "none", "0"];
  const start = performance.now();
  expect(await wire.exchange(request(piece, piece, piece, piece), values(4), 300)).toEqual([
    null,
    null,
    null,
    null,
  ]);
  expect(performance.now() - start).toBeGreaterThan(470);
  wire.close();
});

test("Wire.exchange – a busy process: a reply that waits in its socket is not silence", async () => {
  const { wire } = await wireTo(server.options);
  const answer = wire.exchange(request(["PING"]), values(), 50);
  const until = performance.now() + 250;
  while (performance.now() < until);
  expect(await answer).toEqual(["PONG"]);
  // So much that it is not read in one go.
  await watch.redis.set("huge", "x".repeat(30_000_000));
  const huge = wire.exchange(request(["GET", "huge"]), values(), 100);
  const later = performance.now() + 400;
  while (performance.now() < later);
  expect(((await huge)[0] as string).length).toBe(30_000_000);
  await watch.redis.del("huge");
  wire.close();
});

test("Wire – bytes that nobody asked for end it", async () => {
  const { wire, gone } = await wireTo(server.options);
  await wire.exchange(request(["SUBSCRIBE", "channel"]), values());
  await watch.redis.publish("channel", "hello");
  await waitFor(() => gone.length === 1);
  expect((await failure(wire.exchange(request(["PING"]), values()))).error).toBeInstanceOf(ProtocolError);
});

test("Wire.exchange – more than one reply where one was asked for", async () => {
  const { wire, gone } = await wireTo(server.options);
  const two = request(["PING"], ["PING"]); // Answered by one write, so both are there when the first is decoded.
  expect((await failure(wire.exchange(two, values()))).error).toBeInstanceOf(ProtocolError);
  expect(gone).toEqual([wire]);
  expect((await failure(wire.exchange(request(["PING"]), values()))).error).toBeInstanceOf(ProtocolError);
});

test("Wire.exchange – a reply of another shape: ProtocolError, and the connection is dropped", async () => {
  const { wire, gone } = await wireTo(server.options);
  const decoder = new StreamsDecoder(() => {
    throw new Error("never");
  });
  const { error } = await failure(wire.exchange(request(["HELLO"]), decoder));
  expect(error).toBeInstanceOf(ProtocolError);
  expect(gone).toEqual([wire]);
});

test("Wire.exchange – a reply in many chunks through a proxy that stops and goes", async () => {
  await using proxy = await startProxy(server);
  const { wire } = await wireTo({ host: proxy.host, port: proxy.port });
  const text = "x".repeat(3_000_000);
  await watch.redis.set("big", text);
  proxy.swallow();
  const answer = wire.exchange(request(["GET", "big"], ["GET", "big"]), values(2));
  await waitFor(() => proxy.heldBytes > 1_000_000);
  proxy.pass();
  const [one, two] = (await within(5000, answer)) as [Value, Value];
  expect(one === text && two === text).toBe(true);
  wire.close();
});

test("Wire.open – the signal is aborted: before, while it connects, while the server is frozen", async () => {
  const reason = new ClosedError("enough");
  expect((await failure(wireTo(server.options, AbortSignal.abort(reason)))).error).toBe(reason);
  await using own = await startServer();
  await using view = new Watch(own);
  for (const enableReadyCheck of [true, false]) {
    await own.freeze();
    const controller = new AbortController();
    const redis = new Redis({
      ...own.options,
      enableReadyCheck,
      protocol: 2,
      disableClientInfo: true,
      lazyConnect: true,
    });
    const opening = Wire.open(redis, () => {}, controller.signal);
    opening.catch(() => {});
    // Without the check the first thing asked is the client's id, which a frozen server does not say.
    await waitFor(() => redis.status === (enableReadyCheck ? "connect" : "ready"));
    controller.abort(reason);
    const { error, took } = await failure(opening);
    expect(error).toBe(reason);
    expect(took).toBeLessThan(200);
    await own.thaw();
    await view.gone();
  }
});
