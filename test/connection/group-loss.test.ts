import { expect, test } from "vitest";
import { waitFor } from "../../src/testing/index.ts";
import { Faults } from "./faults.ts";
import { failure, numbered, numbersOf, open, within } from "./harness.ts";

const at = new Faults();

/** Ids and delivery counts of what is pending. */
async function pending(stream = at.key): Promise<[id: string, deliveries: number][]> {
  const entries = (await at.watch.redis.xpending(stream, "g", "-", "+", 10_000)) as [
    string,
    string,
    number,
    number,
  ][];
  return entries.map(([id, , , deliveries]) => [id, deliveries]);
}

/** When what is pending was delivered some milliseconds ago: as long as it takes to tell one read from another. */
async function aged(): Promise<void> {
  await waitFor(async () => {
    const [entry] = (await at.watch.redis.xpending(at.key, "g", "-", "+", 1)) as [
      string,
      string,
      number,
      number,
    ][];
    return entry![2] >= 5;
  });
}

/** Loses what the server answers to what is under way. */
async function loseReply(): Promise<void> {
  await waitFor(() => at.proxy.heldBytes > 0, { what: "a reply to lose" });
  at.proxy.cut();
  at.proxy.pass();
}

test("ConsumerGroup.read – a lost reply: its messages come by the same read, once, their count unchanged", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  const reading = group.read({ block: 0 });
  await at.watch.blocked();
  at.proxy.swallow();
  const id = await at.watch.redis.xadd(at.key, "*", "n", "1");
  await loseReply();
  expect((await within(2000, reading))[at.key]).toMatchObject([
    { id, data: { n: "1" }, deliveries: 1, stream: at.key },
  ]);
  expect(await pending()).toEqual([[id, 1]]);
  expect(await group.read()).toEqual({});
});

test("GroupStream.read – a lost reply of a read that does not block", async () => {
  const stream = at.db.consumerGroup("g", [at.key]).streams[at.key]!;
  await at.db.consumerGroup("g", [at.key]).create();
  await stream.read(); // The wire is there.
  // Often, for how old a delivery is depends on where in its milliseconds it falls.
  for (let n = 0; n < 25; n++) {
    await at.watch.redis.xadd(at.key, "*", "n", n);
    at.proxy.swallow();
    const reading = stream.read();
    await loseReply();
    const messages = await within(2000, reading);
    expect(numbersOf(messages)).toEqual([n]);
    await messages[0]!.ack();
    expect(await pending()).toEqual([]);
  }
});

test("ConsumerGroup.read – a reply over three streams cut in its middle", async () => {
  const streams = [at.key, `${at.key}-b`, `${at.key}-c`];
  const group = at.db.consumerGroup("g", streams);
  await group.create();
  await group.read();
  for (const stream of streams) await group.streams[stream]!.addMany(numbered(200));
  void at.proxy.cutAfter(15_000);
  const messages = await within(5000, group.read());
  for (const stream of streams) {
    expect(numbersOf(messages[stream]!)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect((await pending(stream)).every(([, deliveries]) => deliveries === 1)).toBe(true);
  }
  expect(await group.read()).toEqual({});
});

test("ConsumerGroup.read – messages that were delivered before and are still pending do not come again", async () => {
  const earlier = at.db.consumerGroup("g", [at.key]); // As if by a process before: the same consumer.
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.streams[at.key]!.addMany(numbered(2));
  expect(numbersOf((await earlier.read())[at.key]!)).toEqual([0, 1]);
  await aged();
  await group.streams[at.key]!.addMany(numbered(2, 2));
  expect(numbersOf((await group.read())[at.key]!)).toEqual([2, 3]);
  const reading = group.read({ block: 0 });
  await at.watch.blocked();
  at.proxy.swallow();
  await at.watch.redis.xadd(at.key, "*", "n", "4");
  await loseReply();
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([4]);
  expect((await pending()).map(([, deliveries]) => deliveries)).toEqual([1, 1, 1, 1, 1]);
});

test("ConsumerGroup.read – the first read of a consumer is lost: what it held before does not come again", async () => {
  await at.db.consumerGroup("g", [at.key]).create();
  await at.db.Stream(at.key).addMany(numbered(3));
  expect(numbersOf((await at.db.consumerGroup("g", [at.key]).read())[at.key]!)).toEqual([0, 1, 2]);
  await aged();
  const reading = at.db.consumerGroup("g", [at.key]).read({ block: 0 });
  const [client] = await at.watch.blocked();
  await at.watch.redis.client("KILL", "ID", Number(client!.id));
  await at.watch.blocked();
  await at.watch.redis.xadd(at.key, "*", "n", "3");
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([3]);
});

test("ConsumerGroup.read – messages of another consumer are left to it", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.streams[at.key]!.addMany(numbered(2));
  expect(numbersOf((await group.consumer("other").read({ count: 1 }))[at.key]!)).toEqual([0]);
  at.proxy.swallow();
  const reading = group.read({ block: 0 });
  await loseReply();
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([1]);
});

test("ConsumerGroup.read – 2,500 messages in a lost reply", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.read();
  await group.streams[at.key]!.addMany(numbered(2500));
  void at.proxy.cutAfter(60_000);
  const messages = (await within(5000, group.read({ count: 2500 })))[at.key]!;
  expect(numbersOf(messages)).toEqual(Array.from({ length: 2500 }, (_, i) => i));
  expect(new Set((await pending()).map(([, deliveries]) => deliveries))).toEqual(new Set([1]));
});

test("ConsumerGroup.read – lost messages of which one has been deleted", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.read();
  const ids = await group.streams[at.key]!.addMany(numbered(3));
  at.proxy.swallow();
  const reading = group.read();
  await waitFor(() => at.proxy.heldBytes > 0);
  await at.watch.redis.xdel(at.key, ids[1]!);
  await loseReply();
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([0, 2]);
});

test("ConsumerGroup.read – all lost messages have been deleted: it waits on", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  const reading = group.read({ block: 0 });
  await at.watch.blocked();
  at.proxy.swallow();
  const id = await at.watch.redis.xadd(at.key, "*", "n", "1");
  await waitFor(() => at.proxy.heldBytes > 0);
  await at.watch.redis.xdel(at.key, id!);
  await loseReply();
  await at.watch.blocked();
  await at.watch.redis.xadd(at.key, "*", "n", "2");
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([2]);
});

test("ConsumerGroup.read – the request never arrived: it waits on", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.read();
  at.proxy.swallow("commands");
  const reading = group.read({ block: 0 });
  await loseReply();
  await at.watch.blocked();
  await at.watch.redis.xadd(at.key, "*", "n", "1");
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([1]);
  expect((await pending()).map(([, deliveries]) => deliveries)).toEqual([1]);
});

test("ConsumerGroup.read – lost again while it looks for what was lost", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.read();
  await group.streams[at.key]!.addMany(numbered(300));
  // The reply, the list of pending entries, and the entries: each is cut once.
  void at.proxy.cutAfter(3000).then(() => at.proxy.cutAfter(2000).then(() => at.proxy.cutAfter(1000)));
  const messages = (await within(5000, group.read()))[at.key]!;
  expect(numbersOf(messages)).toEqual(Array.from({ length: 300 }, (_, i) => i));
});

test("ConsumerGroup.read – with noAck nothing is pending: ConnectionLostError, and no message comes twice", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.streams[at.key]!.add({ n: 0 });
  expect(numbersOf((await group.read())[at.key]!)).toEqual([0]);
  const reading = group.read({ block: 0, noAck: true });
  reading.catch(() => {});
  await at.watch.blocked();
  at.proxy.swallow();
  await at.watch.redis.xadd(at.key, "*", "n", "1");
  await loseReply();
  expect((await failure(reading)).error).toMatchObject({ code: "CONNECTION_LOST", isSent: true });
  expect(await group.read()).toEqual({});
  expect(await pending()).toHaveLength(1);
});

test("ConsumerGroup.read – the reply of a read of its own pending messages is lost: read again", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.streams[at.key]!.addMany(numbered(3));
  await group.read();
  at.proxy.swallow();
  const reading = group.read({ lastId: "0" });
  await loseReply();
  expect(numbersOf((await within(2000, reading))[at.key]!)).toEqual([0, 1, 2]);
});

test("ConsumerGroup.read – a keyPrefix and a lost reply", async () => {
  const prefixed = open({ host: at.proxy.host, port: at.proxy.port, keyPrefix: "p:" });
  const group = prefixed.consumerGroup("g", [at.key]);
  await group.create();
  const reading = group.read({ block: 0 });
  await at.watch.blocked();
  at.proxy.swallow();
  const id = await at.watch.redis.xadd(`p:${at.key}`, "*", "n", "1");
  await loseReply();
  expect((await within(2000, reading))[at.key]).toMatchObject([{ id, stream: at.key }]);
  await prefixed.close();
});
