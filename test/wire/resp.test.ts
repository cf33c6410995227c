import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { ErrorReply, Inbox } from "../../src/wire/resp.ts";
import { type Value, ValuesDecoder } from "../../src/wire/values.ts";
import { everyCut, feed, line, reply, type Shape } from "./feed.ts";

test.each<[string, Shape, Value]>([
  ["a bulk", "héllo", "héllo"],
  ["an empty bulk", "", ""],
  ["a bulk with line ends", "\r\n$3\r\n", "\r\n$3\r\n"],
  ["a null bulk", line("$-1"), null],
  ["a null array", null, null],
  ["a simple string", line("+OK"), "OK"],
  ["an empty simple string", line("+"), ""],
  ["an error", line("-ERR nö"), new ErrorReply("ERR nö")],
  ["an integer", 1_514_872_800_000, 1_514_872_800_000],
  ["a negative integer", -5, -5],
  ["the largest integer", line(":9223372036854775807"), 2 ** 63],
  ["an empty array", [], []],
  ["arrays in arrays", [[[], "a"], [[[1, null]]], []], [[[], "a"], [[[1, null]]], []]],
  [
    "everything at once",
    ["a", line("-ERR x"), 7, [line("$-1"), line("+y")]],
    ["a", new ErrorReply("ERR x"), 7, [null, "y"]],
  ],
])("ValuesDecoder.decode – %s, cut everywhere", (_, shape, expected) => {
  const whole = reply(shape);
  for (const cuts of everyCut(whole.length)) {
    const result = feed(new ValuesDecoder(1), whole, cuts);
    if (!isDeepStrictEqual(result, [expected]))
      expect(result, `cut at ${cuts.join(", ")}`).toStrictEqual([expected]);
  }
});

test("ValuesDecoder.decode – several replies, cut everywhere", () => {
  const whole = Buffer.concat(["a", ["b", null], line("-ERR"), 1].map(reply));
  for (const cuts of everyCut(whole.length)) {
    const result = feed(new ValuesDecoder(4), whole, cuts);
    expect(result).toStrictEqual(["a", ["b", null], new ErrorReply("ERR"), 1]);
  }
});

test("ValuesDecoder.decode – as deep as 32 levels", () => {
  const nested = (depth: number): Shape => (depth === 0 ? "x" : [nested(depth - 1)]);
  expect(feed(new ValuesDecoder(1), reply(nested(32)))).toEqual([nested(32)]);
  expect(() => feed(new ValuesDecoder(1), reply(nested(33)))).toThrow("nested deeper than 32");
});

test("ValuesDecoder.decode – random values, random cuts", () => {
  const { value } = fc.letrec<{ value: Exclude<Shape, readonly Shape[]> | readonly Shape[] }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.string({ unit: "binary", maxLength: 12 }),
      fc.maxSafeInteger(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 4 }),
    ),
  }));
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), fc.array(fc.nat(400)), (values, cutAt) => {
      const whole = Buffer.concat(values.map(reply));
      const cuts = [...new Set(cutAt)].filter((at) => at < whole.length).sort((a, b) => a - b);
      expect(feed(new ValuesDecoder(values.length), whole, cuts)).toStrictEqual(values);
    }),
    { numRuns: 100 },
  );
});

test("Inbox.push – a chunk is used in place while nothing waits, and copied behind what waits", () => {
  const inbox = new Inbox();
  const first = Buffer.from("$3\r\na");
  inbox.push(first);
  expect(inbox.bytes).toBe(first);
  inbox.at = 4;
  inbox.push(Buffer.from("bc"));
  inbox.push(Buffer.from("\r\n"));
  expect(inbox.bytes).not.toBe(first);
  expect(inbox.bytes.toString("latin1", inbox.at, inbox.end)).toBe("abc\r\n");
  expect(inbox.size).toBe(5);
  inbox.at = inbox.end;
  const next = Buffer.from("+OK\r\n");
  inbox.push(next);
  expect(inbox.bytes).toBe(next);
});

test("Inbox.peek – the next type byte, -1 where nothing is here", () => {
  const inbox = new Inbox();
  expect(inbox.peek()).toBe(-1);
  inbox.push(Buffer.from("*1\r\n"));
  expect(inbox.peek()).toBe(42);
});
