import { expect, test } from "vitest";
import { type Bucket, InvalidArgumentError, json, type SeriesStream } from "../../src/index.ts";
import { collect, failure, loose, numbered, Place } from "./harness.ts";

const place = new Place();
const utc = (year: number, month: number, day = 1, hour = 0, minute = 0): Date =>
  new Date(Date.UTC(year, month - 1, day, hour, minute));

/** A stream with a value at each of these times. */
async function make(samples: readonly (readonly [Date, string | number])[]): Promise<SeriesStream> {
  const key = place.key();
  const stream = place.db.timeSeries("ts", key).streams[key]!;
  for (const [id, v] of samples) await stream.add({ v }, { id });
  return stream;
}

/** Start, count and sum of buckets. */
const brief = (buckets: readonly Bucket[]): unknown[] =>
  buckets.map(({ start, count, sum }) => [start, count, sum]);

test("SeriesStream.buckets – count, least, greatest, mean, sum, first and last of each hour", async () => {
  const stream = await make([
    [utc(2018, 1, 1, 0, 10), 4],
    [utc(2018, 1, 1, 0, 59), "-1.5"],
    [utc(2018, 1, 1, 0, 59), 3.5],
    [utc(2018, 1, 1, 1, 0), 7],
    [utc(2018, 1, 1, 5, 30), 0],
  ]);
  expect(await collect(stream.buckets({ every: { hours: 1 }, value: "v" }))).toEqual([
    {
      start: utc(2018, 1, 1, 0),
      end: utc(2018, 1, 1, 1),
      ...{ count: 3, min: -1.5, max: 4, mean: 2, sum: 6, first: 4, last: 3.5 },
    },
    {
      start: utc(2018, 1, 1, 1),
      end: utc(2018, 1, 1, 2),
      ...{ count: 1, min: 7, max: 7, mean: 7, sum: 7, first: 7, last: 7 },
    },
    {
      start: utc(2018, 1, 1, 5),
      end: utc(2018, 1, 1, 6),
      ...{ count: 1, min: 0, max: 0, mean: 0, sum: 0, first: 0, last: 0 },
    },
  ]);
});

test("SeriesStream.buckets – daily ones begin at midnight UTC, weekly ones on Monday", async () => {
  const stream = await make([
    [utc(2024, 2, 28, 23, 59), 1],
    [utc(2024, 2, 29), 2],
    [utc(2024, 3, 4), 4],
  ]);
  expect(brief(await collect(stream.buckets({ every: { days: 1 }, value: "v" })))).toEqual([
    [utc(2024, 2, 28), 1, 1],
    [utc(2024, 2, 29), 1, 2],
    [utc(2024, 3, 4), 1, 4],
  ]);
  expect(brief(await collect(stream.buckets({ every: { weeks: 1 }, value: "v" })))).toEqual([
    [utc(2024, 2, 26), 2, 3],
    [utc(2024, 3, 4), 1, 4],
  ]);
});

test("SeriesStream.buckets – monthly and yearly ones follow the calendar", async () => {
  const stream = await make([
    [utc(2023, 12, 31, 23, 59), 1],
    [utc(2024, 1, 1), 2],
    [utc(2024, 2, 29, 23, 59), 3],
    [utc(2024, 3, 1), 4],
  ]);
  const months = await collect(stream.buckets({ every: { months: 1 }, value: "v" }));
  expect(brief(months)).toEqual([
    [utc(2023, 12), 1, 1],
    [utc(2024, 1), 1, 2],
    [utc(2024, 2), 1, 3],
    [utc(2024, 3), 1, 4],
  ]);
  expect(months[2]!.end).toEqual(utc(2024, 3));
  expect(brief(await collect(stream.buckets({ every: { months: 3 }, value: "v" })))).toEqual([
    [utc(2023, 10), 1, 1],
    [utc(2024, 1), 3, 9],
  ]);
  expect(brief(await collect(stream.buckets({ every: { years: 1 }, value: "v" })))).toEqual([
    [utc(2023, 1), 1, 1],
    [utc(2024, 1), 3, 9],
  ]);
});

test("SeriesStream.buckets – milliseconds as width", async () => {
  const stream = await make([
    [new Date(9), 1],
    [new Date(10), 2],
    [new Date(19), 3],
  ]);
  expect(brief(await collect(stream.buckets({ every: 10, value: "v" })))).toEqual([
    [new Date(0), 1, 1],
    [new Date(10), 2, 5],
  ]);
});

test("SeriesStream.buckets – empty: those between the first and the last with values", async () => {
  const stream = await make([
    [utc(2024, 1, 30), 1],
    [utc(2024, 4, 1), 2],
  ]);
  const months = await collect(stream.buckets({ every: { months: 1 }, value: "v", empty: true }));
  expect(brief(months)).toEqual([
    [utc(2024, 1), 1, 1],
    [utc(2024, 2), 0, 0],
    [utc(2024, 3), 0, 0],
    [utc(2024, 4), 1, 2],
  ]);
  expect(months[1]).toEqual({
    start: utc(2024, 2),
    end: utc(2024, 3),
    ...{ count: 0, min: null, max: null, mean: null, sum: 0, first: null, last: null },
  });
});

test("SeriesStream.buckets – start and stop bound the entries", async () => {
  const stream = await make(numbered(10).map(({ n }) => [new Date(n * 10), n]));
  const buckets = stream.buckets({ start: new Date(20), stop: new Date(50), every: 20, value: "v" });
  expect(brief(await collect(buckets))).toEqual([
    [new Date(20), 2, 5],
    [new Date(40), 2, 9],
  ]);
  expect(
    await collect(stream.buckets({ start: new Date(50), stop: new Date(20), every: 20, value: "v" })),
  ).toEqual([]);
});

test("SeriesStream.buckets – nothing there", async () => {
  const stream = await make([]);
  expect(await collect(stream.buckets({ every: 1000, value: "v", empty: true }))).toEqual([]);
});

test("SeriesStream.buckets – value by a function; null and undefined are left out", async () => {
  const stream = await make([
    [new Date(1), 1],
    [new Date(2), 2],
    [new Date(3), 3],
    [new Date(11), 4],
  ]);
  const value = (m: { data: Record<string, string>; id: string }): number | null | undefined =>
    m.id === "2-0" ? null : m.id === "11-0" ? undefined : Number(m.data["v"]) * 100;
  expect(brief(await collect(stream.buckets({ every: 10, value })))).toEqual([[new Date(0), 2, 400]]);
});

test("SeriesStream.buckets – an entry without the field, or with an empty text, is left out", async () => {
  const stream = await make([
    [new Date(1), 5],
    [new Date(3), ""],
    [new Date(4), "  "],
  ]);
  await stream.add({ other: 1 }, { id: 5 });
  expect(brief(await collect(stream.buckets({ every: 10, value: "v" })))).toEqual([[new Date(0), 1, 5]]);
});

test("SeriesStream.buckets – a value that is no number is an error that names field, stream and entry", async () => {
  for (const bad of ["7,5", "NaN", "Infinity", "warm"]) {
    const stream = await make([
      [new Date(1), 5],
      [new Date(12), bad],
    ]);
    const seen: Bucket[] = [];
    const error = await failure(async () => {
      for await (const bucket of stream.buckets({ every: 10, value: "v" })) seen.push(bucket);
    }, InvalidArgumentError);
    expect(error.message).toBe(`v of ${stream.key} 12-0 must be a finite number, got ${JSON.stringify(bad)}`);
    expect(error.value).toBe(bad);
  }
});

test("SeriesStream.buckets – values of another codec: numbers are, objects are not", async () => {
  const key = place.key();
  const stream = place.db.timeSeries("ts", key, { codec: json<{ v: unknown }>() }).streams[key]!;
  await stream.add({ v: 1.5 }, { id: 1 });
  await stream.add({ v: null }, { id: 2 });
  expect(brief(await collect(stream.buckets({ every: 10, value: "v" })))).toEqual([[new Date(0), 1, 1.5]]);
  await stream.add({ v: { x: 1 } }, { id: 3 });
  const error = await failure(collect(stream.buckets({ every: 10, value: "v" })), InvalidArgumentError);
  expect(error.message).toContain(`v of ${key} 3-0`);
  await failure(collect(stream.buckets({ every: 10, value: () => Number.NaN })), InvalidArgumentError);
});

test("SeriesStream.buckets – 2,500 entries over pages; read as it goes, each loop anew", async () => {
  const key = place.key();
  const stream = place.db.timeSeries("ts", key).streams[key]!;
  await stream.addMany(numbered(2500, 1), { id: (_, i) => i + 1 });
  const buckets = stream.buckets({ every: 1000, value: "n" });
  const counts = (await collect(buckets)).map(({ count }) => count);
  expect(counts).toEqual([999, 1000, 501]);
  await stream.add({ n: 0 }, { id: 3000 });
  expect((await collect(buckets)).map(({ count }) => count)).toEqual([999, 1000, 501, 1]);
  await stream.range(undefined, undefined, 1);
  const sent = await place.sent(async () => {
    for await (const _ of buckets) break;
  });
  expect(sent["xrange"]).toBeLessThanOrEqual(3);
});

test("TimeSeries.buckets – over all streams, in time order", async () => {
  const [a, b] = [place.key(), place.key()];
  const ts = place.db.timeSeries("ts", [a, b]);
  await ts.streams[a]!.add({ v: 1 }, { id: 5 });
  await ts.streams[b]!.add({ v: 10 }, { id: 3 });
  await ts.streams[b]!.add({ v: 100 }, { id: "5-1" });
  await ts.streams[a]!.add({ v: 1000 }, { id: 15 });
  expect(await collect(ts.buckets({ every: 10, value: "v" }))).toMatchObject([
    { start: new Date(0), count: 3, sum: 111, first: 10, last: 100 },
    { start: new Date(10), count: 1, sum: 1000 },
  ]);
  expect(await collect(ts.streams[a]!.buckets({ every: 10, value: "v" }))).toMatchObject([
    { sum: 1 },
    { sum: 1000 },
  ]);
});

test("TimeSeries.buckets – bad options are refused at once, nothing is sent", async () => {
  const ts = place.db.timeSeries("ts", [place.key()]);
  const cases: [options: unknown, text: string][] = [
    [undefined, "value must be"],
    [{ value: "v" }, "every must be milliseconds or a date-fns Duration"],
    [{ every: null, value: "v" }, "every must be"],
    [{ every: 0, value: "v" }, "every must be at least 1 millisecond"],
    [{ every: -5, value: "v" }, "every must be"],
    [{ every: Number.NaN, value: "v" }, "every must be"],
    [{ every: {}, value: "v" }, "every must be"],
    [
      { every: { hour: 1 }, value: "v" },
      'every unit must be among years, months, weeks, days, hours, minutes, seconds, got "hour"',
    ],
    [{ every: { months: 0.5 }, value: "v" }, "every.months must be a whole number"],
    [{ every: 10 }, "value must be a field's name or a function"],
    [{ every: 10, value: 7 }, "value must be"],
    [{ every: 10, value: "v", empty: 1 }, "empty must be true or false"],
    [{ every: 10, value: "v", field: "v" }, 'got "field"'],
    [{ every: 10, value: "v", start: "x" }, "id must be"],
  ];
  for (const [options, text] of cases) {
    const error = await place.refusal(() => ts.buckets(loose(options)));
    expect(error.message).toContain(text);
  }
});
