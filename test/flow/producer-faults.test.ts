import { expect, test } from "vitest";
import { Producer } from "../../src/flow/producer.ts";
import { ClosedError, ConnectionLostError } from "../../src/index.ts";
import { startServer, waitFor } from "../../src/testing/index.ts";
import { Faults } from "../connection/faults.ts";
import { failure, numbered, open, Watch, within } from "../connection/harness.ts";

const at = new Faults();

/** The entries that are stored, in order: id and number. */
async function stored(on: Watch = at.watch): Promise<[id: string, n: number][]> {
  const entries = await on.redis.xrange(at.key, "-", "+");
  return entries.map(([id, fields]) => [id, Number(fields[1])]);
}

/** Waits until the stream has so many entries: what was sent has been carried out. */
async function arrived(count: number): Promise<void> {
  await waitFor(async () => (await at.watch.redis.xlen(at.key)) === count, { what: `${count} entries` });
}

/** Push numbers by so many callers, each with its number as its idempotency key; the id of each. */
async function pushAll(producer: Producer, count: number, callers = 16): Promise<string[]> {
  const ids: string[] = [];
  let next = 0;
  const caller = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++)
      ids[n] = await producer.push({ n }, { idempotencyKey: String(n) });
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return ids;
}

/** Each number is stored once, under the id that its push gave. */
async function expectOnce(ids: readonly string[], on: Watch = at.watch): Promise<void> {
  const byNumber = (await stored(on)).toSorted(([, a], [, b]) => a - b);
  expect(byNumber).toEqual(ids.map((id, n) => [id, n]));
}

test("Producer.push – what comes while a write is under way shares the next one", async () => {
  await using producer = new Producer(at.db, at.key);
  await producer.push({ n: 0 });
  at.proxy.swallow();
  const first = producer.push({ n: 1 });
  await arrived(2);
  const reads = async (): Promise<number> =>
    Number(/total_reads_processed:(\d+)/.exec(await at.watch.redis.info("stats"))![1]);
  const rest = Promise.all(numbered(50, 2).map((data) => producer.push(data)));
  expect(await at.watch.redis.xlen(at.key)).toBe(2);
  const before = await reads();
  at.proxy.pass();
  await Promise.all([first, rest]);
  expect((await reads()) - before - 1).toBe(1);
  expect((await stored()).map(([, n]) => n)).toEqual(Array.from({ length: 52 }, (_, n) => n));
});

test("Producer.push – the reply is lost: ConnectionLostError, and it is not sent again; the next ones are", async () => {
  await using producer = new Producer(at.db, at.key);
  await producer.push({ n: 0 });
  at.proxy.swallow();
  const lost = failure(producer.push({ n: 1 }), 5000);
  await arrived(2);
  const next = producer.push({ n: 2 });
  at.proxy.cut();
  at.proxy.pass();
  const { error } = await lost;
  expect(error).toBeInstanceOf(ConnectionLostError);
  expect(error).toMatchObject({ isSent: true, retriable: true });
  await within(5000, next);
  expect((await stored()).map(([, n]) => n)).toEqual([0, 1, 2]);
  expect(producer.metrics()).toMatchObject({ pushed: 2, failed: 1 });
});

test("Producer.push – a reply is cut: those whose ids came have them, the others do not know", async () => {
  await using producer = new Producer(at.db, at.key);
  await producer.push({ n: 0 });
  const cut = at.proxy.cutAfter(3000);
  const outcomes = await within(
    5000,
    Promise.allSettled(numbered(900, 1).map((data) => producer.push(data))),
  );
  await cut;
  const confirmed = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const lost = outcomes.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
  expect(confirmed.length).toBeGreaterThan(50);
  expect(lost.length).toBeGreaterThan(500);
  for (const error of lost) expect(error).toBeInstanceOf(ConnectionLostError);
  const entries = await stored();
  expect(entries.slice(1, confirmed.length + 1).map(([id]) => id)).toEqual(confirmed);
  expect(new Set(entries.map(([, n]) => n)).size).toBe(entries.length);
  expect(producer.metrics()).toMatchObject({ pushed: confirmed.length + 1, failed: lost.length });
});

test("Producer.push – with a key, the reply is lost: sent again by itself, one entry", async () => {
  await using producer = new Producer(at.db, at.key);
  await producer.push({ n: 0 }, { idempotencyKey: "0" });
  at.proxy.swallow();
  const pushes = numbered(5, 1).map((data) => producer.push(data, { idempotencyKey: data.n }));
  await arrived(6);
  at.proxy.cut();
  at.proxy.pass();
  const ids = await within(5000, Promise.all(pushes));
  expect((await stored()).slice(1)).toEqual(ids.map((id, i) => [id, i + 1]));
});

test("Producer.push – with a key, cut in the middle of a reply and again: each once", async () => {
  await using producer = new Producer(at.db, at.key);
  void at.proxy.cutAfter(500).then(() => at.proxy.cutAfter(0).then(() => at.proxy.cutAfter(5000)));
  const pushes = numbered(800).map((data) => producer.push(data, { idempotencyKey: data.n }));
  await expectOnce(await within(5000, Promise.all(pushes)));
});

test("Producer.push – with a key, given up: the error says that it may be there, and a repeat gives its id", async () => {
  await at.db.close();
  at.db = open({ host: at.proxy.host, port: at.proxy.port, maxRetriesPerRequest: 1 });
  await using producer = new Producer(at.db, at.key);
  await producer.push({ n: 0 }, { idempotencyKey: "0" });
  at.proxy.swallow();
  const lost = failure(producer.push({ n: 1 }, { idempotencyKey: "1" }), 5000);
  await arrived(2);
  at.proxy.refuse();
  at.proxy.cut();
  const { error } = await lost;
  expect(error).toBeInstanceOf(ConnectionLostError);
  expect(error).toMatchObject({ isSent: true });
  at.proxy.pass();
  await at.proxy.accept();
  const id = await within(5000, producer.push({ n: 1 }, { idempotencyKey: "1" }));
  expect((await stored())[1]).toEqual([id, 1]);
  expect(await at.watch.redis.xlen(at.key)).toBe(2);
});

test("Producer.push – no connection: nothing was sent, for none of those that wait; later it goes on", async () => {
  await at.db.close();
  at.db = open({
    host: at.proxy.host,
    port: at.proxy.port,
    maxRetriesPerRequest: 3,
    retryStrategy: () => 250,
  });
  await at.db.ping();
  await using producer = new Producer(at.db, at.key);
  at.proxy.refuse();
  at.proxy.cut();
  const pushes = numbered(9000).map((data) => failure(producer.push(data), 4000));
  for (const { error } of await Promise.all(pushes)) {
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect(error).toMatchObject({ isSent: false });
  }
  await within(1000, producer.flush());
  await at.proxy.accept();
  await within(3000, producer.push({ n: 7 }));
  expect((await stored()).map(([, n]) => n)).toEqual([7]);
});

test("Producer.pushMany – with keys, cut while it runs: each once, in order", async () => {
  await using producer = new Producer(at.db, at.key);
  void at.proxy.cutAfter(20_000).then(() => at.proxy.cutAfter(30_000));
  const ids = await within(10_000, producer.pushMany(numbered(4000), { idempotencyKey: ({ n }) => n }));
  expect(await stored()).toEqual(ids.map((id, n) => [id, n]));
});

test("Producer.pushMany – without keys, cut while it runs: the ids that are known, nothing twice", async () => {
  await using producer = new Producer(at.db, at.key);
  await producer.push({ n: -1 });
  void at.proxy.cutAfter(40_000);
  const { error } = await failure(producer.pushMany(numbered(4000)), 5000);
  expect(error).toBeInstanceOf(ConnectionLostError);
  const { ids } = error as ConnectionLostError;
  expect(ids.length).toBe(1000);
  const entries = (await stored()).slice(1);
  expect(entries.slice(0, 1000).map(([id]) => id)).toEqual(ids);
  expect(entries.map(([, n]) => n)).toEqual(entries.map((_, n) => n));
  expect(producer.metrics()).toMatchObject({ pushed: 1001, failed: 1 });
});

test("Producer.push – SCRIPT FLUSH while pushes with keys are under way: each once", async () => {
  await using producer = new Producer(at.db, at.key);
  const pushing = pushAll(producer, 3000, 64);
  for (const least of [300, 1000, 1700]) {
    await waitFor(() => producer.metrics().pushed >= least, { what: `${least} pushes` });
    await at.watch.redis.script("FLUSH");
  }
  await expectOnce(await within(10_000, pushing));
});

test("Producer.push – the server is killed and comes back with its data: pushes with keys settle, each once", async () => {
  await using mortal = await startServer({
    appendOnly: true,
    args: ["--appendfsync", "always", "--hz", "100"],
  });
  const own = open(mortal.options);
  const eye = new Watch(mortal);
  const producer = new Producer(own, at.key);
  const pushing = pushAll(producer, 4000, 64);
  for (const least of [500, 2000]) {
    await waitFor(() => producer.metrics().pushed >= least, { what: `${least} pushes` });
    await mortal.kill();
    await mortal.restart();
  }
  await expectOnce(await within(20_000, pushing), eye);
  await within(5000, producer.close());
  await own.close();
  eye.redis.disconnect();
});

test("Producer.close – the server is dead: the pushes reject, close ends", async () => {
  await using mortal = await startServer();
  const own = open({ ...mortal.options, maxRetriesPerRequest: 2 });
  const producer = new Producer(own, at.key, { linger: { hours: 1 } });
  await own.ping();
  const pushes = [
    producer.push({ n: 0 }),
    producer.push({ n: 1 }, { idempotencyKey: "k" }),
    producer.pushMany(numbered(3)),
    producer.pushMany(numbered(3), { idempotencyKey: ({ n }) => n }),
  ].map((pushed) => failure(pushed, 5000));
  await mortal.kill();
  await within(5000, producer.close());
  for (const { error } of await Promise.all(pushes)) expect(error).toBeInstanceOf(ConnectionLostError);
  await own.close();
});

test("Producer.close – the database is closed while a push waits for its reply: it rejects, close ends", async () => {
  const producer = new Producer(at.db, at.key);
  const push = (n: number) => [producer.push({ n }), producer.push({ n: n + 1 }, { idempotencyKey: `${n}` })];
  await Promise.all(push(0)); // Both wires are there.
  at.proxy.swallow();
  const pushes = push(2);
  const failures = pushes.map((pushed) => failure(pushed, 3000));
  await arrived(4);
  const waiting = failure(producer.push({ n: 4 }), 3000);
  const closing = producer.close();
  await within(2500, at.db.close());
  await within(1000, closing);
  for (const { error } of await Promise.all([...failures, waiting]))
    expect(error).toBeInstanceOf(ClosedError);
  expect((await stored()).map(([, n]) => n).sort()).toEqual([0, 1, 2, 3]);
});
