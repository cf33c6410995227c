import fc from "fast-check";
import { expect, test } from "vitest";
import { calendar, type Duration, type Time, toMilliseconds } from "../../src/ground/duration.ts";
import { InvalidArgumentError } from "../../src/ground/errors.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

test.each<[Time, number]>([
  [0, 0],
  [1500, 1500],
  [1.4, 1],
  [0.5, 1],
  [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  [{ seconds: 1 }, SECOND],
  [{ minutes: 5 }, 5 * MINUTE],
  [{ hours: 1.5 }, 90 * MINUTE],
  [{ days: 2 }, 2 * DAY],
  [{ weeks: 1 }, 7 * DAY],
  [{ months: 12 }, 31_556_952_000],
  [{ years: 1 }, 31_556_952_000],
  [{ minutes: 1.15 }, 69 * SECOND],
  [{ seconds: 1.001 }, 1001],
  [{ hours: 1, minutes: 1, seconds: 0.001 }, HOUR + MINUTE + 1],
  [{ minutes: 0 }, 0],
  [{ minutes: 1, seconds: undefined } as unknown as Duration, MINUTE],
])("toMilliseconds – %o is %d", (time, ms) => {
  expect(toMilliseconds("block", time)).toBe(ms);
});

/** What is no time, with the rule that it breaks. */
const BAD: readonly [string, unknown, string][] = [
  ["a negative number", -1, "block must be milliseconds of at least 0, got -1"],
  ["a little below 0", -0.1, "block must be milliseconds of at least 0, got -0.1"],
  ["NaN", Number.NaN, "block must be milliseconds of at least 0, got NaN"],
  ["Infinity", Number.POSITIVE_INFINITY, "block must be milliseconds of at least 0, got Infinity"],
  ["a number that no integer holds", 1e300, "block must be milliseconds of at least 0, got 1e+300"],
  [
    "a Duration that no integer holds",
    { hours: 1e300 },
    "block must be milliseconds of at least 0, got an object",
  ],
  ["null", null, "block must be milliseconds or a date-fns Duration, got null"],
  ["undefined", undefined, "block must be milliseconds or a date-fns Duration, got undefined"],
  ["a string", "5s", 'block must be milliseconds or a date-fns Duration, got "5s"'],
  ["a bigint", 5n, "block must be milliseconds or a date-fns Duration, got 5n"],
  ["an array", [5], "block must be milliseconds or a date-fns Duration, got an array of 1"],
  ["a Date", new Date(0), "block must be milliseconds or a date-fns Duration, got 1970-01-01T00:00:00.000Z"],
  ["an empty Duration", {}, "block must be a Duration with at least one unit, got an object"],
  [
    "a Duration of nothing",
    { minutes: undefined },
    "block must be a Duration with at least one unit, got an object",
  ],
  [
    "an unknown unit",
    { minute: 5 },
    'block unit must be among years, months, weeks, days, hours, minutes, seconds, got "minute"',
  ],
  ["an unknown unit without a value", { ms: undefined, hours: 1 }, "block unit must be among"],
  ["a negative unit", { minutes: -5 }, "block.minutes must be a number of at least 0, got -5"],
  ["NaN of a unit", { hours: Number.NaN }, "block.hours must be a number of at least 0, got NaN"],
  [
    "endless units",
    { weeks: Number.POSITIVE_INFINITY },
    "block.weeks must be a number of at least 0, got Infinity",
  ],
  ["a string of a unit", { hours: "5" }, 'block.hours must be a number of at least 0, got "5"'],
  ["null of a unit", { hours: null }, "block.hours must be a number of at least 0, got null"],
  ["half a month", { months: 0.5 }, "block.months must be a whole number of at least 0, got 0.5"],
  ["half a year", { years: 1.5 }, "block.years must be a whole number of at least 0, got 1.5"],
];

test.each(BAD)("toMilliseconds – %s is refused", (_, time, message) => {
  expect(() => toMilliseconds("block", time as Time)).toThrow(InvalidArgumentError);
  expect(() => toMilliseconds("block", time as Time)).toThrow(message);
});

test.each([
  ...BAD,
  ["a negative month", { months: -1 }, "block.months must be"],
  ["months and years that cancel", { years: 1, months: -12 }, "block.months must be"],
  ["0", 0, "block must be at least 1 millisecond, got 0"],
  ["less than half a millisecond", 0.4, "block must be at least 1 millisecond"],
  ["no seconds", { seconds: 0 }, "block must be at least 1 millisecond"],
  ["no months", { months: 0 }, "block must be at least 1 millisecond"],
] as const)("calendar – %s is refused", (_, every, message) => {
  expect(() => calendar("block", every as Time)).toThrow(InvalidArgumentError);
  expect(() => calendar("block", every as Time)).toThrow(message);
});

/** The interval that holds a moment, as ISO texts without what is zero in all of them. */
function interval(every: Time, at: string): [string, string] {
  const grid = calendar("every", every);
  const index = grid.index(Date.parse(at));
  const text = (ms: number) => new Date(ms).toISOString().replace(/\.000Z$/, "");
  return [text(grid.start(index)), text(grid.start(index + 1))];
}

test.each<[string, Time, string, string, string]>([
  [
    "a quarter of a second",
    250,
    "2018-01-02T06:00:00.300Z",
    "2018-01-02T06:00:00.250Z",
    "2018-01-02T06:00:00.500Z",
  ],
  ["an hour", { hours: 1 }, "2018-01-02T06:59:59.999Z", "2018-01-02T06:00:00", "2018-01-02T07:00:00"],
  [
    "the first moment of an hour",
    { hours: 1 },
    "2018-01-02T07:00:00Z",
    "2018-01-02T07:00:00",
    "2018-01-02T08:00:00",
  ],
  [
    "a quarter of an hour",
    { minutes: 15 },
    "2018-01-02T06:44:59Z",
    "2018-01-02T06:30:00",
    "2018-01-02T06:45:00",
  ],
  ["half a day", { hours: 12 }, "2018-01-02T13:00:00Z", "2018-01-02T12:00:00", "2018-01-03T00:00:00"],
  ["a day in milliseconds", DAY, "2018-01-02T13:00:00Z", "2018-01-02T00:00:00", "2018-01-03T00:00:00"],
  ["a leap day", { days: 1 }, "2020-02-29T23:59:59Z", "2020-02-29T00:00:00", "2020-03-01T00:00:00"],
  [
    "a week begins on Monday",
    { weeks: 1 },
    "2018-01-07T23:59:59Z",
    "2018-01-01T00:00:00",
    "2018-01-08T00:00:00",
  ],
  ["a week, on a Monday", { weeks: 1 }, "2018-01-08T00:00:00Z", "2018-01-08T00:00:00", "2018-01-15T00:00:00"],
  [
    "seven days are a week",
    { days: 7 },
    "2018-01-10T00:00:00Z",
    "2018-01-08T00:00:00",
    "2018-01-15T00:00:00",
  ],
  [
    "a month of 31 days",
    { months: 1 },
    "2018-01-31T23:59:59.999Z",
    "2018-01-01T00:00:00",
    "2018-02-01T00:00:00",
  ],
  ["February", { months: 1 }, "2019-02-28T12:00:00Z", "2019-02-01T00:00:00", "2019-03-01T00:00:00"],
  [
    "February of a leap year",
    { months: 1 },
    "2020-02-29T12:00:00Z",
    "2020-02-01T00:00:00",
    "2020-03-01T00:00:00",
  ],
  ["a quarter", { months: 3 }, "2018-06-30T23:59:59Z", "2018-04-01T00:00:00", "2018-07-01T00:00:00"],
  ["the last quarter", { months: 3 }, "2018-12-31T00:00:00Z", "2018-10-01T00:00:00", "2019-01-01T00:00:00"],
  ["a year", { years: 1 }, "2018-12-31T23:59:59Z", "2018-01-01T00:00:00", "2019-01-01T00:00:00"],
  ["a leap year", { years: 1 }, "2020-12-31T23:59:59Z", "2020-01-01T00:00:00", "2021-01-01T00:00:00"],
  [
    "a year of no leap day: 2100",
    { years: 1 },
    "2100-12-31T23:59:59Z",
    "2100-01-01T00:00:00",
    "2101-01-01T00:00:00",
  ],
  ["ten years", { years: 10 }, "2018-05-05T00:00:00Z", "2010-01-01T00:00:00", "2020-01-01T00:00:00"],
  [
    "a year and six months",
    { years: 1, months: 6 },
    "1972-12-31T00:00:00Z",
    "1971-07-01T00:00:00",
    "1973-01-01T00:00:00",
  ],
  [
    "a month and three days",
    { months: 1, days: 3 },
    "1970-02-05T00:00:00Z",
    "1970-02-04T00:00:00",
    "1970-03-07T00:00:00",
  ],
  [
    "a month and an hour",
    { months: 1, hours: 1 },
    "1970-02-01T00:30:00Z",
    "1970-01-01T00:00:00",
    "1970-02-01T01:00:00",
  ],
  ["an hour before 1970", { hours: 1 }, "1969-12-31T23:30:00Z", "1969-12-31T23:00:00", "1970-01-01T00:00:00"],
  ["a week before 1970", { weeks: 1 }, "1969-12-31T23:30:00Z", "1969-12-29T00:00:00", "1970-01-05T00:00:00"],
  [
    "a month before 1970",
    { months: 1 },
    "1969-12-31T23:59:59Z",
    "1969-12-01T00:00:00",
    "1970-01-01T00:00:00",
  ],
  [
    "a leap February before 1970",
    { months: 1 },
    "1968-02-29T00:00:00Z",
    "1968-02-01T00:00:00",
    "1968-03-01T00:00:00",
  ],
  ["a year before 1970", { years: 1 }, "1900-07-01T00:00:00Z", "1900-01-01T00:00:00", "1901-01-01T00:00:00"],
])("calendar – %s", (_, every, at, start, end) => {
  expect(interval(every, at)).toEqual([start, end]);
});

test("calendar – interval 0 of months and years begins with 1970", () => {
  for (const every of [{ months: 1 }, { months: 3 }, { years: 1 }]) {
    expect(calendar("every", every).index(0)).toBe(0);
    expect(calendar("every", every).start(0)).toBe(0);
  }
});

test.each([
  [60_000, 60],
  [{ months: 1 }, 1],
] as const)("calendar – %o: no time zone enters", (every, step) => {
  // America/St_Johns is off by half an hour, and has daylight saving.
  const zone = process.env["TZ"];
  try {
    process.env["TZ"] = "America/St_Johns";
    expect(new Date(2018, 0, 1).getTimezoneOffset()).toBe(210);
    const grid = calendar("every", every);
    const at = Date.UTC(2018, 5, 1);
    const index = grid.index(at);
    expect([grid.start(index), grid.start(index + step)]).toEqual([
      at,
      step === 1 ? Date.UTC(2018, 6, 1) : at + HOUR,
    ]);
  } finally {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
  }
});

test("calendar – every moment is in its own interval", () => {
  const part = fc.option(fc.integer({ min: 0, max: 40 }), { nil: undefined });
  const fraction = fc.option(fc.double({ min: 0, max: 40, noNaN: true }), { nil: undefined });
  const every = fc.oneof(
    fc.integer({ min: 1, max: 10 ** 12 }),
    fc
      .record({
        years: part,
        months: part,
        weeks: part,
        days: part,
        hours: fraction,
        minutes: fraction,
        seconds: part,
      })
      .map((units) => JSON.parse(JSON.stringify(units)) as Duration)
      .filter((units) => Object.values(units).some((value) => value >= 0.001)),
  );
  const moment = fc.integer({ min: -(10 ** 13), max: 10 ** 13 });
  fc.assert(
    fc.property(every, moment, (time, ms) => {
      const grid = calendar("every", time);
      const index = grid.index(ms);
      expect(Number.isInteger(index)).toBe(true);
      expect(grid.start(index)).toBeLessThanOrEqual(ms);
      expect(ms).toBeLessThan(grid.start(index + 1));
      expect(grid.index(grid.start(index))).toBe(index);
    }),
    { numRuns: 1000 },
  );
});
