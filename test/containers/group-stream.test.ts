import { inspect } from "node:util";
import { expect, test } from "vitest";
import { GroupMessage, GroupStream, NoSuchGroupError, Stream } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { collect, failure, ids, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** A stream with so many entries, seen by its group. */
async function make(count = 0): Promise<GroupStream> {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(count), { id: (_, i) => i + 1 });
  const cg = place.db.consumerGroup("g", key, { consumer: "alice" });
  await cg.create();
  return cg.streams[key]!;
}

/** The same stream seen by another consumer. */
function as(stream: GroupStream, consumer: string): GroupStream {
  return new GroupStream(place.db, stream.key, { group: stream.group, consumer });
}

test("GroupStream – is a Stream, made by hand too", async () => {
  const stream = await make(2);
  expect(stream).toBeInstanceOf(Stream);
  expect(inspect(stream)).toBe(`<GroupStream ${stream.key}>`);
  expect(idsOf(await stream.range())).toEqual(ids(2));
  expect(idsOf(await collect(stream))).toEqual(ids(2));
  expect((await stream.get("2-0"))!.data).toEqual({ n: "1" });
  expect(await stream.add({ n: 2 }, { id: 3 })).toBe("3-0");
  expect(await stream.length()).toBe(3);
  expect((await stream.info()).groups).toBe(1);
  expect(idsOf(await as(stream, "bob").read())).toEqual(ids(3));
});

test("GroupStream.read – as the group's consumer: new entries, once", async () => {
  const stream = await make(3);
  const messages = await stream.read({ count: 2 });
  expect(idsOf(messages)).toEqual(["1-0", "2-0"]);
  expect(messages[0]).toBeInstanceOf(GroupMessage);
  expect(messages[0]).toMatchObject({ group: "g", consumer: "alice", deliveries: 1, stream: stream.key });
  expect(idsOf(await as(stream, "bob").read())).toEqual(["3-0"]);
  expect(await stream.read()).toEqual([]);
  expect(await stream.pendingSummary()).toMatchObject({
    count: 3,
    consumers: [
      { name: "alice", pending: 2 },
      { name: "bob", pending: 1 },
    ],
  });
});

test("GroupStream.read – lastId: own pending entries after it, with the server's delivery counts", async () => {
  const stream = await make(3);
  await stream.read();
  expect((await stream.read({ lastId: "0" })).map(({ id, deliveries }) => [id, deliveries])).toEqual([
    ["1-0", 2],
    ["2-0", 2],
    ["3-0", 2],
  ]);
  expect(
    (await stream.read({ lastId: "1-0", count: 1 })).map(({ id, deliveries }) => [id, deliveries]),
  ).toEqual([["2-0", 3]]);
  expect(idsOf(await stream.read({ lastId: new Date(2) }))).toEqual(["3-0"]);
  expect(await as(stream, "bob").read({ lastId: "0" })).toEqual([]);
});

test("GroupStream.read – lastId with block does not wait, and is sent once", async () => {
  const stream = await make(0);
  const sent = await place.sent(async () => {
    expect(await stream.read({ lastId: "0", block: 0 })).toEqual([]);
    expect(await stream.read({ lastId: "0", block: 500 })).toEqual([]);
  });
  expect(sent["xreadgroup"]).toBe(2);
});

test("GroupStream.read – block waits, noAck leaves nothing pending", async () => {
  const stream = await make(0);
  const reading = stream.read({ block: { seconds: 20 }, noAck: true });
  await waitFor(async () => (await place.db.info("clients")).includes("blocked_clients:1"));
  const id = await stream.add({ n: 0 });
  expect(idsOf(await reading)).toEqual([id]);
  expect(await stream.pendingSummary()).toMatchObject({ count: 0 });
  expect(await stream.read({ block: 20 })).toEqual([]);
});

test("GroupStream.read – an entry deleted while pending, and a stream trimmed below the pending list", async () => {
  const stream = await make(5);
  await stream.read();
  await stream.delete("2-0", "4-0");
  expect(idsOf(await stream.read({ lastId: "0" }))).toEqual(["1-0", "3-0", "5-0"]);
  await stream.trim({ minid: "5-0", approximate: false });
  expect(idsOf(await stream.read({ lastId: "0" }))).toEqual(["5-0"]);
  await stream.trim({ maxlen: 0, approximate: false });
  expect(await stream.read({ lastId: "0" })).toEqual([]);
  expect(idsOf(await stream.pending())).toEqual(ids(5));
  expect(await stream.ack(...ids(5))).toBe(5);
});

test("GroupStream.ack – ids in all forms; how many were pending", async () => {
  const stream = await make(8);
  const messages = await stream.read();
  const [, pending] = await stream.pending();
  expect(await stream.ack(messages[0]!)).toBe(1);
  expect(await stream.ack(pending!, 3, 4n, new Date(5), "6", { timestamp: new Date(7) })).toBe(6);
  expect(await stream.ack("1-0", "99-0")).toBe(0);
  expect(idsOf(await stream.pending())).toEqual(["8-0"]);
});

test("GroupStream.ack – many messages are one XACK; none sends nothing", async () => {
  const stream = await make(1000);
  const messages = await stream.read();
  const sent = await place.sent(async () => expect(await stream.ack(...messages)).toBe(1000));
  expect(sent).toEqual({ xack: 1 });
  expect(await place.sent(async () => expect(await stream.ack()).toBe(0))).toEqual({});
});

test("GroupStream.setId – the group's cursor, not the stream's last id", async () => {
  const stream = await make(5);
  await stream.setId();
  expect(await stream.read()).toEqual([]);
  await stream.setId("3-0");
  expect(idsOf(await stream.read())).toEqual(["4-0", "5-0"]);
  await stream.setId(new Date(4));
  expect(idsOf(await stream.read())).toEqual(["5-0"]);
  await stream.setId("0-0");
  expect(await stream.read()).toHaveLength(5);
  expect((await stream.info()).lastGeneratedId).toBe("5-0");
});

test("GroupStream.deleteConsumer – gives how many it held; itself by default", async () => {
  const stream = await make(5);
  await stream.read({ count: 2 });
  await as(stream, "bob").read({ count: 1 });
  expect(await stream.deleteConsumer("bob")).toBe(1);
  expect(await stream.deleteConsumer("nobody")).toBe(0);
  expect(await stream.deleteConsumer()).toBe(2);
  expect(await stream.consumersInfo()).toEqual([]);
  expect(await stream.pendingSummary()).toMatchObject({ count: 0 });
});

test("GroupStream.consumersInfo – of this group, or of another", async () => {
  const stream = await make(5);
  await stream.read({ count: 2 });
  expect(await stream.consumersInfo()).toMatchObject([{ name: "alice", pending: 2 }]);
  await place.db.consumerGroup("other", stream.key).create();
  expect(await stream.consumersInfo("other")).toEqual([]);
});

test("GroupStream – no group: every verb says so, with its names", async () => {
  const stream = new GroupStream(place.db, (await make(1)).key, { group: "nobody", consumer: "c" });
  const calls = [
    () => stream.read(),
    () => stream.read({ block: 10 }),
    () => stream.read({ lastId: "0" }),
    () => stream.pending(),
    () => stream.pendingSummary(),
    () => stream.claim(["1-0"]),
    () => stream.autoclaim(),
    () => stream.setId("0-0"),
    () => stream.deleteConsumer(),
    () => stream.consumersInfo(),
  ];
  for (const call of calls) {
    const error = await failure(call, NoSuchGroupError);
    expect(error).toMatchObject({
      code: "NO_SUCH_GROUP",
      group: "nobody",
      stream: stream.key,
      retriable: false,
    });
  }
  expect(await stream.ack("1-0")).toBe(0); // As Redis has it.
});
