import { inspect } from "node:util";
import { expect, test } from "vitest";
import { GroupMessage, GroupStream, PendingEntry } from "../../src/index.ts";
import { collect, ids, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** A stream with so many entries, seen by its group; `given` of them delivered to alice. */
async function make(count: number, given: number = count): Promise<GroupStream> {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(count), { id: (_, i) => i + 1 });
  const cg = place.db.consumerGroup("g", key, { consumer: "alice" });
  await cg.create();
  const stream = cg.streams[key]!;
  if (given > 0) await stream.read({ count: given });
  return stream;
}

function as(stream: GroupStream, consumer: string): GroupStream {
  return new GroupStream(place.db, stream.key, { group: stream.group, consumer });
}

/** Have the server believe that entries were delivered so long ago. */
async function age(stream: GroupStream, idle: number, ...entries: string[]): Promise<void> {
  const args = [stream.key, "g", stream.consumer, 0, ...entries, "IDLE", idle, "JUSTID"];
  await place.db.call("xclaim", args);
}

test("GroupStream.pending – entries with id, consumer, idle and deliveries", async () => {
  const stream = await make(2, 1);
  await as(stream, "bob").read();
  const entries = await stream.pending();
  expect(entries).toHaveLength(2);
  const [entry, other] = entries;
  expect(entry).toBeInstanceOf(PendingEntry);
  expect(entry).toMatchObject({ id: "1-0", consumer: "alice", deliveries: 1 });
  expect(entry!.idle).toBeTypeOf("number");
  expect(entry!.timestamp).toEqual(new Date(1));
  expect(entry!.sequence).toBe(0);
  expect(other!.consumer).toBe("bob");
  await age(stream, 5000, "1-0");
  expect(inspect((await stream.pending())[0])).toMatch(
    /^<PendingEntry 1-0 alice idle 50\d\d ms, deliveries 1>$/,
  );
});

test("GroupStream.pending – nothing is sent until it is asked for, each loop reads anew", async () => {
  const stream = await make(3);
  let pending = stream.pending();
  const sent = await place.sent(() => {
    pending = stream.pending({ count: 2 });
  });
  expect(sent).toEqual({});
  expect(idsOf(await pending)).toEqual(["1-0", "2-0"]);
  await stream.ack("1-0");
  expect(idsOf(await collect(pending))).toEqual(["2-0", "3-0"]);
});

test("GroupStream.pending – all of 2,500, paged", async () => {
  const stream = await make(2500);
  const sent = await place.sent(async () => expect(idsOf(await stream.pending())).toEqual(ids(2500)));
  expect(sent).toEqual({ xpending: 3 });
  const pages = await collect(stream.pending().pages());
  expect(pages.map((page) => page.length)).toEqual([1000, 1000, 500]);
  expect(idsOf(await stream.pending({ count: 1001 }))).toEqual(ids(1001));
  expect(idsOf(await stream.pending({ start: "(1200-0", stop: "2300-0" }))).toEqual(ids(2300).slice(1200));
  const stopped = await place.sent(async () => {
    for await (const _ of stream.pending()) break;
  });
  expect(stopped).toEqual({ xpending: 1 });
});

test("GroupStream.pending – filters: start, stop, count, consumer, idle", async () => {
  const stream = await make(6, 4);
  await as(stream, "bob").read();
  await age(stream, 3_600_000, "2-0", "3-0");
  expect(idsOf(await stream.pending({ start: "2-0", stop: 4 }))).toEqual(["2-0", "3-0", "4-0"]);
  expect(idsOf(await stream.pending({ start: new Date(5) }))).toEqual(["5-0", "6-0"]);
  expect(idsOf(await stream.pending({ consumer: "bob" }))).toEqual(["5-0", "6-0"]);
  expect(idsOf(await stream.pending({ consumer: "bob", count: 1 }))).toEqual(["5-0"]);
  expect(await stream.pending({ consumer: "nobody" })).toEqual([]);
  expect(idsOf(await stream.pending({ idle: { minutes: 30 } }))).toEqual(["2-0", "3-0"]);
  expect(idsOf(await stream.pending({ idle: 1_800_000, start: "3-0", consumer: "alice" }))).toEqual(["3-0"]);
  expect(await stream.pending({ start: "4-0", stop: "2-0" })).toEqual([]);
  expect(await place.sent(async () => expect(await stream.pending({ count: 0 })).toEqual([]))).toEqual({});
});

test("GroupStream.pending – idle filter over pages finds all of them", async () => {
  const stream = await make(2200);
  const old = ids(2200).filter((_, i) => i % 2 === 0);
  await age(stream, 3_600_000, ...old);
  expect(idsOf(await stream.pending({ idle: { minutes: 1 } }))).toEqual(old);
});

test("GroupStream.pending – empty", async () => {
  const stream = await make(3, 0);
  expect(await stream.pending()).toEqual([]);
  expect(await collect(stream.pending())).toEqual([]);
});

test("GroupStream.pendingSummary – count, bounds and holders; all of it also where nothing is pending", async () => {
  const stream = await make(5, 3);
  await as(stream, "bob").read({ count: 1 });
  expect(await stream.pendingSummary()).toEqual({
    count: 4,
    first: "1-0",
    last: "4-0",
    consumers: [
      { name: "alice", pending: 3 },
      { name: "bob", pending: 1 },
    ],
  });
  await stream.ack(...ids(4));
  expect(await stream.pendingSummary()).toEqual({ count: 0, first: null, last: null, consumers: [] });
});

test("GroupStream.claim – messages with their delivery counts, now this consumer's", async () => {
  const stream = await make(3);
  const bob = as(stream, "bob");
  const claimed = await bob.claim(["1-0", "3-0"]);
  expect(claimed).toHaveLength(2);
  expect(claimed[0]).toBeInstanceOf(GroupMessage);
  expect(claimed[0]).toMatchObject({
    id: "1-0",
    consumer: "bob",
    deliveries: 2,
    data: { n: "0" },
    group: "g",
  });
  expect((await bob.claim(["1-0"]))[0]!.deliveries).toBe(3);
  expect((await stream.pending()).map(({ consumer }) => consumer)).toEqual(["bob", "alice", "bob"]);
  await claimed[1]!.ack();
  expect(idsOf(await stream.pending())).toEqual(["1-0", "2-0"]);
});

test("GroupStream.claim – ids as messages, pending entries, numbers; in the order given", async () => {
  const stream = await make(4);
  const entries = await stream.pending();
  const bob = as(stream, "bob");
  expect(idsOf(await bob.claim([entries[3]!, 1, new Date(2), (await stream.get("3-0"))!]))).toEqual([
    "4-0",
    "1-0",
    "2-0",
    "3-0",
  ]);
  expect(idsOf(await bob.claim(new Set(["2-0"])))).toEqual(["2-0"]);
});

test("GroupStream.claim – minIdle leaves what was delivered lately", async () => {
  const stream = await make(3);
  await age(stream, 120_000, "2-0");
  const bob = as(stream, "bob");
  expect(idsOf(await bob.claim(ids(3), { minIdle: { minutes: 1 } }))).toEqual(["2-0"]);
  expect(await bob.claim(ids(3), { minIdle: 60_000 })).toEqual([]);
});

test("GroupStream.claim – for another consumer: the messages are its", async () => {
  const stream = await make(1);
  const [message] = await stream.claim(["1-0"], { consumer: "carol" });
  expect(message!.consumer).toBe("carol");
  expect(await stream.pending({ consumer: "carol" })).toHaveLength(1);
});

test("GroupStream.claim – justId gives ids and counts no delivery", async () => {
  const stream = await make(2);
  expect(await as(stream, "bob").claim(ids(2), { justId: true })).toEqual(["1-0", "2-0"]);
  expect((await stream.pending()).map(({ consumer, deliveries }) => [consumer, deliveries])).toEqual([
    ["bob", 1],
    ["bob", 1],
  ]);
});

test("GroupStream.claim – what is not pending, deleted or trimmed is left out; no ids sends nothing", async () => {
  const stream = await make(4, 3);
  await stream.delete("2-0");
  await stream.trim({ minid: "2-0", approximate: false });
  const bob = as(stream, "bob");
  expect(idsOf(await bob.claim(["1-0", "2-0", "3-0", "4-0", "99-0"]))).toEqual(["3-0"]);
  expect(idsOf(await stream.pending())).toEqual(["3-0"]); // Redis 7 forgets those that it finds deleted.
  expect(await place.sent(async () => expect(await bob.claim([])).toEqual([]))).toEqual({});
});

test("GroupStream.claim – 1,500 at once, each with its count", async () => {
  const stream = await make(1500);
  const claimed = await as(stream, "bob").claim(ids(1500));
  expect(idsOf(claimed)).toEqual(ids(1500));
  expect(new Set(claimed.map(({ deliveries }) => deliveries))).toEqual(new Set([2]));
});

test("GroupStream.autoclaim – takes over what is idle enough, with the delivery counts", async () => {
  const stream = await make(3);
  await age(stream, 120_000, "1-0", "3-0");
  const bob = as(stream, "bob");
  const { next, messages, deleted } = await bob.autoclaim({ minIdle: { minutes: 1 } });
  expect([next, deleted]).toEqual(["0-0", []]);
  expect(messages.map(({ id, consumer, deliveries }) => [id, consumer, deliveries])).toEqual([
    ["1-0", "bob", 2],
    ["3-0", "bob", 2],
  ]);
  expect(messages[0]).toBeInstanceOf(GroupMessage);
  expect((await bob.autoclaim({ minIdle: { minutes: 1 } })).messages).toEqual([]);
});

test("GroupStream.autoclaim – next goes on page by page until 0-0", async () => {
  const stream = await make(250);
  const bob = as(stream, "bob");
  const pages: string[][] = [];
  let start = "0-0";
  do {
    const { next, messages } = await bob.autoclaim({ start, count: 120 });
    pages.push(idsOf(messages));
    start = next;
  } while (start !== "0-0");
  expect(pages.map((page) => page.length)).toEqual([120, 120, 10]);
  expect(pages.flat()).toEqual(ids(250));
  expect((await bob.autoclaim()).next).toBe("101-0");
});

test("GroupStream.autoclaim – start, consumer and justId", async () => {
  const stream = await make(4);
  const taken = await stream.autoclaim({ start: new Date(3), consumer: "carol", justId: true });
  expect(taken).toEqual({ next: "0-0", messages: ["3-0", "4-0"], deleted: [] });
  expect((await stream.pending({ consumer: "carol" })).map(({ deliveries }) => deliveries)).toEqual([1, 1]);
});

test("GroupStream.autoclaim – deleted ids are given and pending no more", async () => {
  const stream = await make(5);
  await stream.delete("2-0", "4-0");
  const { messages, deleted, next } = await as(stream, "bob").autoclaim();
  expect(idsOf(messages)).toEqual(["1-0", "3-0", "5-0"]);
  expect(deleted).toEqual(["2-0", "4-0"]);
  expect(next).toBe("0-0");
  expect(idsOf(await stream.pending())).toEqual(["1-0", "3-0", "5-0"]);
});

test("GroupStream.autoclaim – a stream trimmed below the pending list", async () => {
  const stream = await make(5);
  await stream.trim({ maxlen: 0, approximate: false });
  expect(await stream.autoclaim()).toEqual({ next: "0-0", messages: [], deleted: ids(5) });
  expect(await stream.pendingSummary()).toMatchObject({ count: 0 });
});
