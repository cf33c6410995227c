import { expect, test } from "vitest";
import { Message, NoSuchGroupError, NoSuchStreamError, type Stream } from "../../src/index.ts";
import { failure, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** A stream with the entries `1-0` to `<count>-0`. */
async function make(count: number): Promise<Stream> {
  const stream = place.db.Stream(place.key());
  await stream.addMany(numbered(count), { id: (_, i) => i + 1 });
  return stream;
}

test("Stream.info – typed facts, counts are numbers, entries are messages", async () => {
  const stream = await make(3);
  await stream.delete("2-0");
  await place.db.consumerGroup("g", stream.key).create();
  const info = await stream.info();
  expect(info).toEqual({
    length: 2,
    radixTreeKeys: 1,
    radixTreeNodes: 2,
    groups: 1,
    lastGeneratedId: "3-0",
    maxDeletedEntryId: "2-0",
    entriesAdded: 3,
    recordedFirstEntryId: "1-0",
    firstEntry: expect.any(Message),
    lastEntry: expect.any(Message),
  });
  expect(info.firstEntry).toMatchObject({ id: "1-0", stream: stream.key, data: { n: "0" } });
  expect(info.lastEntry!.data).toEqual({ n: "2" });
  expect(await stream.info({ full: false })).toEqual(info);
});

test("Stream.info – an empty stream has no first and last entry", async () => {
  const stream = await make(1);
  await stream.delete("1-0");
  expect(await stream.info()).toMatchObject({ length: 0, firstEntry: null, lastEntry: null });
});

test("Stream.info – headers and odd fields of its entries", async () => {
  const stream = await make(0);
  await stream.add({ __proto__x: 1, ["__proto__"]: 2 }, { headers: { a: "b" } });
  const { firstEntry } = await stream.info();
  expect(Object.entries(firstEntry!.data)).toEqual([
    ["__proto__x", "1"],
    ["__proto__", "2"],
  ]);
  expect(firstEntry!.headers).toEqual({ a: "b" });
});

test("Stream.info – full: entries, groups, consumers and what they hold", async () => {
  const stream = await make(12);
  const cg = place.db.consumerGroup("g", stream.key, { consumer: "alice" });
  await cg.create();
  const before = Date.now();
  await cg.read({ count: 3 });
  await place.db.consumerGroup("other", { [stream.key]: "5-0" }).create();
  const info = await stream.info({ full: true });
  expect(info).toMatchObject({ length: 12, entriesAdded: 12, lastGeneratedId: "12-0" });
  expect(info.entries).toHaveLength(10);
  expect(info.entries[0]).toBeInstanceOf(Message);
  expect(info.groups.map(({ name }) => name)).toEqual(["g", "other"]);
  const [group, other] = info.groups;
  expect(group).toMatchObject({ lastDeliveredId: "3-0", entriesRead: 3, lag: 9, pendingCount: 3 });
  expect(idsOf(group!.pending)).toEqual(["1-0", "2-0", "3-0"]);
  expect(group!.pending[0]).toMatchObject({ consumer: "alice", deliveries: 1 });
  expect(group!.pending[0]!.deliveredAt.getTime()).toBeGreaterThanOrEqual(before - 1000);
  expect(group!.consumers).toHaveLength(1);
  expect(group!.consumers[0]).toMatchObject({ name: "alice", pendingCount: 3 });
  expect(group!.consumers[0]!.seenAt).toBeInstanceOf(Date);
  expect(idsOf(group!.consumers[0]!.pending)).toEqual(["1-0", "2-0", "3-0"]);
  expect(other).toMatchObject({ lastDeliveredId: "5-0", pendingCount: 0, consumers: [] });
});

test("Stream.info – full with a count, 0 is all", async () => {
  const stream = await make(25);
  const cg = place.db.consumerGroup("g", stream.key);
  await cg.create();
  await cg.read();
  const few = await stream.info({ full: true, count: 2 });
  expect(few.entries).toHaveLength(2);
  expect(few.groups[0]!.pending).toHaveLength(2);
  expect(few.groups[0]!.consumers[0]!.pending).toHaveLength(2);
  expect(few.groups[0]!.pendingCount).toBe(25);
  const all = await stream.info({ full: true, count: 0 });
  expect(all.entries).toHaveLength(25);
  expect(all.groups[0]!.pending).toHaveLength(25);
});

test("Stream.info, groupsInfo and consumersInfo – no stream", async () => {
  const stream = place.db.Stream(place.key());
  for (const error of [
    await failure(stream.info(), NoSuchStreamError),
    await failure(stream.info({ full: true }), NoSuchStreamError),
    await failure(stream.groupsInfo(), NoSuchStreamError),
    await failure(stream.consumersInfo("g"), NoSuchStreamError),
  ]) {
    expect(error.code).toBe("NO_SUCH_STREAM");
    expect(error.stream).toBe(stream.key);
    expect(error.command).toBe("XINFO");
  }
});

test("Stream.groupsInfo – typed, lag and entriesRead are numbers or null", async () => {
  const stream = await make(10);
  expect(await stream.groupsInfo()).toEqual([]);
  const cg = place.db.consumerGroup("g", stream.key);
  await cg.create();
  const group = async () => (await stream.groupsInfo())[0];
  expect(await group()).toEqual({
    name: "g",
    consumers: 0,
    pending: 0,
    lastDeliveredId: "0-0",
    entriesRead: null,
    lag: 10,
  });
  await cg.read({ count: 4 });
  expect(await group()).toEqual({
    name: "g",
    consumers: 1,
    pending: 4,
    lastDeliveredId: "4-0",
    entriesRead: 4,
    lag: 6,
  });
});

test("Stream.groupsInfo – lag is null after setId into the middle and a deletion there", async () => {
  const stream = await make(10);
  const cg = place.db.consumerGroup("g", stream.key);
  await cg.create();
  await stream.delete("8-0");
  await cg.setId("5-0");
  expect((await stream.groupsInfo())[0]).toMatchObject({
    lag: null,
    entriesRead: null,
    lastDeliveredId: "5-0",
  });
});

test("Stream.consumersInfo – typed", async () => {
  const stream = await make(10);
  const cg = place.db.consumerGroup("g", stream.key, { consumer: "alice" });
  await cg.create();
  expect(await stream.consumersInfo("g")).toEqual([]);
  await cg.read({ count: 4 });
  const consumers = await stream.consumersInfo("g");
  expect(consumers).toHaveLength(1);
  expect(consumers[0]).toMatchObject({ name: "alice", pending: 4 });
  expect(consumers[0]!.idle).toBeTypeOf("number");
  expect([null, "number"]).toContain(consumers[0]!.inactive === null ? null : typeof consumers[0]!.inactive);
});

test("Stream.consumersInfo – no group", async () => {
  const stream = await make(1);
  const error = await failure(stream.consumersInfo("nobody"), NoSuchGroupError);
  expect(error).toMatchObject({ code: "NO_SUCH_GROUP", group: "nobody", stream: stream.key });
});
