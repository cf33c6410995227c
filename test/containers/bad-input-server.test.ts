import { createServer } from "node:net";
import { expect, test } from "vitest";
import {
  ConnectionLostError,
  Database,
  GroupExistsError,
  GroupStream,
  NoSuchGroupError,
  NoSuchStreamError,
  ReplyError,
  WalrusError,
  WrongTypeError,
} from "../../src/index.ts";
import { failure, ids, idsOf, loose, numbered, Place } from "./harness.ts";

const place = new Place({ password: "right" });

/** A stream with so many entries, seen by a group that is there. */
async function grouped(count = 0) {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(count), { id: (_, i) => i + 1 });
  const cg = place.db.consumerGroup("g", key);
  await cg.create();
  return { key, cg, stream: cg.streams[key]! };
}

/** Do something with a database that is closed in any case. */
async function over(db: Database, act: (db: Database) => Promise<void>): Promise<void> {
  db.on("error", () => {});
  try {
    await act(db);
  } finally {
    await db.close();
  }
}

test("WrongTypeError – a key of another type: every verb says so, the key is not touched", async () => {
  const key = place.key();
  await place.db.set(key, "text");
  const stream = new GroupStream(place.db, key, { group: "g", consumer: "c" });
  const plain = place.db.Stream(key);
  const cg = place.db.consumerGroup("g", key);
  const calls = [
    () => plain.add({ a: 1 }),
    () => plain.addMany([{ a: 1 }]),
    () => plain.get("1-1"),
    () => plain.has("1-1"),
    () => plain.first(),
    () => plain.last(),
    () => plain.range(),
    () => plain.range().reverse(),
    () => plain.read(),
    () => plain.read({ lastId: "$", block: 10 }),
    () => plain.delete("1-1"),
    () => plain.length(),
    () => plain.trim(1),
    () => plain.setId("1-1"),
    () => plain.info(),
    () => plain.groupsInfo(),
    () => plain.consumersInfo("g"),
    () => stream.read(),
    () => stream.ack("1-1"),
    () => stream.pending(),
    () => stream.pendingSummary(),
    () => stream.claim(["1-1"]),
    () => stream.autoclaim(),
    () => stream.setId(),
    () => stream.deleteConsumer(),
    () => cg.create(),
    () => cg.ensure(),
    () => cg.destroy(),
    () => cg.read(),
    () => cg.reset(),
    () => cg.stats(),
    () => cg.streamInfo(),
    () => cg.health(),
    () => cg.consumers(),
    () => cg.removeIdleConsumers({ idle: 0 }),
    () => place.db.timeSeries("g", key).range(),
  ];
  for (const call of calls) {
    const error = await failure(call, WrongTypeError);
    expect([`${call}`, error.code, error.stream]).toEqual([`${call}`, "WRONG_TYPE", key]);
    expect(error.retriable).toBe(false);
  }
  expect(await place.db.get(key)).toBe("text");
  expect(await plain.exists()).toBe(true);
});

test("NoSuchGroupError – a group that is missing, on a stream that is there and on none", async () => {
  const { key } = await grouped(1);
  for (const where of [key, place.key()]) {
    const cg = place.db.consumerGroup("nobody", where);
    for (const call of [
      () => cg.read(),
      () => cg.streams[where]!.pending(),
      () => cg.streams[where]!.claim(["1-0"]),
    ]) {
      const error = await failure(call, NoSuchGroupError);
      expect(error).toMatchObject({
        code: "NO_SUCH_GROUP",
        group: "nobody",
        streams: [where],
        retriable: false,
      });
    }
  }
  await failure(place.db.consumerGroup("g", place.key()).setId("0-0"), NoSuchStreamError);
});

test("NoSuchGroupError – one of several streams has no group: nothing of the others is delivered", async () => {
  const { key, stream } = await grouped(2);
  const error = await failure(place.db.consumerGroup("g", [key, place.key()]).read(), NoSuchGroupError);
  expect(error.streams).toHaveLength(2);
  expect(await stream.pendingSummary()).toMatchObject({ count: 0 });
});

test("ConsumerGroup.create – a group that exists is false, no error; made by hand it is a GroupExistsError", async () => {
  const { key, cg } = await grouped(1);
  expect(await cg.create()).toEqual({ [key]: false });
  const other = await failure(place.db.xgroup("CREATE", key, "g", "0"), Error);
  expect(other).not.toBeInstanceOf(WalrusError); // ioredis's own.
  expect(new GroupExistsError(other.message).code).toBe("GROUP_EXISTS");
});

test("Database – a server that is not there: every kind of call is a ConnectionLostError", async () => {
  const holder = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => holder.once("listening", resolve));
  const { port } = holder.address() as { port: number };
  await new Promise((resolve) => holder.close(resolve));
  const db = new Database(port, "127.0.0.1", { maxRetriesPerRequest: 1, retryStrategy: () => 10 });
  await over(db, async () => {
    const calls = [
      () => db.Stream("a").add({ a: 1 }),
      () => db.Stream("a").addMany([{ a: 1 }]),
      () => db.Stream("a").length(),
      () => db.Stream("a").range(),
      () => db.Stream("a").read({ block: 0 }),
      () => db.consumerGroup("g", "a").create(),
      () => db.consumerGroup("g", "a").read({ block: 0 }),
      () => db.timeSeries("g", ["a", "b"]).range(),
    ];
    for (const call of calls) {
      const error = await failure(call, ConnectionLostError);
      expect([`${call}`, error.code, error.retriable]).toEqual([`${call}`, "CONNECTION_LOST", true]);
      expect(error.cause).toBeInstanceOf(Error);
    }
  });
});

test("Database – a wrong password: over the connection and over a wire", async () => {
  const { port } = place.server;
  for (const password of ["wrong", undefined]) {
    await over(new Database({ port, ...(password && { password }) }), async (db) => {
      for (const call of [
        () => db.Stream("a").add({ a: 1 }),
        () => db.Stream("a").addMany([{ a: 1 }]),
        () => db.Stream("a").range(),
        () => db.Stream("a").read({ block: 0 }),
        () => db.consumerGroup("g", "a").read({ block: 0 }),
      ]) {
        const error = await failure(call, ReplyError);
        expect([`${call}`, error.code, error.retriable]).toEqual([`${call}`, "REPLY", false]);
        expect(["NOAUTH", "WRONGPASS"]).toContain(error.prefix);
        expect(error.message).not.toContain("wrong");
      }
    });
  }
  expect(await place.db.exists("a")).toBe(0);
});

test("Stream.add – a field called __proto__ is data, and changes no prototype", async () => {
  const { key, cg, stream } = await grouped();
  const data = JSON.parse('{"__proto__":"own","plain":"1"}') as Record<string, string>;
  const id = await stream.add(data);
  const messages = [
    await stream.get(id),
    (await stream.range())[0],
    (await cg.read())[key]![0],
    (await stream.claim([id]))[0],
  ];
  for (const message of messages) {
    expect(Object.entries(message!.data)).toEqual(Object.entries(data));
    expect(Object.getPrototypeOf(message!.data)).toBe(Object.prototype);
  }
  expect({}).not.toHaveProperty("plain");
});

test("ConsumerGroup – a key called 10", async () => {
  const cg = place.db.consumerGroup("g", ["b", "10", "9"]);
  expect(cg.keys).toEqual(["b", "10", "9"]);
  expect(await cg.create()).toEqual({ b: true, "10": true, "9": true });
  await cg._10.add({ a: 1 }, { id: 5 });
  const read = await cg.read();
  expect(Object.keys(read)).toEqual(["10"]);
  expect(read["10"]![0]).toMatchObject({ stream: "10", data: { a: "1" } });
  expect(await place.db.timeSeries("g", { 10: "0-0" }).range()).toMatchObject([{ stream: "10", id: "5-0" }]);
});

test("ConsumerGroup.consumer – consumers and groups called like options of a command", async () => {
  for (const name of ["block", "count", "STREAMS", "GROUP", "JUSTID", "IDLE", "$", ">", "*", " ", "é\r\n"]) {
    const { key, cg } = await grouped(2);
    const mine = cg.consumer(name);
    expect((await mine.read({ count: 1, block: 10 }))[key]).toMatchObject([{ id: "1-0", consumer: name }]);
    const stream = mine.streams[key]!;
    expect(idsOf(await stream.pending({ consumer: name, idle: 0 }))).toEqual(["1-0"]);
    expect(idsOf(await stream.claim(["1-0"]))).toEqual(["1-0"]);
    expect(await stream.consumersInfo()).toMatchObject([{ name, pending: 1 }]);
    expect(await stream.deleteConsumer()).toBe(1);
    const named = place.db.consumerGroup(name, key, { consumer: name });
    await named.create();
    expect((await named.read({ count: 1, block: 10, noAck: true }))[key]).toHaveLength(1);
    expect(await named.stats()).toMatchObject({ pending: 0 });
  }
});

test("Stream – keys called like options of a command", async () => {
  for (const key of ["STREAMS", "block", "count", "MAXLEN", ">", "$", "-", " ", "é\r\n", "{"]) {
    const stream = place.db.Stream(key);
    await stream.addMany(numbered(2), { id: (_, i) => i + 1, maxlen: 10 });
    expect(idsOf(await stream.read({ block: 10, count: 5 }))).toEqual(["1-0", "2-0"]);
    expect(idsOf(await stream.range(undefined, undefined, 5).reverse())).toEqual(["2-0", "1-0"]);
    expect(await stream.clear()).toBe(true);
  }
});

test("GroupStream – an entry deleted while pending, and a stream trimmed below the pending list: no read fails", async () => {
  const { key, cg, stream } = await grouped(6);
  await cg.read();
  await stream.delete("2-0");
  await stream.trim({ minid: "4-0", approximate: false });
  expect(idsOf((await cg.read({ lastId: "0" }))[key]!)).toEqual(["4-0", "5-0", "6-0"]);
  expect(idsOf(await stream.pending())).toEqual(ids(6));
  expect(idsOf(await stream.claim(["2-0", "4-0"]))).toEqual(["4-0"]);
  const { messages, deleted } = await stream.autoclaim({ consumer: "other" });
  expect([idsOf(messages), deleted]).toEqual([
    ["4-0", "5-0", "6-0"],
    ["1-0", "3-0"],
  ]);
  expect(await cg.stats()).toMatchObject({ pending: 3 });
});

test("GroupStream – the whole stream deleted while its entries are pending", async () => {
  const { key, cg, stream } = await grouped(3);
  const [message] = (await cg.read())[key]!;
  await stream.clear();
  await message!.ack(); // Nothing is pending any more, as Redis has it.
  await failure(cg.read({ lastId: "0" }), NoSuchGroupError);
  await cg.ensure();
  expect(await cg.read()).toEqual({});
});

test("block – times that are none", async () => {
  const { cg, stream } = await grouped();
  for (const block of [
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    "5",
    null,
    {},
    [],
    new Date(),
    { second: 1 },
    { seconds: -1 },
    { seconds: "1" },
    { months: 0.5 },
  ]) {
    for (const call of [
      () => stream.read(loose({ block })),
      () => cg.read(loose({ block })),
      () => place.db.Stream("a").read(loose({ block })),
      () => place.db.timeSeries("g", "a").read(loose({ block })),
    ]) {
      expect((await place.refusal(call)).argument).toMatch(/^block/);
    }
  }
  for (const time of [-1, Number.NaN, "5", null, {}, { hour: 1 }]) {
    expect((await place.refusal(() => stream.expire(loose(time)))).argument).toMatch(/^when/);
    expect((await place.refusal(() => stream.trim(loose({ olderThan: time })))).argument).toMatch(
      /^olderThan/,
    );
    expect((await place.refusal(() => stream.claim(["1-1"], loose({ minIdle: time })))).argument).toMatch(
      /^minIdle/,
    );
    expect((await place.refusal(() => cg.removeIdleConsumers(loose({ idle: time })))).argument).toMatch(
      /^idle/,
    );
    expect((await place.refusal(() => cg.health(loose({ maxIdle: time })))).argument).toMatch(/^maxIdle/);
  }
});
