/**
 * The calls of walrus's documentation, one after another in our words, with the results that walrus gives.
 *
 * Above each call stands walrus's own. The tests of a block build on one another, as the tutorial does.
 */
import { describe, expect, test } from "vitest";
import type { GroupMessage, Message, PendingEntry, Stream } from "../../src/index.ts";
import { idsOf, Place } from "./harness.ts";

const place = new Place();
const texts = (messages: Iterable<Message<Record<string, string>>> = []): (string | undefined)[] =>
  [...messages].map(({ data }) => data["message"]);

describe("stream", () => {
  const added: string[] = [];
  const stream = (): Stream => place.db.Stream("stream-a");

  test("Stream.add – stream.add({'message': 'one'})", async () => {
    for (const message of ["one", "two", "three", "four"]) added.push(await stream().add({ message }));
    expect(added.every((id) => /^\d{13}-\d+$/.test(id))).toBe(true);
  });

  test("Stream.range – stream[id2:], stream[id1::2], stream[:id2], stream[id2:id3], list(stream)", async () => {
    const [id1, id2, id3, id4] = added as [string, string, string, string];
    expect(idsOf(await stream().range(id2))).toEqual([id2, id3, id4]);
    expect(idsOf(await stream().range(id1, undefined, 2))).toEqual([id1, id2]);
    expect(texts(await stream().range(undefined, id2))).toEqual(["one", "two"]);
    expect(texts(await stream().range(id2, id3))).toEqual(["two", "three"]);
    expect(texts(await stream().range())).toEqual(["one", "two", "three", "four"]);
    // stream.revrange(count=2)
    expect(texts(await stream().range(undefined, undefined, 2).reverse())).toEqual(["four", "three"]);
    // for id, data in stream
    const seen: unknown[] = [];
    for await (const { id, data } of stream()) seen.push([id, data]);
    expect(seen[3]).toEqual([id4, { message: "four" }]);
  });

  test("Stream.get – stream[id3], stream.get('1-1')", async () => {
    expect((await stream().get(added[2]!))!.data).toEqual({ message: "three" });
    expect(await stream().get("1-1")).toBeNull();
  });

  test("Stream.delete – del stream[id4], stream.delete(id4), len(stream)", async () => {
    expect(await stream().delete(added[3]!)).toBe(1);
    expect(await stream().delete(added[3]!)).toBe(0);
    expect(await stream().length()).toBe(3);
  });

  test("Stream.read – stream.read(), read(last_id=id2), read(count=1), read(block=30, last_id='$')", async () => {
    expect(texts(await stream().read())).toEqual(["one", "two", "three"]);
    expect(texts(await stream().read({ lastId: added[1]! }))).toEqual(["three"]);
    expect(texts(await stream().read({ count: 1 }))).toEqual(["one"]);
    expect(await stream().read({ block: 30, lastId: "$" })).toEqual([]); // None in walrus.
  });

  test("Stream.trim – stream.trim(2, approximate=False)", async () => {
    expect(await stream().trim({ maxlen: 2, approximate: false })).toBe(1);
    expect(texts(await stream().range())).toEqual(["two", "three"]);
    // stream.trim(1): approximate, so a stream this short keeps all.
    expect(await stream().trim(1)).toBe(0);
  });

  test("Stream.info – stream.info(), groups_info(), consumers_info('g'), set_id, clear", async () => {
    expect(await stream().info()).toMatchObject({
      length: 2,
      groups: 0,
      lastGeneratedId: added[3],
      firstEntry: { id: added[1], data: { message: "two" } },
      lastEntry: { id: added[2] },
    });
    expect(await stream().groupsInfo()).toEqual([]);
    await place.db.consumerGroup("g", "stream-a").create();
    expect(await stream().consumersInfo("g")).toEqual([]);
    await stream().setId("9999999999999-0");
    expect((await stream().info()).lastGeneratedId).toBe("9999999999999-0");
    expect(await stream().clear()).toBe(true);
  });
});

describe("consumer group", () => {
  // cg = db.consumer_group('cg-abc', ['stream-a', 'stream-b', 'stream-c'])
  const group = () => place.db.consumerGroup("cg-abc", ["stream-a", "stream-b", "stream-c"]);
  let first: Awaited<ReturnType<ReturnType<typeof group>["read"]>> = {};

  test("ConsumerGroup.create – cg.create(), cg.set_id('$')", async () => {
    const cg = group();
    expect(await cg.create()).toEqual({ "stream-a": true, "stream-b": true, "stream-c": true });
    expect(await cg.create()).toEqual({ "stream-a": false, "stream-b": false, "stream-c": false });
    await cg.streamA.add({ message: "before" });
    await cg.setId("$");
    expect(await cg.read()).toEqual({});
  });

  test("ConsumerGroup.read – cg.read(count=1), then the rest, then nothing", async () => {
    const cg = group();
    await cg.streamA.add({ message: "new a" });
    await cg.streamB.add({ message: "new for b" });
    for (let i = 0; i < 6; i++) await cg.streamC.add({ message: `c-${i}` });
    first = await cg.read({ count: 1 });
    expect(Object.keys(first)).toEqual(["stream-a", "stream-b", "stream-c"]);
    expect(texts(first["stream-a"])).toEqual(["new a"]);
    expect(texts(first["stream-c"])).toEqual(["c-0"]);
    const second = await cg.read({ count: 2 });
    expect(Object.keys(second)).toEqual(["stream-c"]);
    expect(texts(second["stream-c"])).toEqual(["c-1", "c-2"]);
  });

  test("GroupStream.pending and ack – cg.stream_a.pending(), cg.stream_a.ack(id)", async () => {
    const cg = group();
    const pending = await cg.streamA.pending();
    expect(pending).toMatchObject([{ id: first["stream-a"]![0]!.id, consumer: "cg-abc.c1", deliveries: 1 }]);
    expect(await cg.streamA.ack(pending[0]!)).toBe(1);
    expect(await cg.streamA.pending()).toEqual([]);
    expect(await cg.streamA.ack(first["stream-a"]![0]!)).toBe(0);
  });

  test("ConsumerGroup.consumer and GroupStream.claim – cg2 = cg.consumer('cg-abc.c2'); cg2.stream_c.claim(id)", async () => {
    const cg = group();
    const cg2 = cg.consumer("cg-abc.c2");
    expect(texts((await cg2.read({ count: 1 }))["stream-c"])).toEqual(["c-3"]);
    const [c0] = await cg.streamC.pending();
    const claimed: GroupMessage<Record<string, string>>[] = await cg2.streamC.claim([c0!]);
    expect(texts(claimed)).toEqual(["c-0"]);
    const owners = ({ consumer }: PendingEntry): string => consumer.slice(-2);
    expect((await cg.streamC.pending()).map(owners)).toEqual(["c2", "c1", "c1", "c2"]);
    expect((await cg.streamC.pending({ consumer: "cg-abc.c1", count: 1 })).map(owners)).toEqual(["c1"]);
    // cg.stream_c.autoclaim('cg-abc.c2', 0, count=2)
    const { next, messages } = await cg.streamC.autoclaim({ consumer: "cg-abc.c2", minIdle: 0, count: 2 });
    expect(texts(messages)).toEqual(["c-0", "c-1"]);
    expect(next).toBe((await cg.streamC.pending())[2]!.id);
  });

  test("GroupStream.read – cg.stream_c.read(count=1), cg.stream_c.read(last_id='0')", async () => {
    const cg = group();
    expect(texts(await cg.streamC.read({ count: 1 }))).toEqual(["c-4"]);
    expect(texts(await cg.streamC.read({ lastId: "0" }))).toEqual(["c-2", "c-4"]);
    expect(texts(await cg.consumer("cg-abc.c2").streamC.read({ lastId: "0" }))).toEqual([
      "c-0",
      "c-1",
      "c-3",
    ]);
  });

  test("GroupStream.setId and ConsumerGroup.reset – cg.stream_c.set_id('$'), cg.reset()", async () => {
    const cg = group();
    await cg.streamC.setId("$");
    expect(await cg.read()).toEqual({});
    await cg.reset();
    expect(texts((await cg.read())["stream-a"])).toEqual(["before", "new a"]);
  });

  test("ConsumerGroup.streamInfo and destroy – cg.stream_info(), delete_consumer, cg.destroy()", async () => {
    const cg = group();
    const info = await cg.streamInfo();
    expect([info["stream-a"].length, info["stream-c"].length]).toEqual([2, 6]);
    expect((await cg.streamC.consumersInfo()).map(({ name }) => name)).toEqual(["cg-abc.c1", "cg-abc.c2"]);
    expect(await cg.streamC.deleteConsumer("cg-abc.c2")).toBeTypeOf("number");
    expect((await cg.streamC.consumersInfo()).map(({ name }) => name)).toEqual(["cg-abc.c1"]);
    expect(await cg.destroy()).toEqual({ "stream-a": true, "stream-b": true, "stream-c": true });
    for (const key of cg.keys) expect(await place.db.Stream(key).clear()).toBe(true);
  });
});

describe("time series", () => {
  // ts = db.time_series('demo-ts', ['s1', 's2', 's3'])
  const series = () => place.db.timeSeries("demo-ts", ["s1", "s2", "s3"]);
  const day = (n: number): Date => new Date(2018, 0, n);
  const days = (messages: readonly Message<unknown>[]): string[] =>
    messages.map(({ stream, timestamp }) => `${stream} ${timestamp.getDate()}`);

  /** Nine days, dealt to the three streams in turn: s1 has 1, 4, 7; s2 has 2, 5, 8; s3 has 3, 6, 9. */
  async function fill() {
    await place.db.del("s1", "s2", "s3");
    const ts = series();
    const streams = [ts.s1, ts.s2, ts.s3];
    for (let n = 1; n <= 9; n++) await streams[(n - 1) % 3]!.add({ message: `day ${n}` }, { id: day(n) });
    await ts.create();
    return ts;
  }

  test("SeriesStream.range – ts.s1.range(), ts.s1[date:], ts.s1[:date], range(count=2)", async () => {
    const ts = await fill();
    expect(days(await ts.s1.range())).toEqual(["s1 1", "s1 4", "s1 7"]);
    expect(days(await ts.s1.range(day(2)))).toEqual(["s1 4", "s1 7"]);
    expect(days(await ts.s1.range(undefined, day(4)))).toEqual(["s1 1", "s1 4"]);
    expect(days(await ts.s3.range(undefined, undefined, 2))).toEqual(["s3 3", "s3 6"]);
    expect(days(await ts.s2.range(day(2), day(6)))).toEqual(["s2 2", "s2 5"]);
    for await (const m of ts.s1.range(day(2), undefined, 1)) {
      expect([m.timestamp, m.sequence, m.data, m.stream]).toEqual([day(4), 0, { message: "day 4" }, "s1"]);
    }
  });

  test("SeriesStream.get, trim and delete – by date", async () => {
    const ts = await fill();
    expect((await ts.s1.get(day(4)))!.data).toEqual({ message: "day 4" });
    expect(await ts.s1.get(day(5))).toBeNull();
    expect(await ts.s1.trim({ maxlen: 2, approximate: false })).toBe(1);
    expect(await ts.s2.delete(day(8))).toBe(1);
    expect(days(await ts.s1.range())).toEqual(["s1 4", "s1 7"]);
    expect(await ts.s2.length()).toBe(2);
  });

  test("SeriesStream.add – the same date with another sequence", async () => {
    const ts = await fill();
    await ts.setId();
    await ts.s3.add({ message: "a" }, { id: { timestamp: day(9), sequence: 1 } });
    await ts.s2.add({ message: "b" }, { id: { timestamp: day(9), sequence: 2 } });
    const read = await ts.read();
    expect(read.map((m) => [m.timestamp, m.sequence, m.stream, m.data])).toEqual([
      [day(9), 1, "s3", { message: "a" }],
      [day(9), 2, "s2", { message: "b" }],
    ]);
  });

  test("TimeSeries.read – ts.read(count=1) goes on day by day; ts.reset(), ts.set_id(date)", async () => {
    const ts = await fill();
    expect(days(await ts.read({ count: 1 }))).toEqual(["s1 1", "s2 2", "s3 3"]);
    expect(days(await ts.read({ count: 1 }))).toEqual(["s1 4", "s2 5", "s3 6"]);
    expect(days(await ts.read())).toEqual(["s1 7", "s2 8", "s3 9"]);
    expect(await ts.read()).toEqual([]); // None in walrus.
    await ts.s1.trim({ maxlen: 2, approximate: false });
    await ts.reset();
    expect(await ts.read()).toHaveLength(8);
    await ts.setId(day(5));
    expect(days(await ts.read())).toEqual(["s3 6", "s1 7", "s2 8", "s3 9"]);
    await ts.s2.setId(day(2));
    expect(days(await ts.read())).toEqual(["s2 5", "s2 8"]);
  });

  test("SeriesStream.pending, ack and claim – by date, between two consumers", async () => {
    const ts = await fill();
    const ts2 = ts.consumer("ts2");
    expect(days(await ts.s1.read({ count: 1 }))).toEqual(["s1 1"]);
    expect(days(await ts2.s1.read({ count: 1 }))).toEqual(["s1 4"]);
    const facts = async () =>
      (await ts.s1.pending()).map((p) => [p.timestamp, p.sequence, p.consumer, p.deliveries]);
    expect(await facts()).toEqual([
      [day(1), 0, "demo-ts.c1", 1],
      [day(4), 0, "ts2", 1],
    ]);
    expect(await ts.s1.ack(day(4))).toBe(1); // Read by ts2, and still acknowledged from here.
    expect(days(await ts2.s1.claim([day(1)]))).toEqual(["s1 1"]);
    expect(await facts()).toEqual([[day(1), 0, "ts2", 2]]);
    expect(days(await ts2.read())).toEqual(["s2 2", "s3 3", "s2 5", "s3 6", "s1 7", "s2 8", "s3 9"]);
    expect(days(await ts.s3.claim([day(3), day(6), day(9)]))).toEqual(["s3 3", "s3 6", "s3 9"]);
  });
});
