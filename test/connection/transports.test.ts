import { Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, describe } from "vitest";
import { Database } from "../../src/index.ts";
import { type SentinelServer, type Server, startServer } from "../../src/testing/index.ts";
import { certificate } from "../testing/certificate.ts";
import { contract } from "./contract.ts";
import { open, Watch } from "./harness.ts";

let server: Server;
let watch: Watch;

beforeAll(async () => {
  server = await startServer({ args: ["--hz", "100"] });
  watch = new Watch(server);
  await watch.redis.acl("SETUSER", "alice", "on", ">wonder land/@:", "~*", "&*", "+@all");
});
afterAll(async () => {
  watch.redis.disconnect();
  await server.stop();
});

/** A transport over the file's own server. */
function over(options: () => RedisOptions, facts: { prefix?: string; db?: number } = {}): void {
  const connect = (connectionName: string): Database =>
    open({ ...server.options, ...options(), connectionName });
  contract({ connect, watch: () => watch, ...facts });
}

describe("over TCP", () => over(() => ({})));

describe("over a Unix socket", () => over(() => ({ path: server.socketPath! })));

describe("as an ACL user with a password", () =>
  over(() => ({ username: "alice", password: "wonder land/@:" })));

describe("from a URL with user, password and database", () => {
  const url = (): string =>
    `redis://alice:${encodeURIComponent("wonder land/@:")}@127.0.0.1:${server.port}/3`;
  contract({
    connect: (connectionName) => new Database(url(), { connectionName }),
    watch: () => watch,
    db: 3,
  });
});

describe("in database 3", () => over(() => ({ db: 3 }), { db: 3 }));

describe("with a keyPrefix", () => over(() => ({ keyPrefix: "p:" }), { prefix: "p:" }));

describe("with a keyPrefix and a database", () =>
  over(() => ({ keyPrefix: "{ü}:", db: 2 }), { prefix: "{ü}:", db: 2 }));

describe("with lazyConnect", () => over(() => ({ lazyConnect: true })));

describe("with protocol 2", () => over(() => ({ protocol: 2 })));

describe("with protocol 3", () => over(() => ({ protocol: 3 })));

describe("with enableAutoPipelining", () => over(() => ({ enableAutoPipelining: true })));

describe("on a Redis that the user made", () => {
  const connect = (connectionName: string): Redis => new Redis({ ...server.options, connectionName });
  contract({ connect, watch: () => watch });
});

describe("on a Redis that the user made, with replyMapping resp3", () => {
  const connect = (connectionName: string): Redis =>
    new Redis({ ...server.options, connectionName, protocol: 3, replyMapping: "resp3" }) as unknown as Redis;
  contract({ connect, watch: () => watch });
});

describe("after select() at run time", () => {
  const connect = async (connectionName: string): Promise<Redis> => {
    const db = open({ ...server.options, connectionName });
    await db.Stream("elsewhere").range(); // A wire in database 0 that waits in the pool.
    await db.select(4);
    return db;
  };
  contract({ connect, watch: () => watch, db: 4 });
});

describe("over TLS", () => {
  let secure: Server;
  let secureWatch: Watch;
  beforeAll(async () => {
    secure = await startServer({ tls: await certificate(), password: "p" });
    secureWatch = new Watch(secure);
  });
  afterAll(async () => {
    secureWatch.redis.disconnect();
    await secure.stop();
  });
  const connect = (connectionName: string): Database => open({ ...secure.options, connectionName });
  contract({ connect, watch: () => secureWatch });
});

describe("over Sentinel", () => {
  let sentinel: SentinelServer;
  let masterWatch: Watch;
  beforeAll(async () => {
    sentinel = await startServer({ sentinel: true, password: "p" });
    masterWatch = new Watch(sentinel.master);
  });
  afterAll(async () => {
    masterWatch.redis.disconnect();
    await sentinel.stop();
  });
  const connect = (connectionName: string): Database => open({ ...sentinel.options, connectionName });
  contract({ connect, watch: () => masterWatch });
});
