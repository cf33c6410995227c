import { inspect } from "node:util";
import { expect, test } from "vitest";
import {
  ConsumerGroup,
  GroupMessage,
  GroupStream,
  NoSuchGroupError,
  SettledError,
  WrongTypeError,
} from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, ids, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** Two streams with so many entries each, and their group, made. */
async function make(count = 0) {
  const [a, b] = [place.key("a"), place.key("b")];
  const cg = place.db.consumerGroup("g", [a, b]);
  await cg.create();
  for (const key of [a, b]) await place.db.Stream(key).addMany(numbered(count), { id: (_, i) => i + 1 });
  return { a, b, cg, first: cg.streams[a]!, second: cg.streams[b]! };
}

test("Database.consumerGroup – a ConsumerGroup, nothing is sent", async () => {
  expect(await place.sent(() => place.db.consumerGroup("g", ["a", "b"]))).toEqual({});
  const cg = place.db.consumerGroup("g", ["a", "b"]);
  expect(cg).toBeInstanceOf(ConsumerGroup);
  expect(cg.name).toBe("g");
  expect(cg.keys).toEqual(["a", "b"]);
  expect(cg.consumerName).toBe("g.c1");
  expect(Object.keys(cg.streams)).toEqual(["a", "b"]);
  expect(cg.streams.a).toBeInstanceOf(GroupStream);
  expect(cg.streams.a).toMatchObject({ key: "a", group: "g", consumer: "g.c1" });
  expect(cg.a).toBe(cg.streams.a);
  expect(inspect(cg)).toBe("<ConsumerGroup g g.c1 [a, b]>");
  expect(place.db.consumerGroup("g", "a", { consumer: "alice" }).consumerName).toBe("alice");
});

test("ConsumerGroup.create – true where it was made, false where it was there; makes the streams", async () => {
  const [a, b] = [place.key(), place.key()];
  expect(await place.db.consumerGroup("g", a).create()).toEqual({ [a]: true });
  const cg = place.db.consumerGroup("g", [a, b]);
  expect(await cg.create()).toEqual({ [a]: false, [b]: true });
  expect(await cg.create()).toEqual({ [a]: false, [b]: false });
  expect(await place.db.exists(a, b)).toBe(2);
});

test("ConsumerGroup.create – a group that is there stays as it is", async () => {
  const { cg, a } = await make(3);
  await cg.read({ count: 2 });
  await place.db.consumerGroup("g", { [a]: "$" }).create();
  expect(await cg.streams[a]!.pendingSummary()).toMatchObject({ count: 2 });
  expect((await cg.read())[a]).toHaveLength(1);
});

test("ConsumerGroup.create – one key and a list begin at 0-0, entries from before are new", async () => {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(2));
  const cg = place.db.consumerGroup("g", key);
  await cg.create();
  expect((await cg.read())[key]).toHaveLength(2);
});

test("ConsumerGroup.create – a map gives each key its start, incl. a Date, a number, a message and $", async () => {
  const keys = Array.from({ length: 6 }, () => place.key());
  const [all, date, number, message, end, none] = keys as [string, string, string, string, string, string];
  for (const key of keys.slice(0, 5)) {
    for (const id of ["1-0", "1-1", "2-0"]) await place.db.Stream(key).add({ id }, { id });
  }
  const entry = (await place.db.Stream(message).get("1-1"))!;
  const cg = place.db.consumerGroup("g", {
    [all]: "0",
    [date]: new Date(1),
    [number]: 1,
    [message]: entry,
    [end]: "$",
    [none]: "$",
  });
  await cg.create();
  await place.db.Stream(none).add({ id: "late" }, { id: "7-7" });
  const read = await cg.read();
  expect(Object.fromEntries(Object.entries(read).map(([key, got]) => [key, idsOf(got!)]))).toEqual({
    [all]: ["1-0", "1-1", "2-0"],
    [date]: ["2-0"],
    [number]: ["1-1", "2-0"],
    [message]: ["2-0"],
    [none]: ["7-7"],
  });
});

test("ConsumerGroup.create – a key of another type is a WrongTypeError, it is not touched, the others are made", async () => {
  const [a, wrong, b] = [place.key(), place.key(), place.key()];
  await place.db.hset(wrong, { field: "value" });
  const error = await failure(place.db.consumerGroup("g", [a, wrong, b]).create(), WrongTypeError);
  expect(error).toMatchObject({ code: "WRONG_TYPE", stream: wrong, group: "g", command: "XGROUP" });
  expect(await place.db.hgetall(wrong)).toEqual({ field: "value" });
  expect(await place.db.consumerGroup("g", [a, b]).create()).toEqual({ [a]: false, [b]: false });
});

test("ConsumerGroup.ensure – makes what is missing, any number of times", async () => {
  const key = place.key();
  const cg = place.db.consumerGroup("g", key);
  expect(await cg.ensure()).toBeUndefined();
  await cg.ensure();
  expect(await place.db.Stream(key).groupsInfo()).toHaveLength(1);
});

test("ConsumerGroup.destroy – true where there was one; a missing stream is no error", async () => {
  const { cg, a, b } = await make(1);
  await place.db.consumerGroup("g", b).destroy();
  expect(await cg.destroy()).toEqual({ [a]: true, [b]: false });
  expect(await place.db.Stream(a).groupsInfo()).toEqual([]);
  expect(await place.db.Stream(a).length()).toBe(1);
  const missing = place.key();
  expect(await place.db.consumerGroup("g", missing).destroy()).toEqual({ [missing]: false });
  expect(await place.db.exists(missing)).toBe(0);
});

test("ConsumerGroup.reset – begins again at 0-0, pending entries stay", async () => {
  const { cg, a, first } = await make(2);
  await cg.read();
  expect(await cg.read()).toEqual({});
  await cg.reset();
  expect(await first.pendingSummary()).toMatchObject({ count: 2 });
  const again = (await cg.read())[a]!;
  expect(idsOf(again)).toEqual(["1-0", "2-0"]);
});

test("ConsumerGroup.setId – $ by default, an id, a Date", async () => {
  const { cg, a, b } = await make(5);
  await cg.setId();
  expect(await cg.read()).toEqual({});
  await cg.setId("3-0");
  expect(idsOf((await cg.read())[a]!)).toEqual(["4-0", "5-0"]);
  await cg.setId(new Date(4));
  expect(idsOf((await cg.read())[b]!)).toEqual(["5-0"]);
});

test("ConsumerGroup.setId – no group", async () => {
  const cg = place.db.consumerGroup("nobody", (await make(1)).a);
  expect(await failure(cg.setId("0-0"), NoSuchGroupError)).toMatchObject({ group: "nobody" });
});

test("ConsumerGroup.read – new entries by key, as GroupMessages, one XREADGROUP", async () => {
  const { cg, a, b } = await make(3);
  await cg.read({ count: 1 });
  let read: Awaited<ReturnType<typeof cg.read>> = {};
  const sent = await place.sent(async () => {
    read = await cg.read();
  });
  expect(sent).toEqual({ xreadgroup: 1 });
  expect(Object.keys(read)).toEqual([a, b]);
  const [message] = read[a]!;
  expect(message).toBeInstanceOf(GroupMessage);
  expect(message).toMatchObject({
    id: "2-0",
    stream: a,
    group: "g",
    consumer: "g.c1",
    deliveries: 1,
    data: { n: "1" },
  });
  expect(JSON.parse(JSON.stringify(message))).toMatchObject({ id: "2-0", group: "g", deliveries: 1 });
});

test("ConsumerGroup.read – only keys with messages, {} where there are none", async () => {
  const { cg, b } = await make(0);
  await place.db.Stream(b).add({ n: 0 });
  expect(Object.keys(await cg.read())).toEqual([b]);
  expect(await cg.read()).toEqual({});
});

test("ConsumerGroup.read – count is for each stream", async () => {
  const { cg, a, b } = await make(5);
  const read = await cg.read({ count: 2 });
  expect([idsOf(read[a]!), idsOf(read[b]!)]).toEqual([
    ["1-0", "2-0"],
    ["1-0", "2-0"],
  ]);
});

test("ConsumerGroup.read – block waits for an entry on any stream, and ends with {} when none comes", async () => {
  const { cg, b } = await make(0);
  const reading = cg.read({ block: { seconds: 20 } });
  await waitFor(async () => (await place.db.info("clients")).includes("blocked_clients:1"));
  const id = await place.db.Stream(b).add({ n: 0 });
  expect(idsOf((await reading)[b]!)).toEqual([id]);
  const start = performance.now();
  expect(await cg.read({ block: 50 })).toEqual({});
  expect(performance.now() - start).toBeGreaterThanOrEqual(49);
});

test("ConsumerGroup.read – signal ends the wait with its reason", async () => {
  const { cg } = await make(0);
  const controller = new AbortController();
  const reading = cg.read({ block: 0, signal: controller.signal });
  await waitFor(async () => (await place.db.info("clients")).includes("blocked_clients:1"));
  controller.abort(new Error("enough"));
  await expect(reading).rejects.toThrow("enough");
});

test("ConsumerGroup.read – noAck leaves nothing pending", async () => {
  const { cg, a, first } = await make(2);
  expect((await cg.read({ noAck: true }))[a]).toHaveLength(2);
  expect(await first.pendingSummary()).toMatchObject({ count: 0 });
  expect(await cg.read()).toEqual({});
});

test("ConsumerGroup.read – lastId 0 gives the consumer's own pending entries, with their deliveries", async () => {
  const { cg, a, b, first } = await make(3);
  const other = cg.consumer("other");
  await other.read({ count: 1 });
  await cg.read({ count: 1 });
  await first.ack("1-0");
  const own = await cg.read({ lastId: "0" });
  expect(idsOf(own[a]!)).toEqual(["2-0"]);
  expect(idsOf(own[b]!)).toEqual(["2-0"]);
  expect(own[a]![0]!.deliveries).toBe(2);
  await own[a]![0]!.ack();
  expect(Object.keys(await cg.read({ lastId: 0 }))).toEqual([b]);
  expect(idsOf((await other.read({ lastId: "0-0" }))[b]!)).toEqual(["1-0"]);
});

test("ConsumerGroup.read – of pending entries never blocks and is sent once", async () => {
  const { cg } = await make(0);
  const sent = await place.sent(async () => expect(await cg.read({ lastId: "0", block: 0 })).toEqual({}));
  expect(sent["xreadgroup"]).toBe(1);
});

test("ConsumerGroup.read – an entry deleted while pending is left out", async () => {
  const { cg, a, first } = await make(3);
  await cg.read();
  await first.delete("2-0");
  expect(idsOf((await cg.read({ lastId: "0" }))[a]!)).toEqual(["1-0", "3-0"]);
  await first.trim({ maxlen: 0, approximate: false });
  expect(Object.keys(await cg.read({ lastId: "0" }))).not.toContain(a);
  expect(idsOf(await first.pending())).toEqual(ids(3));
});

test("ConsumerGroup.read – 2,500 entries a stream, in order", async () => {
  const { cg, a, b } = await make(2500);
  const read = await cg.read();
  expect(idsOf(read[a]!)).toEqual(ids(2500));
  expect(idsOf(read[b]!)).toEqual(ids(2500));
});

test("ConsumerGroup.read – two consumers share what is new, nothing twice", async () => {
  const { cg, a } = await make(10);
  const other = cg.consumer("other");
  const reads = [await cg.read({ count: 3 }), await other.read({ count: 4 }), await cg.read()];
  expect(reads.flatMap((read) => idsOf(read[a]!))).toEqual(ids(10));
});

test("ConsumerGroup.consumer – the same group under another name, this one as it was", async () => {
  const { cg, a, b } = await make(1);
  let other = cg;
  expect(await place.sent(() => (other = cg.consumer("c2")))).toEqual({});
  expect(other).toBeInstanceOf(ConsumerGroup);
  expect(other).toMatchObject({ name: "g", consumerName: "c2", keys: [a, b] });
  expect(other.streams[a]).toMatchObject({ consumer: "c2", group: "g" });
  expect(cg.consumerName).toBe("g.c1");
  await other.read();
  expect(await cg.streams[a]!.pendingSummary()).toMatchObject({ consumers: [{ name: "c2", pending: 1 }] });
});

test("ConsumerGroup.consumer – start ids and codec go with it", async () => {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(2), { id: (_, i) => i + 1 });
  const cg = place.db.consumerGroup("g", { [key]: "1-0" }).consumer("c2");
  await cg.create();
  expect(idsOf((await cg.read())[key]!)).toEqual(["2-0"]);
});

test("GroupMessage.ack – many in one turn are one XACK a stream", async () => {
  const { cg, a, b, first } = await make(500);
  const read = await cg.read();
  const sent = await place.sent(async () => {
    await Promise.all([...read[a]!, ...read[b]!].map((message) => message.ack()));
  });
  expect(sent).toEqual({ xack: 2 });
  expect(await first.pendingSummary()).toMatchObject({ count: 0 });
});

test("GroupMessage.ack – resolves when the server has it; by another object it is harmless", async () => {
  const { cg, a, first } = await make(2);
  const [one] = (await cg.read())[a]!;
  expect(await one!.ack()).toBeUndefined();
  expect(idsOf(await first.pending())).toEqual(["2-0"]);
  await expect(one!.ack()).rejects.toThrow(SettledError);
  expect(await first.ack(one!)).toBe(0);
  expect(idsOf(await first.pending())).toEqual(["2-0"]);
});

test("GroupMessage.ack – the server's refusal rejects every one of the turn", async () => {
  const { cg, a } = await make(2);
  const messages = (await cg.read())[a]!;
  await place.db.set(a, "text");
  const outcomes = await Promise.allSettled(messages.map((message) => message.ack()));
  for (const outcome of outcomes) {
    expect(outcome.status === "rejected" && outcome.reason).toBeInstanceOf(WrongTypeError);
  }
});
