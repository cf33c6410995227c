import { inspect } from "node:util";
import { expect, test } from "vitest";
import {
  compareIds,
  GroupMessage,
  GroupStream,
  json,
  Message,
  NoSuchGroupError,
  SeriesStream,
  type Stream,
  TimeSeries,
} from "../../src/index.ts";
import { collect, failure, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** Where a message stands in a series. */
const at = ({ id, stream }: Message<unknown>): string => `${id} ${stream.replace(/-\d+$/, "")}`;

/** A series over the streams a, b and c with these entries. */
async function make(entries: Readonly<Record<"a" | "b" | "c", readonly string[]>>) {
  const keys = [place.key("a"), place.key("b"), place.key("c")];
  const ts = place.db.timeSeries("ts", keys);
  await ts.create();
  for (const [i, name] of (["a", "b", "c"] as const).entries()) {
    const stream = place.db.Stream(keys[i]!);
    await stream.addMany(
      entries[name].map((id) => ({ id })),
      { id: (value) => value["id"] as string },
    );
  }
  return { ts, keys, stream: (i: number): Stream => ts.streams[keys[i]!]! };
}

test("Database.timeSeries – a TimeSeries of SeriesStreams, nothing is sent", async () => {
  expect(await place.sent(() => void place.db.timeSeries("ts", ["s1", "s2"]))).toEqual({});
  const ts = place.db.timeSeries("ts", ["s1", "s2"]);
  expect(ts).toBeInstanceOf(TimeSeries);
  expect(ts.s1).toBeInstanceOf(SeriesStream);
  expect(ts.s1).toBeInstanceOf(GroupStream);
  expect(ts.s1).toBe(ts.streams.s1);
  expect(ts).toMatchObject({ name: "ts", consumerName: "ts.c1", keys: ["s1", "s2"] });
  expect(inspect(ts)).toBe("<TimeSeries ts ts.c1 [s1, s2]>");
});

test("TimeSeries – add by Date, range by Date on one stream", async () => {
  const ts = place.db.timeSeries("demo", ["s1", "s2"]);
  for (let day = 1; day <= 5; day++) {
    await ts.s1.add({ temp: `7.${day}` }, { id: new Date(Date.UTC(2018, 0, day)) });
    await ts.s1.add({ temp: "again" }, { id: new Date(Date.UTC(2018, 0, day)) });
  }
  const found = await ts.s1.range(new Date(Date.UTC(2018, 0, 2)), undefined, 3);
  expect(found.map((m) => [m.timestamp, m.sequence, m.data["temp"]])).toEqual([
    [new Date(Date.UTC(2018, 0, 2)), 0, "7.2"],
    [new Date(Date.UTC(2018, 0, 2)), 1, "again"],
    [new Date(Date.UTC(2018, 0, 3)), 0, "7.3"],
  ]);
});

test("TimeSeries.range – merged by millisecond, sequence and key, numbers not texts", async () => {
  const { ts } = await make({
    a: ["1-1", "1-10", "9-0", "10-0"],
    b: ["1-0", "1-9", "9-0", "100-0"],
    c: ["1-1", "9-0"],
  });
  const expected = [
    "1-0 b",
    "1-1 a",
    "1-1 c",
    "1-9 b",
    "1-10 a",
    "9-0 a",
    "9-0 b",
    "9-0 c",
    "10-0 a",
    "100-0 b",
  ];
  expect((await ts.range()).map(at)).toEqual(expected);
  expect((await ts.range().reverse()).map(at)).toEqual(expected.toReversed());
  expect((await collect(ts.range().pages())).flat().map(at)).toEqual(expected);
  expect((await ts.range())[0]).toBeInstanceOf(Message);
});

test("TimeSeries.range – by Date, both ends' whole milliseconds included", async () => {
  const { ts } = await make({ a: ["1-0", "2-0", "3-7"], b: ["1-5", "2-5", "3-5"], c: [] });
  expect((await ts.range(new Date(2), new Date(2))).map(at)).toEqual(["2-0 a", "2-5 b"]);
  expect((await ts.range(new Date(2))).map(at)).toEqual(["2-0 a", "2-5 b", "3-5 b", "3-7 a"]);
  expect((await ts.range(undefined, new Date(1))).map(at)).toEqual(["1-0 a", "1-5 b"]);
  expect(await ts.range(new Date(3), new Date(1))).toEqual([]);
  expect((await ts.range("(1-5", "(3-7")).map(at)).toEqual(["2-0 a", "2-5 b", "3-5 b"]);
});

test("TimeSeries.range – count is of all streams together, from either end", async () => {
  const { ts } = await make({ a: ["1-0", "4-0"], b: ["2-0", "5-0"], c: ["3-0", "6-0"] });
  expect((await ts.range(undefined, undefined, 4)).map(at)).toEqual(["1-0 a", "2-0 b", "3-0 c", "4-0 a"]);
  expect((await ts.range(undefined, undefined, 2).reverse()).map(at)).toEqual(["6-0 c", "5-0 b"]);
  expect(await ts.range(undefined, undefined, 0)).toEqual([]);
});

test("TimeSeries.range – empty where nothing is there, also without streams", async () => {
  expect(await place.db.timeSeries("ts", [place.key(), place.key()]).range()).toEqual([]);
});

test("TimeSeries.range – 4,000 entries over pages, merged exactly", async () => {
  const [a, b] = [place.key(), place.key()];
  const ts = place.db.timeSeries("ts", [b, a]);
  // Runs of one stream, ties, and one stream that ends long before the other.
  await ts.streams[a]!.addMany(numbered(1500), { id: (_, i) => `${(i >> 3) + 1}-${i}` });
  await ts.streams[b]!.addMany(numbered(2500), { id: (_, i) => `${(i >> 2) + 1}-${i}` });
  const all = [...(await ts.streams[a]!.range()), ...(await ts.streams[b]!.range())];
  const expected = all.sort((x, y) => compareIds(x, y) || (x.stream < y.stream ? -1 : 1)).map(at);
  const merged = await ts.range();
  expect(merged.map(at)).toEqual(expected);
  expect((await collect(ts.range().reverse())).map(at)).toEqual(expected.toReversed());
  expect((await collect(ts.range().pages())).map((page) => page.length)).toEqual([1000, 1000, 1000, 1000]);
});

test("TimeSeries.range – lazy: nothing is sent until asked, break stops every stream", async () => {
  const keys = [place.key(), place.key()];
  const ts = place.db.timeSeries("ts", keys);
  for (const key of keys) await place.db.Stream(key).addMany(numbered(3000));
  await ts.range(undefined, undefined, 1); // Opens the wires.
  expect(await place.sent(() => void ts.range().reverse().pages())).toEqual({});
  const sent = await place.sent(async () => {
    for await (const _ of ts.range()) break;
    await place.db.ping();
  });
  expect(sent["xrange"]).toBeLessThanOrEqual(4);
});

test("TimeSeries.range – a series over one stream", async () => {
  const key = place.key();
  const ts = place.db.timeSeries("ts", key);
  await ts.streams[key]!.add({ n: 1 }, { id: 1 });
  expect(idsOf(await ts.range())).toEqual(["1-0"]);
});

test("TimeSeries.read – flat GroupMessages in time order, then nothing", async () => {
  const { ts, keys } = await make({ a: ["1-1", "1-10", "9-0"], b: ["1-9", "9-0"], c: ["1-1"] });
  const messages = await ts.read();
  expect(messages.map(at)).toEqual(["1-1 a", "1-1 c", "1-9 b", "1-10 a", "9-0 a", "9-0 b"]);
  expect(messages[0]).toBeInstanceOf(GroupMessage);
  expect(await ts.read()).toEqual([]);
  expect(await ts.read({ block: 10 })).toEqual([]);
  await messages[0]!.ack();
  expect(idsOf(await ts.streams[keys[0]!]!.pending())).toEqual(["1-10", "9-0"]);
  expect((await ts.read({ lastId: "0" })).map(at)).toEqual(["1-1 c", "1-9 b", "1-10 a", "9-0 a", "9-0 b"]);
});

test("TimeSeries.read – count is for each stream, no group says so", async () => {
  const { ts, keys } = await make({ a: ["1-0", "2-0"], b: ["3-0", "4-0"], c: [] });
  expect((await ts.read({ count: 1 })).map(at)).toEqual(["1-0 a", "3-0 b"]);
  await failure(place.db.timeSeries("nobody", keys).read(), NoSuchGroupError);
});

test("TimeSeries – is a group: create, setId by Date, stats, consumer, destroy", async () => {
  const { ts, keys } = await make({ a: ["1-0", "2-0"], b: ["2-0", "3-0"], c: [] });
  expect(Object.values(await ts.create())).toEqual([false, false, false]);
  await ts.setId(new Date(2));
  expect((await ts.read()).map(at)).toEqual(["3-0 b"]);
  const other = ts.consumer("c2");
  expect(other).toBeInstanceOf(TimeSeries);
  expect(other.consumerName).toBe("c2");
  expect(other.streams[keys[0]!]).toBeInstanceOf(SeriesStream);
  expect((await ts.stats()).pending).toBe(1);
  expect(await ts.destroy()).toEqual(Object.fromEntries(keys.map((key) => [key, true])));
});

test("TimeSeries.rows – facts, then the fields; text stays text", async () => {
  const key = place.key();
  const ts = place.db.timeSeries("ts", key);
  await ts.streams[key]!.add({ temp: 7.5, place: "a" }, { id: "5-2" });
  expect(ts.rows(await ts.range())).toEqual([
    { stream: key, id: "5-2", timestamp: new Date(5), sequence: 2, temp: "7.5", place: "a" },
  ]);
  expect(ts.rows([])).toEqual([]);
});

test("TimeSeries.rows – clashing field names, and __proto__ is a column", async () => {
  const key = place.key();
  const ts = place.db.timeSeries("ts", key);
  const fields = {
    id: "x",
    stream: "y",
    timestamp: "z",
    sequence: "w",
    data: "v",
    constructor: "c",
    ["__proto__"]: "p",
  };
  await ts.streams[key]!.add(fields, { id: "5-0" });
  const [row] = ts.rows(await ts.range());
  expect(Object.entries(row!)).toEqual([
    ["stream", key],
    ["id", "5-0"],
    ["timestamp", new Date(5)],
    ["sequence", 0],
    ["data.id", "x"],
    ["data.stream", "y"],
    ["data.timestamp", "z"],
    ["data.sequence", "w"],
    ["data", "v"],
    ["constructor", "c"],
    ["__proto__", "p"],
  ]);
  expect(Object.getPrototypeOf(row)).toBe(Object.prototype);
});

test("TimeSeries.rows – nested values stay as they are, a value that is no object is data", async () => {
  const key = place.key();
  const ts = place.db.timeSeries("ts", key, { codec: json<unknown>() });
  for (const value of [{ at: { x: 1 }, list: [1] }, 7, "text", null, [1, 2]])
    await ts.streams[key]!.add(value);
  const rows = ts.rows(await ts.range()) as unknown as Record<string, unknown>[];
  const fields = rows.map(({ stream: _, id: _id, timestamp: _t, sequence: _s, ...rest }) => rest);
  expect(fields.slice(0, 4)).toEqual([
    { at: { x: 1 }, list: [1] },
    { data: 7 },
    { data: "text" },
    { data: null },
  ]);
});
