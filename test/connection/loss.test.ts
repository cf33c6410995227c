import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ConnectionLostError, type Database } from "../../src/index.ts";
import { type Server, startProxy, startServer, type TcpProxy, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, numbersOf, open, Watch, within } from "./harness.ts";

let server: Server;
let watch: Watch;
let proxy: TcpProxy;
let db: Database;
let key: string;
let keys = 0;

beforeAll(async () => {
  server = await startServer({ args: ["--hz", "100"] });
  watch = new Watch(server);
  proxy = await startProxy(server);
});
afterAll(async () => {
  await proxy.close();
  watch.redis.disconnect();
  await server.stop();
});
beforeEach(async () => {
  key = `s${keys++}`;
  db = open({ host: proxy.host, port: proxy.port });
  await db.ping();
  return () => db.close();
});

/** The numbers that are stored, in order. */
async function stored(): Promise<number[]> {
  const entries = await watch.redis.xrange(key, "-", "+");
  return entries.map(([, fields]) => Number(fields[1]));
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** What is stored is a beginning of the numbers, each once: the server may be cut off before it has a whole batch. */
async function expectBeginning(least: number, most: number): Promise<void> {
  const numbers = await stored();
  expect(numbers).toEqual(upTo(numbers.length));
  expect(numbers.length).toBeGreaterThanOrEqual(least);
  expect(numbers.length).toBeLessThanOrEqual(most);
}

test("Stream.range – cut in the middle of replies, at many places: every entry exactly once, in order", async () => {
  await db.Stream(key).addMany(numbered(5000));
  let cuts = 0;
  const cutAgain = (bytes: number): void => {
    void proxy.cutAfter(bytes).then(() => {
      cuts++;
      if (cuts < 8) cutAgain(bytes * 2);
    });
  };
  cutAgain(100);
  const seen = numbersOf(await db.Stream(key).range());
  expect(seen).toEqual(upTo(5000));
  expect(cuts).toBeGreaterThanOrEqual(8);
});

test("Stream.range – reversed, cut between two entries and before the first byte", async () => {
  const ids = await db.Stream(key).addMany(numbered(3000));
  void proxy.cutAfter(0).then(() => proxy.cutAfter(50_000));
  const messages = await db.Stream(key).range().reverse();
  expect(messages.map(({ id }) => id)).toEqual(ids.toReversed());
});

test("Stream.range – a big entry cut in its middle", async () => {
  const text = "é".repeat(300_000);
  await db.Stream(key).add({ n: 0, text });
  void proxy.cutAfter(400_000);
  const [message] = await db.Stream(key).range();
  expect(message!.data.text === text).toBe(true);
});

test("Stream.addMany – the reply of the second batch is cut: the first batch is confirmed, nothing is sent twice", async () => {
  await db.Stream(key).read({ block: 1 }); // The wire is there.
  void proxy.cutAfter(30_000);
  const { error } = await failure(db.Stream(key).addMany(numbered(3500)), 5000);
  expect(error).toBeInstanceOf(ConnectionLostError);
  const { ids, isSent } = error as ConnectionLostError;
  expect(isSent).toBe(true);
  expect(ids).toHaveLength(1000);
  const entries = await watch.redis.xrange(key, "-", "+");
  expect(entries.slice(0, 1000).map(([id]) => id)).toEqual(ids);
  await expectBeginning(1000, 2000);
});

test("Stream.addMany – the first reply is lost whole: nothing is confirmed, nothing is sent twice", async () => {
  await db.Stream(key).read({ block: 1 });
  void proxy.cutAfter(0);
  const { error } = await failure(db.Stream(key).addMany(numbered(1500)), 5000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST", ids: [] });
  await expectBeginning(1, 1000);
});

test("Stream.addMany – the request never arrives", async () => {
  await db.Stream(key).read({ block: 1 });
  proxy.swallow("commands");
  const adding = failure(db.Stream(key).addMany(numbered(10)), 5000);
  await waitFor(() => proxy.heldBytes > 0);
  proxy.cut();
  proxy.pass();
  expect((await adding).error).toMatchObject({ code: "CONNECTION_LOST", ids: [], isSent: true });
  expect(await stored()).toEqual([]);
});

test("Stream.addMany – no connection can be made for it: not sent, and tried again by hand it is there once", async () => {
  const own = open({ host: proxy.host, port: proxy.port, maxRetriesPerRequest: 1 });
  await own.ping();
  proxy.refuse();
  proxy.cut();
  const { error } = await failure(own.Stream(key).addMany(numbered(10)), 3000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST", ids: [] });
  await proxy.accept();
  expect(await within(3000, own.Stream(key).addMany(numbered(10)))).toHaveLength(10);
  expect(await stored()).toEqual(upTo(10));
  await own.close();
});

test("Stream.addMany – a source that is told when the connection is lost", async () => {
  let isReturned = false;
  async function* source(): AsyncGenerator<{ n: number }> {
    try {
      for (let n = 0; ; n++) yield { n };
    } finally {
      isReturned = true;
    }
  }
  await db.Stream(key).read({ block: 1 });
  void proxy.cutAfter(30_000);
  const { error } = await failure(db.Stream(key).addMany(source()), 5000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST" });
  expect(isReturned).toBe(true);
  await expectBeginning(1000, 2000);
});

test("Stream.add – its reply is lost: ConnectionLostError, and the entry is there once", async () => {
  proxy.swallow();
  const adding = failure(db.Stream(key).add({ n: 0 }), 5000);
  await waitFor(async () => (await stored()).length === 1);
  proxy.cut();
  proxy.pass();
  expect((await adding).error).toBeInstanceOf(ConnectionLostError);
  await db.ping();
  expect(await stored()).toEqual([0]);
  await db.Stream(key).add({ n: 1 });
  expect(await stored()).toEqual([0, 1]);
});

test("Stream.add – many under way when the connection is lost: each entry at most once, in order", async () => {
  proxy.swallow();
  const adds = numbered(50).map((data) => db.Stream(key).add(data));
  const outcomes = Promise.allSettled(adds);
  await waitFor(async () => (await stored()).length === 50);
  proxy.cut();
  proxy.pass();
  for (const outcome of await within(5000, outcomes)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "CONNECTION_LOST" } });
  }
  await db.ping();
  expect(await stored()).toEqual(upTo(50));
});

test("Stream.add – not sent yet when the connection is lost: it waits for the next one", async () => {
  proxy.refuse();
  proxy.cut();
  await waitFor(() => db.status === "reconnecting" || db.status === "connecting");
  const adding = db.Stream(key).add({ n: 0 });
  await proxy.accept();
  expect(await within(3000, adding)).toMatch(/-0$/);
  expect(await stored()).toEqual([0]);
});

test("Stream.length – a command that may be repeated is, when its reply was lost", async () => {
  await watch.redis.xadd(key, "*", "n", "0");
  proxy.swallow();
  const counting = db.Stream(key).length();
  await waitFor(() => proxy.heldBytes > 0);
  proxy.cut();
  proxy.pass();
  expect(await within(3000, counting)).toBe(1);
});
