import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import {
  ClusterDatabase,
  ConnectionLostError,
  Database,
  type DatabaseOptions,
  type Logger,
  type ReplyError,
  WalrusError,
} from "../../src/index.ts";
import { type SentinelServer, type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { failure } from "../connection/harness.ts";
import { certificate } from "../testing/certificate.ts";

/** No part of any other text. */
const SECRET = "s3cr3t pass/wörd";
const FORMS = [SECRET, encodeURIComponent(SECRET), Buffer.from(SECRET).toString("base64")];

let server: Server;
const printed: unknown[][] = [];

beforeAll(async () => {
  for (const method of ["log", "warn", "error"] as const)
    vi.spyOn(console, method).mockImplementation((...args) => void printed.push(args));
  server = await startServer({ password: SECRET });
});
afterEach(() => {
  expectSafe(printed.splice(0));
});
afterAll(async () => {
  vi.restoreAllMocks();
  await server?.stop();
});

/** All that a careless log could make of a value. */
function everythingOf(value: unknown, depth = 0): string {
  const texts = [
    inspect(value, { depth: 30, getters: true, maxStringLength: null, maxArrayLength: null }),
    String(value),
  ];
  try {
    texts.push(JSON.stringify(value) ?? "");
  } catch {} // Cyclic, or a bigint: then nobody logs it so.
  if (value instanceof Error && depth < 10) {
    const own = Reflect.ownKeys(value).map((name) => Reflect.get(value, name));
    texts.push(value.message, value.stack ?? "", ...own.map((fact) => everythingOf(fact, depth + 1)));
    texts.push(inspect(value, { depth: 30, showHidden: true }), everythingOf(value.cause, depth + 1));
  }
  return texts.join("\n");
}

function expectSafe(value: unknown): void {
  const text = everythingOf(value);
  for (const form of FORMS) {
    const at = text.indexOf(form);
    if (at >= 0) expect.fail(`the password is in: ${text.slice(Math.max(0, at - 200), at + 50)}`);
  }
}

const uses: Readonly<Record<string, (db: Database | ClusterDatabase) => PromiseLike<unknown>>> = {
  "a command": (db) => db.Stream("s").add({ a: 1 }),
  "a wire": (db) => db.Stream("s").range(),
  "a blocked read": (db) => db.Stream("s").read({ block: 50 }),
  "a group": (db) => db.consumerGroup("g", ["s"]).read(),
  "a batch": (db) => db.Stream("s").addMany([{ a: 1 }]),
  "a producer": (db) => db.producer("s").push({ a: 1 }, { idempotencyKey: "k" }),
  "a script": (db) => db.consumerGroup("g", ["s"]).removeIdleConsumers({ idle: 0 }),
};

/** Use a database that fails in some way: what it throws and what it tells of is safe, and is of the kind. */
async function provoke(
  db: Database | ClusterDatabase,
  kinds: readonly (typeof WalrusError | typeof ReplyError | typeof ConnectionLostError)[],
): Promise<void> {
  const told: unknown[] = [];
  for (const event of ["error", "node error"]) db.on(event, (error) => void told.push(error));
  try {
    for (const use of Object.values(uses)) {
      const { error } = await failure(use(db), 10_000);
      expect(
        kinds.some((kind) => error instanceof kind),
        inspect(error),
      ).toBe(true);
      expectSafe(error);
    }
    expectSafe(db);
  } finally {
    await db.close();
  }
  for (const error of told) expectSafe(error);
}

const HASTY = { retryStrategy: () => 5, maxRetriesPerRequest: 1 } as const;
const wrong = (options: DatabaseOptions = {}): DatabaseOptions => ({
  ...{ host: "127.0.0.1", port: server.port, password: SECRET.toUpperCase(), ...HASTY },
  ...options,
});

test("all that follows – would see the password", () => {
  expect(() => expectSafe(new Error("a", { cause: { args: ["3", SECRET] } }))).toThrow("the password is in");
  expect(() => expectSafe({ a: { b: [new Error(`AUTH ${SECRET}`)] } })).toThrow("the password is in");
  expect(() => expectSafe(Object.assign(new Error("a"), { command: { args: [SECRET] } }))).toThrow();
  expect(() => expectSafe([`redis://:${encodeURIComponent(SECRET)}@host`])).toThrow("the password is in");
});

test.each([2, 3] as const)("a password that is wrong, protocol %i – errors without it", async (protocol) => {
  const other = await startServer({ password: "another" });
  await provoke(new Database(wrong({ port: other.port, password: SECRET, protocol })), [WalrusError]);
  const url = `redis://someone:${encodeURIComponent(SECRET)}@127.0.0.1:${other.port}/2`;
  await provoke(new Database(url, { ...HASTY, protocol }), [WalrusError]);
  await other.stop();
});

test.each(["HELLO", "AUTH"])(
  "a server that does not know %s – repeats the password, we do not",
  async (command) => {
    const other = await startServer({ password: "another", args: ["--rename-command", command, ""] });
    for (const protocol of [2, 3] as const)
      await provoke(new Database(wrong({ port: other.port, password: SECRET, protocol })), [WalrusError]);
    await other.stop();
  },
);

test("nobody listens to errors – what ioredis prints has no password", async () => {
  const other = await startServer({ password: "another", args: ["--rename-command", "AUTH", ""] });
  const db = new Database(wrong({ port: other.port, password: SECRET, protocol: 2 }));
  await failure(db.Stream("s").add({ a: 1 }), 10_000);
  await waitFor(() => printed.length > 0, { what: "ioredis to print" });
  await db.close();
  await other.stop();
});

test("no server, a path that is none, a lost connection, TLS – ConnectionLostErrors without it", async () => {
  const gone = await startServer({ password: SECRET });
  const { port } = gone;
  const options = { password: SECRET, port };
  const db = new Database(wrong(options));
  await db.ping();
  await gone.stop();
  await provoke(db, [ConnectionLostError]);
  await provoke(new Database(wrong(options)), [ConnectionLostError]);
  await provoke(new Database(wrong({ ...options, path: "/nowhere.sock" })), [ConnectionLostError]);
  const secure = await startServer({ password: SECRET, tls: await certificate() });
  await provoke(new Database(wrong({ ...options, port: secure.port, tls: {} })), [ConnectionLostError]);
  await secure.stop();
});

test("Sentinel – neither its password nor the master's", async () => {
  const sentinel: SentinelServer = await startServer({ sentinel: true, password: "another" });
  const { sentinels, name } = sentinel.options as unknown as {
    sentinels: { host: string; port: number }[];
    name: string;
  };
  const base = { sentinels, name, ...HASTY, sentinelRetryStrategy: () => null, connectTimeout: 500 };
  await provoke(new Database({ ...base, password: SECRET }), [WalrusError]);
  await provoke(new Database({ ...base, password: SECRET, sentinelPassword: SECRET }), [WalrusError]);
  await sentinel.stop();
});

test("ClusterDatabase – a password that is wrong", async () => {
  const cluster = new ClusterDatabase([{ host: "127.0.0.1", port: server.port }], {
    redisOptions: { password: `${SECRET}!`, maxRetriesPerRequest: 1 },
    clusterRetryStrategy: (times) => (times > 1 ? null : 5),
  });
  await provoke(cluster, [WalrusError]);
});

test("every object – printed and as JSON", async () => {
  const db = new Database({ ...server.options, username: "default" });
  const group = db.consumerGroup("g", ["s"]);
  const facts: unknown[] = [];
  const tell = (...told: unknown[]) => void facts.push(told);
  const log: Logger = { debug: tell, info: tell, warn: tell, error: tell };
  const app = db.app({ name: "billing", log });
  app.subscriber("s", { group: "g", retry: { maxDeliveries: 1 } }, () => {
    throw new Error("no");
  });
  const trial = await app.test();
  await db.Stream("s").add({ a: 1 });
  await waitFor(() => facts.length > 0, { what: "something in the log" });
  const worker = db.worker(group, () => {});
  const message = (await db.Stream("s").range())[0];
  const things = {
    db,
    group,
    app,
    trial,
    worker,
    message,
    series: db.timeSeries("t", ["s"]),
    stream: db.Stream("s"),
  };
  const more = {
    consumer: db.consumer("s"),
    producer: db.producer("s"),
    dead: db.deadLetters("d"),
    range: db.Stream("s").range(),
  };
  for (const thing of [...Object.values(things), ...Object.values(more), ...Object.values(group.streams)])
    expectSafe(thing);
  expectSafe([
    things,
    more,
    facts,
    app.asyncapi(),
    await app.health(),
    worker.metrics(),
    await group.stats(),
  ]);
  expect(inspect(db)).toBe(`<Database 127.0.0.1:${server.port}/0 ready>`);
  expect(JSON.stringify({ db })).toBe(`{"db":"<Database 127.0.0.1:${server.port}/0 ready>"}`);
  await trial[Symbol.asyncDispose]();
  await db.close();
  const gone = await failure(db.Stream("s").range());
  expectSafe(gone.error);
});
