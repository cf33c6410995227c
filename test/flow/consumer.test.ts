import { expect, test } from "vitest";
import { Consumer, DecodeError, InvalidArgumentError, json } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, open, within } from "../connection/harness.ts";
import { all, fill, Ground, take, upTo } from "./harness.ts";

const at = new Ground();

test("Consumer – a key: for await gives what is there, and ends", async () => {
  await fill(at.watch, at.key, 250);
  expect(await all(at.db.consumer(at.key, { from: "earliest" }))).toEqual(upTo(250));
});

test("Consumer – keys, a Stream, and a list of Streams with payloads of their own", async () => {
  await fill(at.watch, at.key, 3);
  await at.watch.redis.xadd(`${at.key}-j`, "4-0", "json", '{"n":"4"}');
  expect(await all(at.db.consumer([at.key, at.key], { from: "earliest" }))).toEqual([1, 2, 3]);
  expect(await all(at.db.consumer(at.db.Stream(at.key), { from: "earliest" }))).toEqual([1, 2, 3]);
  const other = at.db.Stream(`${at.key}-j`, { codec: json<Record<string, string>>() });
  const both = at.db.consumer([at.db.Stream(at.key), other], { from: "earliest" });
  expect(await all(both)).toEqual([1, 4, 2, 3]);
});

test("Consumer – a ConsumerGroup: new entries, acknowledged one by one", async () => {
  await fill(at.watch, at.key, 3);
  const consumer = at.db.consumer(at.db.consumerGroup("g", [at.key]));
  const message = (await consumer.getMessage())!;
  expect(message).toMatchObject({ group: "g", consumer: "g.c1", deliveries: 1, stream: at.key, id: "1-0" });
  await message.ack();
  expect(await all(consumer)).toEqual([2, 3]);
  expect((await at.watch.redis.xpending(at.key, "g")).slice(0, 3)).toEqual([2, "2-0", "3-0"]);
});

test("Consumer – a TimeSeries, and a stream of a group", async () => {
  await fill(at.watch, at.key, 2);
  expect(await all(at.db.consumer(at.db.timeSeries("t", [at.key])))).toEqual([1, 2]);
  const group = at.db.consumerGroup("g", [at.key, `${at.key}-b`]);
  expect(await all(at.db.consumer(group.streams[at.key]!))).toEqual([1, 2]);
  expect(await at.watch.redis.exists(`${at.key}-b`)).toBe(0);
});

test("Consumer – a keyPrefix", async () => {
  await using db = open({ ...at.server.options, keyPrefix: "p:" });
  await fill(at.watch, `p:${at.key}`, 2);
  await using stream = db.consumer(at.key, { from: "earliest" });
  expect(await stream.getMessage()).toMatchObject({ stream: at.key });
  await using group = db.consumer(db.consumerGroup("g", [at.key]), { backlog: true });
  expect(await take(group, 2)).toEqual([1, 2]);
  expect(await at.watch.redis.exists(`p:${at.key}`, at.key)).toBe(1);
});

test("Consumer – sources that cannot be read are refused", async () => {
  const { key, db } = at;
  await using other = open(at.server.options);
  const group = db.consumerGroup("g", [key]);
  const wrong: (() => unknown)[] = [
    () => db.consumer([]),
    () => db.consumer(1 as never),
    () => db.consumer([key, db.Stream(key)] as never),
    () => new Consumer([db.Stream(key), other.Stream("b")]),
    () => db.consumer([group.streams[key]!] as never),
  ];
  for (const make of wrong) expect(make).toThrow(InvalidArgumentError);
});

test("Consumer – options that cannot be used are refused", () => {
  const { key, db } = at;
  const group = db.consumerGroup("g", [key]);
  const wrong: [options: object, argument: string][] = [
    [{ buffer: 0 }, "buffer"],
    [{ block: -1 }, "block"],
    [{ follow: 1 }, "follow"],
    [{ signal: {} }, "signal"],
    [{ from: null }, "id"],
    [{ from: { other: "earliest" } }, "from"],
    [{ from: { [key]: "+" } }, "id"],
    [{ blok: 1 }, "consumer options"],
  ];
  for (const [options, argument] of wrong) {
    expect(() => db.consumer(key, options), argument).toThrow(new RegExp(`^${argument} must be`));
  }
  expect(() => db.consumer(group, { from: "earliest" })).toThrow(InvalidArgumentError);
});

test("Consumer – from the latest: pinned when it opens, so that nothing is missed after it", async () => {
  await fill(at.watch, at.key, 3);
  await using consumer = at.db.consumer(at.key);
  expect(await consumer.getMessage()).toBeNull();
  await fill(at.watch, at.key, 2, 4);
  expect(await take(consumer, 2)).toEqual([4, 5]);
});

test("Consumer – from an id, a number, a Date, a message, and a map by key", async () => {
  const { key, db } = at;
  await fill(at.watch, key, 5);
  await fill(at.watch, `${key}-b`, 5);
  expect(await all(db.consumer(key, { from: "3-0" }))).toEqual([4, 5]);
  expect(await all(db.consumer(key, { from: new Date(2) }))).toEqual([3, 4, 5]);
  expect(await all(db.consumer(key, { from: { timestamp: new Date(4), sequence: 0 } }))).toEqual([5]);
  const [message] = await db.Stream(key).range("2-0", "2-0");
  expect(await all(db.consumer(key, { from: message! }))).toEqual([3, 4, 5]);
  const keys = [key, `${key}-b`, `${key}-c`];
  expect(await all(db.consumer(keys, { from: { [key]: "4-0", [`${key}-b`]: "earliest" } }))).toEqual([
    5, 1, 2, 3, 4, 5,
  ]);
});

test("Consumer – a stream that is not there yet is read from its first entry", async () => {
  await using consumer = at.db.consumer(at.key, { follow: true });
  const first = consumer.getMessage();
  await at.watch.blocked();
  await fill(at.watch, at.key, 1);
  expect(await within(1000, first)).toMatchObject({ id: "1-0" });
});

test("Consumer.getMessage – null where nothing is there; after block where nothing comes", async () => {
  await using none = at.db.consumer(at.key);
  expect(await within(500, none.getMessage())).toBeNull();
  await using some = at.db.consumer(at.key, { block: 200 });
  for (let i = 0; i < 2; i++) {
    const start = performance.now();
    expect(await within(1000, some.getMessage())).toBeNull();
    expect(performance.now() - start).toBeGreaterThanOrEqual(198);
  }
});

test("Consumer.getMessage – block counts from the call, not from the read ahead of it", async () => {
  await fill(at.watch, at.key, 1);
  await using consumer = at.db.consumer(at.key, { from: "earliest", block: 800 });
  await consumer.getMessage();
  await at.watch.blocked();
  const since = performance.now();
  await waitFor(() => performance.now() - since > 300, { what: "the read ahead to be well under way" });
  const start = performance.now();
  expect(await within(2500, consumer.getMessage())).toBeNull();
  expect(performance.now() - start).toBeGreaterThanOrEqual(798);
  expect(performance.now() - start).toBeLessThan(1200);
});

test("Consumer.getMessage – a message that comes within block", async () => {
  await using consumer = at.db.consumer(at.key, { block: 5000 });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await fill(at.watch, at.key, 1);
  expect(await within(1000, waiting)).toMatchObject({ id: "1-0" });
});

test("Consumer.getMessage – a part of a millisecond is a wait, not for ever; 0 is for ever", async () => {
  await using short = at.db.consumer(at.key, { block: 0.3 });
  expect(await within(500, short.getMessage())).toBeNull();
  await using long = at.db.consumer(at.key, { block: 0 });
  const waiting = long.getMessage();
  const [client] = await at.watch.blocked();
  await at.watch.endSlice(client!);
  await at.watch.blocked();
  await fill(at.watch, at.key, 1);
  expect(await within(1000, waiting)).toMatchObject({ id: "1-0" });
});

test("Consumer.getMessage – calls at the same time are served in their order", async () => {
  await using consumer = at.db.consumer(at.key, { block: 2000 });
  const waiting = [1, 2, 3].map(() => consumer.getMessage());
  await at.watch.blocked();
  await fill(at.watch, at.key, 3);
  const ids = (await within(1500, Promise.all(waiting))).map((message) => message?.id);
  expect(ids).toEqual(["1-0", "2-0", "3-0"]);
  await using empty = at.db.consumer(at.key, { block: 150 });
  expect(await within(1000, Promise.all([1, 2].map(() => empty.getMessage())))).toEqual([null, null]);
});

test("Consumer – entries that do not decode: an error each, in its place, and it goes on", async () => {
  const { key, db, watch } = at;
  for (const n of upTo(6)) {
    const value = n === 2 || n === 3 || n === 6 ? "{" : `{"n":"${n}"}`;
    await watch.redis.xadd(key, `${n}-0`, "json", value);
  }
  for (const source of [db.Stream(key, { codec: json<{ n: string }>() }), null]) {
    const options = { codec: json<{ n: string }>() };
    await using consumer =
      source === null
        ? db.consumer(db.consumerGroup("g", [key], options))
        : db.consumer(source, { from: "earliest" });
    const seen: string[] = [];
    for (let isOver = false; !isOver && seen.length < 10; ) {
      try {
        for await (const message of consumer) seen.push(message.data.n);
        isOver = true;
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
        seen.push(`!${(error as DecodeError).id}`);
      }
    }
    expect(seen).toEqual(["1", "!2-0", "!3-0", "4", "5", "!6-0"]);
  }
});

test("Consumer – fairness: a quiet stream is not behind a busy one", async () => {
  await fill(at.watch, at.key, 2000);
  await fill(at.watch, `${at.key}-q`, 2);
  await using consumer = at.db.consumer([at.key, `${at.key}-q`], { from: "earliest", follow: true });
  const streams: string[] = [];
  for (let i = 0; i < 4; i++) streams.push((await consumer.getMessage())!.stream);
  expect(streams).toEqual([at.key, `${at.key}-q`, at.key, `${at.key}-q`]);
  // While the busy one is full, an entry of the quiet one comes through.
  await at.watch.blocked();
  await fill(at.watch, `${at.key}-q`, 1, 3);
  await at.watch.blocked();
  expect([(await consumer.getMessage())!.stream, (await consumer.getMessage())!.stream]).toContain(
    `${at.key}-q`,
  );
});

test("Consumer – what it meets that is no stream", async () => {
  await at.watch.redis.set(at.key, "text");
  const { error } = await failure(at.db.consumer(at.key).getMessage());
  expect(error).toMatchObject({ code: "WRONG_TYPE" });
  const group = at.db.consumer(at.db.consumerGroup("g", [at.key]), { follow: true });
  expect((await failure(group.getMessage())).error).toMatchObject({ code: "WRONG_TYPE" });
  expect((await failure(group.getMessage())).error).toMatchObject({ code: "WRONG_TYPE" });
  expect(await at.watch.redis.get(at.key)).toBe("text");
});
