import { inspect } from "node:util";
import type { RedisOptions } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Database, ReplyError } from "../../src/index.ts";
import { type Server, startProxy, startServer } from "../../src/testing/index.ts";
import { certificate } from "../testing/certificate.ts";
import { failure, numbersOf, open, Watch } from "./harness.ts";

const PASSWORD = "open sesame";

let server: Server;
let watch: Watch;

beforeAll(async () => {
  server = await startServer({ password: PASSWORD, args: ["--hz", "100"] });
  watch = new Watch(server);
  const acl = (name: string, ...rules: string[]): Promise<unknown> =>
    watch.redis.acl("SETUSER", name, "on", `>${PASSWORD}`, "~*", "&*", ...rules);
  await acl("all", "+@all");
  await acl("unnamed", "+@all", "-client");
  await acl("deaf", "+@all", "-client|unblock");
  await acl("unread", "+@all", "-xread", "-xreadgroup", "-xrange");
  await acl("narrow", "resetkeys", "~mine:*", "+@all");
  await acl("bare", "-@all", "+@stream", "+hello", "+auth");
});
afterAll(async () => {
  watch.redis.disconnect();
  await server.stop();
});

const as = (username: string, options: RedisOptions = {}): Database =>
  open({ host: server.host, port: server.port, username, password: PASSWORD, ...options });

/** Every way to the server: the shared connection, and the wires' verbs. */
function everyWay(db: Database): Record<string, () => PromiseLike<unknown>> {
  const stream = db.Stream("mine:a");
  return {
    length: () => stream.length(),
    add: () => stream.add({ n: 1 }),
    addMany: () => stream.addMany([{ n: 1 }]),
    range: () => stream.range(),
    read: () => stream.read({ block: 0 }),
    "read $": () => stream.read({ block: 0, lastId: "$" }),
    "group read": () => db.consumerGroup("g", ["mine:a"]).read({ block: 0 }),
  };
}

describe("nobody listens", () => {
  let port: number;
  beforeAll(async () => {
    const proxy = await startProxy(server);
    port = proxy.port;
    await proxy.close();
  });

  test.for([
    ["maxRetriesPerRequest: 1", { maxRetriesPerRequest: 1 }],
    ["maxRetriesPerRequest: 0", { maxRetriesPerRequest: 0 }],
    ["a retryStrategy that gives up", { retryStrategy: () => null }],
    ["a retryStrategy that gives up later", { retryStrategy: (times: number) => (times > 2 ? null : 10) }],
    ["lazyConnect", { lazyConnect: true, maxRetriesPerRequest: 1 }],
    ["protocol 2", { protocol: 2, maxRetriesPerRequest: 1 }],
  ] satisfies [string, RedisOptions][])("Stream – %s: ConnectionLostError", async ([, options]) => {
    await using db = open({ host: "127.0.0.1", port, ...options });
    for (const [way, act] of Object.entries(everyWay(db))) {
      const { error, took } = await failure(act());
      expect(error, way).toMatchObject({ code: "CONNECTION_LOST", retriable: true });
      expect(took, way).toBeLessThan(1000);
    }
  });

  test("Stream.read – the error says where and why", async () => {
    await using db = open({ host: "127.0.0.1", port, maxRetriesPerRequest: 0 });
    const { error } = await failure(db.Stream("a").read());
    expect(error).toMatchObject({ isSent: false, cause: { code: "ECONNREFUSED" } });
    expect(String(error)).toContain(`127.0.0.1:${port}`);
  });

  test("Stream.read – a Unix socket that is not there", async () => {
    await using db = open({ path: "/tmp/there-is-no-such.sock", maxRetriesPerRequest: 0 });
    const { error } = await failure(db.Stream("a").read());
    expect(error).toMatchObject({ code: "CONNECTION_LOST", isSent: false });
    expect(String(error)).toContain("/tmp/there-is-no-such.sock");
  });

  test("Stream.read – no sentinel is there", async () => {
    const sentinels = [{ host: "127.0.0.1", port }];
    await using db = open({ sentinels, name: "walrus", connectTimeout: 150, maxRetriesPerRequest: 1 });
    const { error } = await failure(db.Stream("a").read());
    expect(error).toMatchObject({ code: "CONNECTION_LOST", isSent: false });
    expect(String(error)).toContain("walrus");
  });
});

describe("login", () => {
  test.for([
    ["a wrong password", { username: "all", password: "wrong" }, "WRONGPASS"],
    ["a wrong password, protocol 2", { username: "all", password: "wrong", protocol: 2 }, "WRONGPASS"],
    ["a user who is not there", { username: "nobody" }, "WRONGPASS"],
    ["no password", { username: "default", password: "" }, "NOAUTH|WRONGPASS"],
    ["no password, no user", { username: undefined, password: undefined } as RedisOptions, "NOAUTH"],
    [
      "no password, protocol 2",
      { username: undefined, password: undefined, protocol: 2 } as RedisOptions,
      "NOAUTH",
    ],
  ] satisfies [string, RedisOptions, string][])(
    "Stream – %s: ReplyError, quickly",
    async ([, options, prefix]) => {
      for (const way of Object.keys(everyWay(as("all")))) {
        await using db = as("all", options);
        const { error, took } = await failure(everyWay(db)[way]!());
        expect(error, way).toBeInstanceOf(ReplyError);
        expect((error as ReplyError).prefix, way).toMatch(new RegExp(`^(${prefix})$`));
        expect(took, way).toBeLessThan(1000);
      }
    },
  );

  test("Stream – no secret in an error, however it is printed", async () => {
    const secret = "Wr0ng-S3cret";
    for (const protocol of [2, 3] as const) {
      await using db = as("all", { password: secret, protocol });
      for (const [way, act] of Object.entries(everyWay(db))) {
        const { error } = await failure(act());
        expect(inspect(error, { depth: 10, showHidden: true }), way).not.toContain(secret);
        expect(JSON.stringify(error), way).not.toContain(secret);
      }
    }
    await using away = open({
      path: "/tmp/there-is-no-such.sock",
      password: secret,
      maxRetriesPerRequest: 0,
    });
    for (const [way, act] of Object.entries(everyWay(away))) {
      expect(inspect((await failure(act())).error, { depth: 10, showHidden: true }), way).not.toContain(
        secret,
      );
    }
  });
});

describe("permissions", () => {
  test.for(["unnamed", "deaf", "bare"])(
    "Stream.read – the user %s can read, wait and abort",
    async (user) => {
      await using db = as(user, { enableReadyCheck: user !== "bare" });
      const stream = db.Stream(`mine:${user}`);
      await stream.addMany([{ n: 0 }, { n: 1 }]);
      expect(numbersOf(await stream.range())).toEqual([0, 1]);
      expect(await stream.read({ block: 20, lastId: "$" })).toEqual([]);
      const reading = stream.read({ block: 0, lastId: "$" });
      await watch.blocked();
      await stream.add({ n: 2 });
      expect(numbersOf(await reading)).toEqual([2]);
      const controller = new AbortController();
      const aborted = stream.read({ block: 0, lastId: "$", signal: controller.signal });
      await watch.blocked();
      controller.abort();
      const { error, took } = await failure(aborted);
      expect(error).toBe(controller.signal.reason);
      expect(took).toBeLessThan(500);
      await watch.blocked(0);
    },
  );

  test("Stream.read – a user without xread, xreadgroup, xrange", async () => {
    await using db = as("unread");
    const { range, read, "group read": groupRead, ...others } = everyWay(db);
    for (const act of [range!, read!, groupRead!, others["read $"]!]) {
      const { error } = await failure(act());
      expect(error).toMatchObject({ code: "REPLY", prefix: "NOPERM", stream: "mine:a", retriable: false });
    }
    await others.addMany!();
  });

  test("Stream – a user without that key", async () => {
    await using db = as("narrow");
    const stream = db.Stream("yours");
    for (const act of [
      () => stream.length(),
      () => stream.read(),
      () => stream.range(),
      () => stream.addMany([{ n: 1 }]),
    ]) {
      expect((await failure(act())).error).toMatchObject({ prefix: "NOPERM", stream: "yours" });
    }
    expect(await db.Stream("mine:narrow").addMany([{ n: 1 }])).toHaveLength(1);
  });
});

describe("TLS", () => {
  let secure: Server;
  beforeAll(async () => {
    secure = await startServer({ tls: await certificate() });
  });
  afterAll(() => secure.stop());

  test("Stream – a certificate of another authority is refused", async () => {
    const { ca } = await certificate();
    await using db = open({ ...secure.options, tls: { ca }, maxRetriesPerRequest: 1 });
    for (const [way, act] of Object.entries(everyWay(db))) {
      const { error } = await failure(act());
      expect(error, way).toMatchObject({ code: "CONNECTION_LOST" });
    }
    const { error } = await failure(db.Stream("a").read());
    expect(inspect(error)).toMatch(/self.signed certificate/i);
  });

  test("Stream – a certificate for another host is refused", async () => {
    const tls = { ...secure.options.tls, servername: "example.org" };
    await using db = open({ ...secure.options, tls, maxRetriesPerRequest: 1 });
    for (const [way, act] of Object.entries(everyWay(db))) {
      const { error } = await failure(act());
      expect(error, way).toMatchObject({ code: "CONNECTION_LOST" });
    }
    const { error } = await failure(db.Stream("a").read());
    expect(inspect(error)).toMatch(/does not match certificate.s altnames/);
  });

  test("Stream – a server without TLS where TLS is asked for, and the other way round", async () => {
    const plain = { host: server.host, port: server.port, tls: {} };
    for (const options of [plain, { host: secure.host, port: secure.port }]) {
      await using db = open({ ...options, maxRetriesPerRequest: 1, connectTimeout: 300 });
      for (const act of [() => db.Stream("a").length(), () => db.Stream("a").read()]) {
        expect((await failure(act(), 3000)).error).toMatchObject({ code: "CONNECTION_LOST" });
      }
    }
  });
});

test("Stream.read – connectTimeout: 0 is no timeout", async () => {
  await using db = as("all", { connectTimeout: 0, maxRetriesPerRequest: 1 });
  expect(await db.Stream("none").read({ block: 1 })).toEqual([]);
});
