import { expect, test } from "vitest";
import {
  assertGivenOptions,
  assertInteger,
  assertName,
  assertOptionalBoolean,
  assertOptionalInteger,
  assertOptions,
  assertSignal,
} from "../../src/ground/assert.ts";
import { InvalidArgumentError } from "../../src/ground/errors.ts";

/** The error's text, or null where nothing is wrong. */
function refusal(check: () => void): string | null {
  try {
    check();
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgumentError);
    return (error as Error).message;
  }
}

test.each<[unknown, number | undefined, number | undefined]>([
  [0, undefined, undefined],
  [1, 1, undefined],
  [2 ** 53 - 1, undefined, undefined],
  [-5, -5, undefined],
  [3, 1, 3],
])("assertInteger – %s passes from %s to %s", (value, min, max) => {
  expect(refusal(() => assertInteger("count", value, min, max))).toBeNull();
});

test.each<[string, unknown, number | undefined, number | undefined, string]>([
  ["too small", -1, undefined, undefined, "count must be a whole number of at least 0, got -1"],
  ["below the bound", 0, 1, undefined, "count must be a whole number of at least 1, got 0"],
  ["above the bound", 4, 1, 3, "count must be a whole number from 1 to 3, got 4"],
  ["a fraction", 1.5, undefined, undefined, "count must be a whole number of at least 0, got 1.5"],
  ["NaN", Number.NaN, undefined, undefined, "count must be a whole number of at least 0, got NaN"],
  [
    "Infinity",
    Number.POSITIVE_INFINITY,
    undefined,
    undefined,
    "count must be a whole number of at least 0, got Infinity",
  ],
  [
    "beyond 2^53",
    2 ** 53,
    undefined,
    undefined,
    "count must be a whole number of at least 0, got 9007199254740992",
  ],
  ["a string", "5", undefined, undefined, 'count must be a whole number of at least 0, got "5"'],
  ["a bigint", 5n, undefined, undefined, "count must be a whole number of at least 0, got 5n"],
  ["null", null, undefined, undefined, "count must be a whole number of at least 0, got null"],
  ["undefined", undefined, undefined, undefined, "count must be a whole number of at least 0, got undefined"],
])("assertInteger – %s is refused", (_, value, min, max, message) => {
  expect(refusal(() => assertInteger("count", value, min, max))).toBe(message);
});

test("assertOptionalInteger – absent is fine, null is not", () => {
  expect(refusal(() => assertOptionalInteger("count", undefined, 1))).toBeNull();
  expect(refusal(() => assertOptionalInteger("count", 1, 1))).toBeNull();
  expect(refusal(() => assertOptionalInteger("count", 0, 1))).toBe(
    "count must be a whole number of at least 1, got 0",
  );
  expect(refusal(() => assertOptionalInteger("count", null))).toBe(
    "count must be a whole number of at least 0, got null",
  );
});

test.each([[""], [5], [null], [undefined], [["s"]], [{}], [Buffer.from("s")]])(
  "assertName – %j is refused",
  (value) => {
    expect(refusal(() => assertName("key", value))).toMatch(/^key must be a string that is not empty, got /);
  },
);

test.each(["s", " ", "0", "ü:\r\n"])("assertName – %j passes", (value) => {
  expect(refusal(() => assertName("key", value))).toBeNull();
});

test("assertOptionalBoolean – absent, true and false pass, nothing that is only like them", () => {
  for (const value of [undefined, true, false])
    expect(refusal(() => assertOptionalBoolean("noAck", value))).toBeNull();
  for (const value of [null, 0, 1, "true", {}])
    expect(refusal(() => assertOptionalBoolean("noAck", value))).toMatch(
      /^noAck must be true or false, got /,
    );
});

test("assertOptions – absent, empty and known names pass, whatever their values", () => {
  for (const options of [undefined, {}, { count: undefined }, { count: 1, block: null }])
    expect(refusal(() => assertOptions("read", options, ["count", "block"]))).toBeNull();
});

test.each<[string, unknown, string]>([
  ["a misspelt name", { count: 1, blok: 5 }, 'read options must be among count, block, got "blok"'],
  ["null", null, "read options must be an object, got null"],
  ["a number", 5, "read options must be an object, got 5"],
  ["a string", "count", 'read options must be an object, got "count"'],
  ["an array", [1], "read options must be an object, got an array of 1"],
  ["a function", () => 1, "read options must be an object, got function (anonymous)"],
])("assertOptions – %s is refused", (_, options, message) => {
  expect(refusal(() => assertOptions("read", options, ["count", "block"]))).toBe(message);
});

test("assertSignal – a signal or nothing", () => {
  for (const signal of [undefined, new AbortController().signal, AbortSignal.abort()])
    expect(refusal(() => assertSignal(signal))).toBeNull();
  for (const signal of [null, new AbortController(), {}, "abort"])
    expect(refusal(() => assertSignal(signal))).toMatch(/^signal must be an AbortSignal, got /);
});

test("assertGivenOptions – absent is refused as what it is; the rest as where all are optional", () => {
  const of = (options: unknown): void => assertGivenOptions("app", options, ["name"]);
  expect(() => of(undefined)).toThrow("app options must be an object, got undefined");
  expect(() => of(null)).toThrow("app options must be an object, got null");
  expect(() => of({ nam: "a" })).toThrow("among name");
  of({});
});
