import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import { ClosedError, Database, Stream } from "../../src/index.ts";
import { type Server, startProxy, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, open, Watch, within } from "../connection/harness.ts";

let server: Server;
let watch: Watch;
let key: string;
let keys = 0;

beforeAll(async () => {
  server = await startServer({ args: ["--hz", "100"] });
  watch = new Watch(server);
});
afterAll(async () => {
  watch.redis.disconnect();
  await server.stop();
});
beforeEach(() => {
  key = `s${keys++}`;
  return () => watch.gone();
});

/** Counts the connections that this process begins from now on. */
function connectionAttempts(): () => number {
  let count = 0;
  const listener = (): void => {
    count++;
  };
  subscribe("net.client.socket", listener);
  onTestFinished(() => void unsubscribe("net.client.socket", listener));
  return () => count;
}

/** How long a close may take, whatever is under way. */
const BOUND = 1500;

test("Database.close – during blocked reads", async () => {
  const db = open(server.options);
  const group = db.consumerGroup("g", [key]);
  await group.create();
  const reads = [
    db.Stream(key).read({ block: 0 }),
    group.read({ block: 0 }),
    group.streams[key]!.read({ block: 60_000 }),
  ];
  const failures = reads.map((read) => failure(read, 5000));
  await watch.blocked(3);
  await within(BOUND, db.close());
  for (const failed of failures) expect((await failed).error).toBeInstanceOf(ClosedError);
  await watch.gone();
  expect(db.status).toBe("end");
});

test("Database.close – during a scan", async () => {
  const db = open(server.options);
  await db.Stream(key).addMany(numbered(5000));
  const scan = (async () => {
    let seen = 0;
    for await (const page of db.Stream(key).range().pages()) {
      seen += page.length;
      if (seen === 2000) await within(BOUND, db.close());
    }
  })();
  expect((await failure(scan, 5000)).error).toBeInstanceOf(ClosedError);
});

test("Database.close – during addMany: rejects, ends the source, stores no batch twice", async () => {
  const db = open(server.options);
  let isReturned = false;
  async function* source(): AsyncGenerator<{ n: string }> {
    try {
      yield* numbered(1500);
      await db.close();
      yield* numbered(1500, 1500);
    } finally {
      isReturned = true;
    }
  }
  expect((await failure(db.Stream(key).addMany(source()), 5000)).error).toBeInstanceOf(ClosedError);
  expect(isReturned).toBe(true);
  expect([0, 1000, 2000]).toContain(await watch.redis.xlen(key));
});

test("Database.close – waits for replies that are on their way, and no longer", async () => {
  const db = open(server.options);
  await db.ping();
  const adds = numbered(100).map((data) => db.Stream(key).add(data));
  await within(BOUND, db.close());
  expect(await Promise.all(adds)).toHaveLength(100);
  expect(await watch.redis.xlen(key)).toBe(100);
});

test("Database.close – while the shared connection is blocked by a command of the user", async () => {
  const db = open(server.options);
  const popping = failure(db.blpop("none", 0), 5000);
  const reading = failure(db.Stream(key).read({ block: 0 }), 5000);
  await watch.blocked(2);
  const closing = db.close();
  // The wires end at once, the connection when its patience is over.
  expect((await within(300, reading)).error).toBeInstanceOf(ClosedError);
  await within(BOUND, closing);
  expect((await popping).error).toBeInstanceOf(Error);
});

test("Database.close – twice, at once and again later; then everything says that it is closed", async () => {
  const db = open(server.options);
  await db.Stream(key).read({ block: 1 });
  await within(BOUND, Promise.all([db.close(), db.close()]));
  await within(100, db.close());
  const group = db.consumerGroup("g", [key]);
  const attempts = [
    () => db.Stream(key).length(),
    () => db.Stream(key).add({ n: 1 }),
    () => db.Stream(key).read({ block: 0 }),
    () => db.Stream(key).range(),
    () => db.Stream(key).addMany(numbered(1)),
    () => group.read({ block: 0 }),
    () => group.create(),
  ];
  for (const attempt of attempts) expect((await failure(attempt(), 200)).error).toBeInstanceOf(ClosedError);
});

test("Database.close – before it ever connected, with lazyConnect and without", async () => {
  for (const lazyConnect of [true, false]) {
    const db = open({ ...server.options, lazyConnect });
    await within(BOUND, db.close());
    expect(db.status).toBe("end");
    const another = open({ ...server.options, lazyConnect });
    const reading = failure(another.Stream(key).read({ block: 0 }), 5000);
    const counting = failure(another.Stream(key).length(), 5000);
    await within(BOUND, another.close());
    expect((await reading).error).toBeInstanceOf(ClosedError);
    expect((await counting).error).toBeInstanceOf(ClosedError);
    await watch.gone();
  }
});

test("Database.close – at any moment of a read's beginning", async () => {
  for (let turns = 0; turns < 40; turns++) {
    const db = open({ ...server.options, lazyConnect: turns % 2 === 0 });
    if (turns % 4 === 1) await db.Stream(key).read({ block: 1 });
    const reading = failure(db.Stream(key).read({ block: 0 }), 5000);
    for (let turn = 0; turn < turns; turn++) await (turns % 3 === 0 ? new Promise(setImmediate) : null);
    await within(BOUND, db.close());
    expect((await reading).error, `${turns} turns`).toBeInstanceOf(ClosedError);
  }
});

test("Database[Symbol.asyncDispose] – await using closes", async () => {
  let reading: Promise<unknown>;
  let outer: Database;
  {
    await using db = open(server.options);
    outer = db;
    reading = failure(db.Stream(key).read({ block: 0 }), 5000);
    await watch.blocked();
  }
  expect(outer.status).toBe("end");
  expect(((await reading) as { error: unknown }).error).toBeInstanceOf(ClosedError);
});

test("Database.quit, Database.disconnect, Database.end – of ioredis itself: the wires end too", async () => {
  for (const end of [
    (db: Database) => db.quit(),
    (db: Database) => db.disconnect(),
    (db: Database) => db.end(),
  ]) {
    const db = open(server.options);
    await db.ping();
    await db.Stream(key).read({ block: 1 });
    const reads = [1, 2].map(() => failure(db.Stream(key).read({ block: 0 }), 5000));
    await watch.blocked(2);
    await end(db);
    for (const reading of reads) expect((await reading).error).toBeInstanceOf(ClosedError);
    await watch.gone();
  }
});

test("Database.disconnect – while it is connecting again, of which ioredis tells nobody: the wires end too", async () => {
  await using own = await startServer();
  await using view = new Watch(own);
  const db = open({ ...own.options, retryStrategy: () => 3000 });
  const reading = failure(db.Stream("a").read({ block: 0 }), 20_000);
  await view.blocked();
  view.redis.disconnect();
  const attempts = connectionAttempts();
  await own.kill();
  await waitFor(() => db.status === "reconnecting" && attempts() >= 1, {
    what: "the wire to be connecting again",
  });
  const start = performance.now();
  db.disconnect();
  expect((await reading).error).toBeInstanceOf(ClosedError);
  expect(performance.now() - start).toBeLessThan(500);
});

describe.concurrent("faults", () => {
  test("Database.close – while the server is away and everything is connecting again", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    for (const retryStrategy of [() => 10, () => 5000]) {
      if (!own.isRunning) await own.restart();
      const db = open({ ...own.options, retryStrategy });
      const group = db.consumerGroup("g", ["a"]);
      await group.create();
      const reads = [
        failure(db.Stream("b").read({ block: 0 }), 10_000),
        failure(group.read({ block: 0 }), 10_000),
      ];
      await view.blocked(2);
      await own.kill();
      await waitFor(() => db.status === "reconnecting");
      const counting = failure(db.Stream("b").length(), 10_000);
      const start = performance.now();
      await within(BOUND, db.close());
      expect((await counting).error).toBeInstanceOf(ClosedError);
      for (const reading of reads) expect((await reading).error).toBeInstanceOf(ClosedError);
      expect(performance.now() - start).toBeLessThan(BOUND);
      expect(db.status).toBe("end");
    }
  });

  test("Database.close – between two tries of a read that was lost again and again", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await using proxy = await startProxy(own);
    const db = open({ host: proxy.host, port: proxy.port });
    await db.ping();
    const reading = failure(db.Stream("a").read({ block: 0 }), 20_000);
    for (let losses = 0; losses < 6; losses++) {
      const [client] = await view.blocked();
      await view.redis.client("KILL", "ID", Number(client!.id));
    }
    // The pause before the next try is now about a second.
    await waitFor(() => Client.of(db).wires === 0);
    const start = performance.now();
    await within(BOUND, db.close());
    expect((await reading).error).toBeInstanceOf(ClosedError);
    expect(performance.now() - start).toBeLessThan(500);
  });

  test("Database.close – while the server is frozen", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    const db = open(own.options);
    const group = db.consumerGroup("g", ["a"]);
    await group.create();
    const pending = [
      failure(db.Stream("b").read({ block: 0 }), 10_000),
      failure(group.read({ block: 0 }), 10_000),
    ];
    await view.blocked(2);
    await own.freeze();
    pending.push(
      failure(db.Stream("a").length(), 10_000),
      failure(db.Stream("a").addMany(numbered(10)), 10_000),
      failure(db.Stream("a").range(), 10_000),
      failure(db.Stream("a").read({ block: 0 }), 10_000),
    );
    await new Promise(setImmediate);
    const start = performance.now();
    await within(BOUND, db.close());
    for (const failed of pending) expect((await failed).error).toBeInstanceOf(ClosedError);
    expect(performance.now() - start).toBeLessThan(BOUND);
    await own.thaw();
    await view.gone();
  });

  test("Database.close – while the server is frozen and nothing is ready yet", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    await own.freeze();
    for (const options of [{}, { enableReadyCheck: false }]) {
      const db = open({ ...own.options, ...options });
      const pending = [
        failure(db.Stream("a").read({ block: 0 }), 20_000),
        failure(db.Stream("a").length(), 20_000),
      ];
      await waitFor(() => db.status === "connect" || db.status === "ready");
      const start = performance.now();
      await within(BOUND, db.close());
      for (const failed of pending) expect((await failed).error).toBeInstanceOf(ClosedError);
      expect(performance.now() - start).toBeLessThan(BOUND);
    }
    await own.thaw();
    await view.gone();
  });

  test("Stream – a user's Redis that is disconnected while the server is frozen", async () => {
    await using own = await startServer();
    await using view = new Watch(own);
    const redis = new Redis(own.options);
    redis.on("error", () => {});
    const reading = failure(new Stream(redis, "a").read({ block: 0 }), 10_000);
    await view.blocked();
    await own.freeze();
    redis.disconnect();
    expect((await reading).error).toBeInstanceOf(ClosedError);
    await own.thaw();
    await view.gone();
  });
});

test("Database – makes containers of its own connection, whatever the constructor's form", async () => {
  const forms = [
    new Database(server.port),
    new Database(server.port, "127.0.0.1"),
    new Database(server.port, "127.0.0.1", { connectionName: "form" }),
    new Database(server.url),
    new Database(`${server.url}/0`, { lazyConnect: true }),
    new Database({ port: server.port }),
    new Database(server.socketPath!),
  ];
  for (const db of forms) {
    expect(db).toBeInstanceOf(Redis);
    expect(db.Stream(key)).toBeInstanceOf(Stream);
    await db.Stream(key).addMany(numbered(1));
    expect(await db.ping()).toBe("PONG");
    await db.close();
  }
  expect(await watch.redis.xlen(key)).toBe(forms.length);
});
