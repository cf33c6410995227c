import { expect, test } from "vitest";
import { InvalidArgumentError, text } from "../../src/index.ts";
import { decodeHeaders, NO_HEADERS, Payload } from "../../src/wire/codec.ts";

const encode = (headers: unknown) => new Payload().encode({ a: "1" }, headers as Record<string, string>);

test("Payload.encode – headers are JSON in one field, after the data", () => {
  expect(encode({ region: "eu", empty: "", ü: "🦭" })).toEqual([
    "a",
    "1",
    "@headers",
    '{"region":"eu","empty":"","ü":"🦭"}',
  ]);
});

test("Payload.encode – no headers, no field", () => {
  const fields = text.encode({ a: "1" });
  expect(encode(undefined)).toEqual(fields);
  expect(encode({})).toEqual(fields);
});

test.each<[string, unknown, RegExp]>([
  ["null", null, /^headers must be an object of strings, got null/],
  ["an array", [["a", "1"]], /^headers must be an object of strings, got an array of 1/],
  ["a string", "a=1", /^headers must be an object of strings, got "a=1"/],
  ["a number for a header", { a: "1", n: 5 }, /^headers.n must be a string, got 5/],
  ["undefined for a header", { n: undefined }, /^headers.n must be a string, got undefined/],
  ["an object for a header", { n: {} }, /^headers.n must be a string, got an object/],
])("Payload.encode – headers that are %s are refused", (_, headers, message) => {
  expect(() => encode(headers)).toThrow(InvalidArgumentError);
  expect(() => encode(headers)).toThrow(message);
});

test("decodeHeaders – an object of texts; what others wrote as numbers or objects comes as JSON", () => {
  expect(decodeHeaders('{"a":"x","n":5,"o":{"b":[1]},"z":null}')).toEqual({
    a: "x",
    n: "5",
    o: '{"b":[1]}',
    z: "null",
  });
  expect(decodeHeaders("{}")).toEqual({});
});

test("decodeHeaders – a header named __proto__ is a header", () => {
  const headers = decodeHeaders('{"__proto__":"x","a":"1"}');
  expect(Object.entries(headers)).toEqual([
    ["__proto__", "x"],
    ["a", "1"],
  ]);
  expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
  const sent = encode(headers) as string[];
  expect(sent[3]).toBe('{"__proto__":"x","a":"1"}');
});

test.each(["", "x", "null", "true", "7", '"a"', "[]", "{", "{'a':'1'}"])(
  "decodeHeaders – %j is refused",
  (value) => {
    expect(() => decodeHeaders(value)).toThrow(
      expect.objectContaining({
        issues: [{ message: "the headers are not a JSON object", path: ["@headers"] }],
      }),
    );
  },
);

test("NO_HEADERS – frozen and empty", () => {
  expect(Object.isFrozen(NO_HEADERS)).toBe(true);
  expect(NO_HEADERS).toEqual({});
});
