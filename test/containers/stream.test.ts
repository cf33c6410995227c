import { inspect } from "node:util";
import { expect, test } from "vitest";
import { Container, Message, ReplyError, Stream } from "../../src/index.ts";
import { collect, failure, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();
const make = (name?: string): Stream => place.db.Stream(place.key(name));

test("Database.Stream – a Stream of that key, nothing is sent", async () => {
  expect(await place.sent(() => make())).toEqual({});
  const stream = place.db.Stream("orders:eu");
  expect(stream).toBeInstanceOf(Stream);
  expect(stream).toBeInstanceOf(Container);
  expect(stream.key).toBe("orders:eu");
  expect(inspect(stream)).toBe("<Stream orders:eu>");
});

test("Stream.add – gives the id, and the entry is there as a message", async () => {
  const stream = make();
  const before = Date.now();
  const id = await stream.add({ text: "é\r\n", n: 7, big: 2n ** 60n, yes: true });
  const message = (await stream.get(id))!;
  expect(message).toBeInstanceOf(Message);
  expect(message.data).toEqual({ text: "é\r\n", n: "7", big: "1152921504606846976", yes: "true" });
  expect(message.stream).toBe(stream.key);
  expect(message.headers).toEqual({});
  expect(message.sequence).toBe(0);
  expect(message.timestamp.getTime()).toBeGreaterThanOrEqual(before);
  expect(`${message.timestamp.getTime()}-${message.sequence}`).toBe(id);
});

test("Stream.add – one XADD on the shared connection", async () => {
  const stream = make();
  expect(await place.sent(() => stream.add({ a: 1 }))).toEqual({ xadd: 1 });
});

test("Stream.add – an empty value and an empty field name are data", async () => {
  const stream = make();
  const id = await stream.add({ "": "x", empty: "" });
  expect((await stream.get(id))!.data).toEqual({ "": "x", empty: "" });
});

test("Stream.add – id in all forms", async () => {
  const stream = make();
  const added = [
    await stream.add({ a: 1 }, { id: 5 }),
    await stream.add({ a: 1 }, { id: "5-1" }),
    await stream.add({ a: 1 }, { id: "5-*" }),
    await stream.add({ a: 1 }, { id: "6" }),
    await stream.add({ a: 1 }, { id: 7n }),
    await stream.add({ a: 1 }, { id: { timestamp: new Date(8), sequence: 3 } }),
    await stream.add({ a: 1 }, { id: { timestamp: new Date(9) } }),
    await stream.add({ a: 1 }, { id: { id: "9-4" } }),
    await stream.add({ a: 1 }, { id: new Message("other", "10-1", {}) }),
    await stream.add({ a: 1 }, { id: new Date(11) }),
  ];
  expect(added).toEqual(["5-0", "5-1", "5-2", "6-0", "7-0", "8-3", "9-0", "9-4", "10-1", "11-0"]);
  expect(idsOf(await stream.range())).toEqual(added);
  expect(await stream.add({ a: 1 }, { id: "*" })).toMatch(/^\d{13}-0$/);
});

test("Stream.add – two of the same Date both fit", async () => {
  const stream = make();
  const date = new Date(2018, 0, 1);
  const added = [await stream.add({ a: 1 }, { id: date }), await stream.add({ a: 2 }, { id: date })];
  expect(added).toEqual([`${date.getTime()}-0`, `${date.getTime()}-1`]);
  expect(await stream.range(date, date)).toHaveLength(2);
});

test("Stream.add – an id that is not after the last one is refused by the server", async () => {
  const stream = make();
  await stream.add({ a: 1 }, { id: "5-1" });
  for (const id of ["5-1", "5-0", "4-9"]) {
    const error = await failure(stream.add({ a: 1 }, { id }), ReplyError);
    expect(error.code).toBe("REPLY");
    expect(error.command).toBe("XADD");
    expect(error.stream).toBe(stream.key);
    expect(error.cause).toBeInstanceOf(Error);
  }
  expect(await stream.length()).toBe(1);
});

test("Stream.add – maxlen exact and approximate", async () => {
  const stream = make();
  await stream.addMany(numbered(250));
  await stream.add({ n: 250 }, { maxlen: 10 });
  const left = await stream.length();
  expect(left).toBeLessThan(251);
  expect(left).toBeGreaterThan(10);
  await stream.add({ n: 251 }, { maxlen: 3, approximate: false });
  expect((await stream.range()).map(({ data }) => data["n"])).toEqual(["249", "250", "251"]);
});

test("Stream.add – minid exact by id and Date", async () => {
  const stream = make();
  for (const ms of [1, 2, 3, 4]) await stream.add({ ms }, { id: ms });
  await stream.add({ ms: 5 }, { id: 5, minid: "3-0", approximate: false });
  expect(idsOf(await stream.range())).toEqual(["3-0", "4-0", "5-0"]);
  await stream.add({ ms: 6 }, { id: 6, minid: new Date(5), approximate: false });
  expect(idsOf(await stream.range())).toEqual(["5-0", "6-0"]);
  await stream.add({ ms: 7 }, { id: 7, minid: 6 });
  expect(await stream.length()).toBe(3);
});

test("Stream.add – limit bounds what one add drops", async () => {
  const stream = make();
  await stream.addMany(numbered(350));
  await stream.add({ n: 350 }, { maxlen: 1, limit: 100 });
  expect(await stream.length()).toBe(251);
  await stream.add({ n: 351 }, { maxlen: 1, limit: 0 });
  expect(await stream.length()).toBe(52);
});

test("Stream.add – noMkStream gives null where there is no stream, and the id where there is", async () => {
  const stream = make();
  const id: string | null = await stream.add({ a: 1 }, { noMkStream: true });
  expect(id).toBeNull();
  expect(await stream.exists()).toBe(false);
  await stream.add({ a: 1 }, { noMkStream: false });
  expect(await stream.add({ a: 2 }, { noMkStream: true, id: "9999999999999-1" })).toBe("9999999999999-1");
});

test("Stream.add – headers travel beside the data", async () => {
  const stream = make();
  const id = await stream.add({ a: 1 }, { headers: { region: "eu", ü: "\u0000" } });
  const message = (await stream.get(id))!;
  expect(message.headers).toEqual({ region: "eu", ü: "\u0000" });
  expect(message.data).toEqual({ a: "1" });
  expect(await place.db.xrange(stream.key, id, id)).toEqual([
    [id, ["a", "1", "@headers", '{"region":"eu","ü":"\\u0000"}']],
  ]);
  const bare = await stream.add({ a: 1 }, { headers: {} });
  expect(await place.db.xrange(stream.key, bare, bare)).toEqual([[bare, ["a", "1"]]]);
});

test("Stream.get – null where there is none, a Date is exactly <ms>-0", async () => {
  const stream = make();
  expect(await stream.get("1-0")).toBeNull();
  await stream.add({ a: 1 }, { id: "5-1" });
  expect(await stream.get(new Date(5))).toBeNull();
  expect(await stream.get(5)).toBeNull();
  expect(await stream.get("5")).toBeNull();
  await stream.add({ a: 2 }, { id: "6-0" });
  for (const id of [new Date(6), 6, 6n, "6", "6-0", { id: "6-0" }, { timestamp: new Date(6) }]) {
    expect((await stream.get(id))?.data).toEqual({ a: "2" });
  }
});

test("Stream.has – whether that entry is there", async () => {
  const stream = make();
  expect(await stream.has("1-0")).toBe(false);
  await stream.add({ a: 1 }, { id: "5-1" });
  expect(await stream.has("5-1")).toBe(true);
  expect(await stream.has("5")).toBe(false);
  expect(await stream.has(new Date(5))).toBe(false);
  expect(await stream.has((await stream.first())!)).toBe(true);
});

test("Stream.delete – gives how many were there", async () => {
  const stream = make();
  const added = await stream.addMany(numbered(5), { id: (_, i) => i + 1 });
  expect(await stream.delete(added[0]!, "99-0")).toBe(1);
  expect(await stream.delete(new Date(2), 3, (await stream.get("4-0"))!)).toBe(3);
  expect(await stream.delete(added[0]!)).toBe(0);
  expect(await place.sent(async () => expect(await stream.delete()).toBe(0))).toEqual({});
  expect(idsOf(await stream.range())).toEqual(["5-0"]);
});

test("Stream.first and last – messages, null where empty", async () => {
  const stream = make();
  expect(await stream.first()).toBeNull();
  expect(await stream.last()).toBeNull();
  await stream.addMany(numbered(3), { id: (_, i) => i + 1 });
  expect((await stream.first())!.id).toBe("1-0");
  expect((await stream.last())!.id).toBe("3-0");
  await stream.delete("1-0", "2-0", "3-0");
  expect(await stream.first()).toBeNull();
  expect(await stream.last()).toBeNull();
});

test("Stream.length – 0 where there is no stream", async () => {
  const stream = make();
  expect(await stream.length()).toBe(0);
  await stream.addMany(numbered(3));
  expect(await stream.length()).toBe(3);
});

test("Stream.setId – what comes after must be later", async () => {
  const stream = make();
  await stream.add({ a: 1 }, { id: "5-1" });
  await stream.setId("9-3");
  expect((await stream.info()).lastGeneratedId).toBe("9-3");
  expect(await stream.add({ a: 1 }, { id: "9-*" })).toBe("9-4");
  await stream.setId(new Date(10));
  expect((await stream.info()).lastGeneratedId).toBe("10-18446744073709551615");
  await failure(stream.add({ a: 1 }, { id: new Date(10) }), ReplyError);
  await failure(stream.setId("1-0"), ReplyError);
});

test("Stream.exists and clear – the key, whatever its type", async () => {
  const stream = make();
  expect(await stream.exists()).toBe(false);
  expect(await stream.clear()).toBe(false);
  await stream.add({ a: 1 });
  expect(await stream.exists()).toBe(true);
  expect(await stream.clear()).toBe(true);
  expect(await stream.exists()).toBe(false);
  await place.db.set(stream.key, "text");
  expect(await stream.clear()).toBe(true);
});

test("Stream.expire – milliseconds, a Duration or a Date", async () => {
  const stream = make();
  expect(await stream.expire(1000)).toBe(false);
  await stream.add({ a: 1 });
  const ttl = (): Promise<number> => place.db.pttl(stream.key);
  expect(await stream.expire(100_000)).toBe(true);
  expect(await ttl()).toBeGreaterThan(90_000);
  expect(await ttl()).toBeLessThanOrEqual(100_000);
  expect(await stream.expire({ hours: 1, seconds: 1 })).toBe(true);
  expect(await ttl()).toBeGreaterThan(3_590_000);
  expect(await stream.expire(new Date(Date.now() + 7_200_000))).toBe(true);
  expect(await ttl()).toBeGreaterThan(7_190_000);
  expect(await stream.expire(new Date(0))).toBe(true);
  expect(await stream.exists()).toBe(false);
});

test("Stream.asyncIterator – the whole stream over pages", async () => {
  const stream = make();
  expect(await collect(stream)).toEqual([]);
  await stream.addMany(numbered(1500));
  const messages = await collect(stream);
  expect(messages.map(({ data }) => Number(data["n"]))).toEqual(numbered(1500).map(({ n }) => n));
});
