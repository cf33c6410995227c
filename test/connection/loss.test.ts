import { expect, test } from "vitest";
import { ConnectionLostError } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { Faults } from "./faults.ts";
import { failure, numbered, numbersOf, open, within } from "./harness.ts";

const at = new Faults();

/** The numbers that are stored, in order. */
async function stored(): Promise<number[]> {
  const entries = await at.watch.redis.xrange(at.key, "-", "+");
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
  await at.db.Stream(at.key).addMany(numbered(5000));
  let cuts = 0;
  const cutAgain = (bytes: number): void => {
    void at.proxy.cutAfter(bytes).then(() => {
      cuts++;
      if (cuts < 8) cutAgain(bytes * 2);
    });
  };
  cutAgain(100);
  const seen = numbersOf(await at.db.Stream(at.key).range());
  expect(seen).toEqual(upTo(5000));
  expect(cuts).toBeGreaterThanOrEqual(8);
});

test("Stream.range – reversed, cut between two entries and before the first byte", async () => {
  const ids = await at.db.Stream(at.key).addMany(numbered(3000));
  void at.proxy.cutAfter(0).then(() => at.proxy.cutAfter(50_000));
  const messages = await at.db.Stream(at.key).range().reverse();
  expect(messages.map(({ id }) => id)).toEqual(ids.toReversed());
});

test("Stream.range – a big entry cut in its middle", async () => {
  const text = "é".repeat(300_000);
  await at.db.Stream(at.key).add({ n: 0, text });
  void at.proxy.cutAfter(400_000);
  const [message] = await at.db.Stream(at.key).range();
  expect(message!.data.text === text).toBe(true);
});

test("Stream.addMany – the reply of the second batch is cut: the first batch is confirmed, nothing is sent twice", async () => {
  await at.db.Stream(at.key).read({ block: 1 }); // The wire is there.
  void at.proxy.cutAfter(30_000);
  const { error } = await failure(at.db.Stream(at.key).addMany(numbered(3500)), 5000);
  expect(error).toBeInstanceOf(ConnectionLostError);
  const { ids, isSent } = error as ConnectionLostError;
  expect(isSent).toBe(true);
  expect(ids).toHaveLength(1000);
  const entries = await at.watch.redis.xrange(at.key, "-", "+");
  expect(entries.slice(0, 1000).map(([id]) => id)).toEqual(ids);
  await expectBeginning(1000, 2000);
});

test("Stream.addMany – the first reply is lost whole: nothing is confirmed, nothing is sent twice", async () => {
  await at.db.Stream(at.key).read({ block: 1 });
  void at.proxy.cutAfter(0);
  const { error } = await failure(at.db.Stream(at.key).addMany(numbered(1500)), 5000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST", ids: [] });
  await expectBeginning(1, 1000);
});

test("Stream.addMany – the request never arrives", async () => {
  await at.db.Stream(at.key).read({ block: 1 });
  at.proxy.swallow("commands");
  const adding = failure(at.db.Stream(at.key).addMany(numbered(10)), 5000);
  await waitFor(() => at.proxy.heldBytes > 0);
  at.proxy.cut();
  at.proxy.pass();
  expect((await adding).error).toMatchObject({ code: "CONNECTION_LOST", ids: [], isSent: true });
  expect(await stored()).toEqual([]);
});

test("Stream.addMany – no connection can be made for it: not sent, and tried again by hand it is there once", async () => {
  const own = open({ host: at.proxy.host, port: at.proxy.port, maxRetriesPerRequest: 1 });
  await own.ping();
  at.proxy.refuse();
  at.proxy.cut();
  const { error } = await failure(own.Stream(at.key).addMany(numbered(10)), 3000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST", ids: [] });
  await at.proxy.accept();
  expect(await within(3000, own.Stream(at.key).addMany(numbered(10)))).toHaveLength(10);
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
  await at.db.Stream(at.key).read({ block: 1 });
  void at.proxy.cutAfter(30_000);
  const { error } = await failure(at.db.Stream(at.key).addMany(source()), 5000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST" });
  expect(isReturned).toBe(true);
  await expectBeginning(1000, 2000);
});

test("Stream.add – its reply is lost: ConnectionLostError, and the entry is there once", async () => {
  at.proxy.swallow();
  const adding = failure(at.db.Stream(at.key).add({ n: 0 }), 5000);
  await waitFor(async () => (await stored()).length === 1);
  at.proxy.cut();
  at.proxy.pass();
  expect((await adding).error).toBeInstanceOf(ConnectionLostError);
  await at.db.ping();
  expect(await stored()).toEqual([0]);
  await at.db.Stream(at.key).add({ n: 1 });
  expect(await stored()).toEqual([0, 1]);
});

test("Stream.add – many under way when the connection is lost: each entry at most once, in order", async () => {
  at.proxy.swallow();
  const adds = numbered(50).map((data) => at.db.Stream(at.key).add(data));
  const outcomes = Promise.allSettled(adds);
  await waitFor(async () => (await stored()).length === 50);
  at.proxy.cut();
  at.proxy.pass();
  for (const outcome of await within(5000, outcomes)) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "CONNECTION_LOST" } });
  }
  await at.db.ping();
  expect(await stored()).toEqual(upTo(50));
});

test("Stream.add – not sent yet when the connection is lost: it waits for the next one", async () => {
  at.proxy.refuse();
  at.proxy.cut();
  await waitFor(() => at.db.status === "reconnecting" || at.db.status === "connecting");
  const adding = at.db.Stream(at.key).add({ n: 0 });
  await at.proxy.accept();
  expect(await within(3000, adding)).toMatch(/-0$/);
  expect(await stored()).toEqual([0]);
});

test("Stream.length – a command that may be repeated is, when its reply was lost", async () => {
  await at.watch.redis.xadd(at.key, "*", "n", "0");
  at.proxy.swallow();
  const counting = at.db.Stream(at.key).length();
  await waitFor(() => at.proxy.heldBytes > 0);
  at.proxy.cut();
  at.proxy.pass();
  expect(await within(3000, counting)).toBe(1);
});
