import fc from "fast-check";
import { expect, test } from "vitest";
import { compareIds, InvalidArgumentError, nextId, parseId, previousId, toId } from "../../src/index.ts";
import { orderOf } from "../../src/wire/id.ts";

const MAX = 2n ** 64n - 1n;

/** A part of an id, often at an edge. */
const part = fc.oneof(
  fc.bigInt({ min: 0n, max: MAX }),
  fc.bigInt({ min: 0n, max: 20n }),
  fc.constantFrom(0n, 1n, 9n, 10n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, MAX - 1n, MAX),
);
const parts = fc.tuple(part, part);
const text = ([ms, sequence]: readonly [bigint, bigint]): string => `${ms}-${sequence}`;
const number = ([ms, sequence]: readonly [bigint, bigint]): bigint => ms * 2n ** 64n + sequence;
const sign = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

test.each([
  ["1-9", "1-10", -1],
  ["9-0", "10-0", -1],
  ["5-0", "5-0", 0],
  ["5", "5-0", 0],
  ["05-01", "5-1", 0],
  ["2-0", `1-${MAX}`, 1],
  [`${MAX}-${MAX - 1n}`, `${MAX}-${MAX}`, -1],
  ["9007199254740993-0", "9007199254740992-0", 1],
  ["1-9007199254740993", "1-9007199254740992", 1],
])("compareIds – %s and %s", (a, b, expected) => {
  expect(Math.sign(compareIds(a, b))).toBe(expected);
  expect(Math.sign(compareIds({ id: a }, { id: b }))).toBe(expected);
  expect(Math.sign(compareIds(b, a)) + expected).toBe(0);
});

test("compareIds – sorts an array", () => {
  expect(["10-0", "9-0", "1-10", "1-9", "0-1"].sort(compareIds)).toEqual([
    "0-1",
    "1-9",
    "1-10",
    "9-0",
    "10-0",
  ]);
});

test.each(["", "-", "$", "1-*", "(1-1", "1-1-1", "banana", "18446744073709551616-0"])(
  "compareIds – refuses %j on either side",
  (id) => {
    expect(() => compareIds(id, "1-1")).toThrow(InvalidArgumentError);
    expect(() => compareIds("1-1", { id })).toThrow(InvalidArgumentError);
  },
);

test.each([null, undefined, 5, {}, new Date(5), [1, 1]])("compareIds – refuses %j", (id) => {
  expect(() => compareIds(id as never, "1-1")).toThrow(InvalidArgumentError);
  expect(() => compareIds("1-1", id as never)).toThrow(InvalidArgumentError);
});

test("compareIds, orderOf – agree with the comparison of BigInts", () => {
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      const expected = sign(number(a), number(b));
      expect(Math.sign(compareIds(text(a), text(b)))).toBe(expected);
      expect(Math.sign(orderOf(text(a), text(b)))).toBe(expected);
    }),
    { numRuns: 1000 },
  );
});

test.each([
  ["5-0", "5-1"],
  ["5", "5-1"],
  ["5-9", "5-10"],
  [`5-${MAX - 1n}`, `5-${MAX}`],
  [`5-${MAX}`, "6-0"],
  ["5-9007199254740992", "5-9007199254740993"],
  [`9007199254740992-${MAX}`, "9007199254740993-0"],
  ["0-0", "0-1"],
])("nextId, previousId – %s, then %s", (id, next) => {
  expect(nextId(id)).toBe(next);
  expect(previousId(next)).toBe(id === "5" ? "5-0" : id);
});

test("nextId – none after the greatest", () => {
  expect(() => nextId(`${MAX}-${MAX}`)).toThrow("id must be an id with another after it");
});

test("previousId – none before the least", () => {
  expect(() => previousId("0-0")).toThrow("id must be an id with another before it");
});

test.each(["", "-", "$", ">", "1-*", "(1-1", "1-1-1", "banana"])("nextId, previousId – refuse %j", (id) => {
  expect(() => nextId(id)).toThrow(InvalidArgumentError);
  expect(() => previousId(id)).toThrow(InvalidArgumentError);
});

test("nextId – one more as a number, and previousId its inverse", () => {
  fc.assert(
    fc.property(parts, (at) => {
      fc.pre(number(at) < number([MAX, MAX]));
      const next = nextId(text(at));
      const [ms, sequence] = next.split("-").map(BigInt) as [bigint, bigint];
      expect(number([ms, sequence])).toBe(number(at) + 1n);
      expect(previousId(next)).toBe(text(at));
      expect(compareIds(text(at), next)).toBeLessThan(0);
    }),
    { numRuns: 500 },
  );
});

test("toId, parseId – a round trip as far as a Date and a number are exact", () => {
  fc.assert(
    fc.property(
      fc.date({ min: new Date(0), noInvalidDate: true }),
      fc.maxSafeNat(),
      (timestamp, sequence) => {
        const id = toId({ timestamp, sequence });
        expect(id).toBe(`${timestamp.getTime()}-${sequence}`);
        expect(parseId(id)).toEqual({ timestamp, sequence });
        expect(toId(parseId(id))).toBe(id);
        expect(toId(id, "exact")).toBe(id);
      },
    ),
  );
});

test("toId – every id is itself in every position", () => {
  fc.assert(
    fc.property(parts, fc.constantFrom("add", "start", "stop", "after", "exact", "any"), (at, position) => {
      expect(toId(text(at), position)).toBe(text(at));
      expect(toId({ id: text(at) }, position)).toBe(text(at));
    }),
  );
});
