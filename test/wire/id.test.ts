import { Redis } from "ioredis";
import { describe, expect, test } from "vitest";
import { Database, InvalidArgumentError, Message } from "../../src/index.ts";
import {
  type IdLike,
  type IdPosition,
  millisecondsOf,
  parseId,
  sequenceOf,
  toId,
} from "../../src/wire/id.ts";

const MAX = "18446744073709551615";
const DATE = new Date(1_539_008_591_844);
const POSITIONS = ["add", "start", "stop", "after", "exact", "any"] as const satisfies IdPosition[];

/** The id of each position; the table of the design, section 2. */
type Row = Readonly<Record<IdPosition, string>>;
const same = (id: string): Row => ({ add: id, start: id, stop: id, after: id, exact: id, any: id });

describe.each<[string, IdLike, Row]>([
  [
    "a Date",
    DATE,
    {
      add: "1539008591844-*",
      start: "1539008591844-0",
      stop: `1539008591844-${MAX}`,
      after: `1539008591844-${MAX}`,
      exact: "1539008591844-0",
      any: "1539008591844-0",
    },
  ],
  ["the first Date", new Date(0), { ...same("0-0"), add: "0-*", stop: `0-${MAX}`, after: `0-${MAX}` }],
  ["a number", 5, { ...same("5-0"), stop: `5-${MAX}` }],
  [
    "the largest whole number",
    2 ** 53 - 1,
    { ...same("9007199254740991-0"), stop: `9007199254740991-${MAX}` },
  ],
  ["a bigint", 5n, { ...same("5-0"), stop: `5-${MAX}` }],
  ["the largest bigint", 2n ** 64n - 1n, { ...same(`${MAX}-0`), stop: `${MAX}-${MAX}` }],
  ["a whole id", "1539008591844-3", same("1539008591844-3")],
  ["the least id", "0-0", same("0-0")],
  ["the greatest id", `${MAX}-${MAX}`, same(`${MAX}-${MAX}`)],
  [
    "milliseconds as a string",
    "1539008591844",
    { ...same("1539008591844"), add: "1539008591844-0", exact: "1539008591844-0" },
  ],
  ["{ id }", { id: "5-3" }, same("5-3")],
  ["{ id } without a sequence", { id: "5" }, same("5-0")],
  ["a message", new Message("s", "5-3", {}), same("5-3")],
  ["{ timestamp, sequence }", { timestamp: DATE, sequence: 2 }, same("1539008591844-2")],
  ["{ timestamp }", { timestamp: DATE }, same("1539008591844-0")],
  ["a parsed id", parseId("1539008591844-3"), same("1539008591844-3")],
  ["a message with a timestamp too", { id: "5-3", timestamp: DATE, sequence: 9 }, same("5-3")],
])("toId – %s", (_, value, row) => {
  test.each(POSITIONS)("in %s", (position) => {
    expect(toId(value, position)).toBe(row[position]);
  });

  test("anywhere, where no position is said", () => {
    expect(toId(value)).toBe(row.any);
  });
});

describe.each<[string, readonly IdPosition[]]>([
  ["*", ["add", "any"]],
  ["5-*", ["add", "any"]],
  ["-", ["start", "stop", "any"]],
  ["+", ["start", "stop", "after", "any"]],
  ["(5-3", ["start", "stop", "any"]],
  ["(5", ["start", "stop", "any"]],
  ["$", ["after", "any"]],
  [">", ["after", "any"]],
])("toId – the special id %s", (special, allowed) => {
  test.each(POSITIONS)("in %s", (position) => {
    if (allowed.includes(position)) expect(toId(special, position)).toBe(special);
    else expect(() => toId(special, position)).toThrow(InvalidArgumentError);
  });
});

/** What is no id, anywhere. */
const BAD: readonly [string, unknown][] = [
  ["an invalid Date", new Date("no date")],
  ["a Date before 1970", new Date(-1)],
  ["a negative number", -1],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["a fraction", 1.5],
  ["a number beyond 2^53", 2 ** 53],
  ["a negative bigint", -1n],
  ["a bigint above 2^64-1", 2n ** 64n],
  ["milliseconds above 2^64-1", "18446744073709551616"],
  ["a sequence above 2^64-1", "1-18446744073709551616"],
  ["a part of 21 digits", "000000000000000000001-1"],
  ["three parts", "1-1-1"],
  ["an empty string", ""],
  ["a word", "banana"],
  ["a space before", " 1-1"],
  ["a line end after", "1-1\n"],
  ["no sequence after the dash", "1-"],
  ["no milliseconds", "-1"],
  ["a negative sequence", "1--1"],
  ["a fraction as a string", "1.5"],
  ["an exclusive special", "(-"],
  ["an exclusive id with too great a part", "(18446744073709551616-0"],
  ["a starred id with too great a part", "18446744073709551616-*"],
  ["a tuple", [1, 1]],
  ["a tuple of strings", ["1-1"]],
  ["null", null],
  ["undefined", undefined],
  ["a boolean", true],
  ["a symbol", Symbol("1-1")],
  ["a function", () => "1-1"],
  ["an object without an id", {}],
  ["an object with a number for its id", { id: 5 }],
  ["an object with a special id", { id: "$" }],
  ["an object with a bad id", { id: "1-1-1" }],
  ["an object with an invalid timestamp", { timestamp: new Date(Number.NaN) }],
  ["an object with a number for its timestamp", { timestamp: 5 }],
  ["a negative sequence part", { timestamp: DATE, sequence: -1 }],
  ["a sequence part with a fraction", { timestamp: DATE, sequence: 0.5 }],
  ["a sequence part that is no longer exact", parseId(`5-${MAX}`)],
];

test.each(BAD)("toId – refuses %s in every position", (_, value) => {
  for (const position of POSITIONS) {
    const convert = () => toId(value as IdLike, position);
    expect(convert, position).toThrow(InvalidArgumentError);
    expect(convert, position).toThrow(/^id must be /);
  }
});

test("toId – an error says the rule and the value", () => {
  expect(() => toId("banana", "start")).toThrow(
    'id must be an id such as 1-1, 1, (1-1, - or +, got "banana"',
  );
  expect(() => toId(-1)).toThrow("id must be a whole number of milliseconds, got -1");
  expect(() => toId([1, 1] as never)).toThrow(
    "id must be an id: a string, number, bigint, Date, { id } or { timestamp, sequence }, got an array of 2",
  );
});

/** Every place of a stream and a group where an id goes. */
const PLACES: readonly [string, (db: Database, id: IdLike) => Promise<unknown>][] = [
  ["add", (db, id) => db.Stream("s").add({ a: 1 }, { id })],
  ["add minid", (db, id) => db.Stream("s").add({ a: 1 }, { minid: id })],
  ["addMany", (db, id) => db.Stream("s").addMany([{ a: 1 }], { id: () => id })],
  ["get", (db, id) => db.Stream("s").get(id)],
  ["has", (db, id) => db.Stream("s").has(id)],
  ["delete", (db, id) => db.Stream("s").delete("1-1", id)],
  ["range start", async (db, id) => await db.Stream("s").range(id)],
  ["range stop", async (db, id) => await db.Stream("s").range("-", id)],
  ["read", (db, id) => db.Stream("s").read({ lastId: id })],
  ["setId", (db, id) => db.Stream("s").setId(id)],
  ["trim", (db, id) => db.Stream("s").trim({ minid: id })],
  ["group start", async (db, id) => await db.consumerGroup("g", { s: id }).create()],
  ["group setId", (db, id) => db.consumerGroup("g", ["s"]).setId(id)],
  ["ack", (db, id) => db.consumerGroup("g", ["s"]).streams.s.ack("1-1", id)],
  ["claim", (db, id) => db.consumerGroup("g", ["s"]).streams.s.claim([id])],
  ["autoclaim", (db, id) => db.consumerGroup("g", ["s"]).streams.s.autoclaim({ start: id })],
  ["pending", async (db, id) => await db.consumerGroup("g", ["s"]).streams.s.pending({ start: id })],
];
/** Places where `undefined` is not an id but leaves the choice to the method. */
const OPTIONAL = [
  "add",
  "add minid",
  "range start",
  "range stop",
  "read",
  "group start",
  "group setId",
  "autoclaim",
  "pending",
];

test.each(PLACES)("IdLike – in %s a bad id is refused before a byte is sent", async (place, call) => {
  // A connection that is opened by its first command: it is never opened.
  await using db = new Database({ lazyConnect: true, port: 1, retryStrategy: () => null });
  for (const [name, value] of BAD) {
    if (value === undefined && OPTIONAL.includes(place)) continue;
    const outcome = (async () => await call(db, value as IdLike))();
    await expect(outcome, name).rejects.toBeInstanceOf(InvalidArgumentError);
  }
  expect(db.status).toBe("wait");
  expect(db).toBeInstanceOf(Redis);
});

test("parseId – both parts; a sequence above 2^53 is the nearest number", () => {
  expect(parseId("1539008591844-3")).toEqual({ timestamp: DATE, sequence: 3 });
  expect(parseId("5")).toEqual({ timestamp: new Date(5), sequence: 0 });
  expect(parseId(`5-${MAX}`)).toEqual({ timestamp: new Date(5), sequence: 2 ** 64 });
});

test.each(["", "-", "+", "$", "*", "1-*", "(1-1", "1-1-1", "banana", "1-18446744073709551616"])(
  "parseId – refuses %j",
  (id) => {
    expect(() => parseId(id)).toThrow(InvalidArgumentError);
  },
);

test.each([null, undefined, 5, new Date(5), {}])("parseId – refuses %s, which is no string", (id) => {
  expect(() => parseId(id as never)).toThrow(InvalidArgumentError);
});

test("millisecondsOf, sequenceOf – the parts of an id of the server", () => {
  expect(millisecondsOf("1539008591844-3")).toBe(1_539_008_591_844);
  expect(sequenceOf("1539008591844-3")).toBe(3);
  expect(sequenceOf(`0-${MAX}`)).toBe(2 ** 64);
});
