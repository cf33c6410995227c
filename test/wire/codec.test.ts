import { expect, test } from "vitest";
import { bytes, type Codec, InvalidArgumentError, json, pairs, structured, text } from "../../src/index.ts";
import { onlyField, Payload, type RawField, setOwn } from "../../src/wire/codec.ts";

/** What `encode` made, as it comes back from the server. */
function stored(flat: readonly (string | Uint8Array)[]): RawField[] {
  return flat.flatMap((name, i) =>
    i % 2 === 0 ? [{ name: String(name), value: Buffer.from(flat[i + 1] as string) }] : [],
  );
}

/** A value through a codec and back; the bytes are overwritten afterwards, as the connection's are. */
function roundTrip<T, I>(codec: Codec<T, I>, value: I): T {
  const fields = stored(codec.encode(value));
  const back = codec.decode(fields);
  for (const field of fields) field.value.fill(0xee);
  return back;
}

const own = (source: string): Record<string, string> => JSON.parse(source) as Record<string, string>;

test("text.encode – strings, numbers, bigints and booleans, in order", () => {
  const value = { b: "x", a: 1.5, big: 2n ** 70n, yes: true, no: false, empty: "", negative: -0.1 };
  expect(text.encode(value)).toEqual([
    ...["b", "x", "a", "1.5", "big", "1180591620717411303424", "yes", "true", "no", "false"],
    ...["empty", "", "negative", "-0.1"],
  ]);
});

test("text – back as texts; whole-number names first, as in any object", () => {
  const back = roundTrip(text, { b: "ü🦭\r\n", "10": 1, "2": true });
  expect(back).toEqual({ "2": "true", "10": "1", b: "ü🦭\r\n" });
  expect(Object.keys(back)).toEqual(["2", "10", "b"]);
});

test("text.decode – of a repeated field the last value", () => {
  expect(text.decode(stored(["a", "1", "b", "2", "a", "3"]))).toEqual({ a: "3", b: "2" });
});

test.each<[string, Codec<Record<string, unknown>, never>]>([
  ["text", text as never],
  ["bytes", bytes as never],
])("%s – a field named __proto__ is data, both ways", (_, codec) => {
  const value = own('{"__proto__":"x","constructor":"y","toString":"z"}');
  expect(codec.encode(value as never)).toEqual(["__proto__", "x", "constructor", "y", "toString", "z"]);
  const back = roundTrip(codec, value as never);
  expect(Object.keys(back)).toEqual(["__proto__", "constructor", "toString"]);
  expect(Object.values(back).map(String)).toEqual(["x", "y", "z"]);
  expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
  expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
});

test.each<[string, unknown]>([
  ["null", null],
  ["undefined", undefined],
  ["an object", {}],
  ["an array", ["x"]],
  ["a function", () => "x"],
  ["a symbol", Symbol("x")],
  ["a Date", new Date(0)],
])("text, pairs – %s as a value is refused by the field's name", (_, value) => {
  expect(() => text.encode({ ok: "x", total: value } as never)).toThrow(InvalidArgumentError);
  expect(() => text.encode({ ok: "x", total: value } as never)).toThrow(
    /^data\["total"\] must be a string, number, bigint or boolean, got /,
  );
  expect(() => pairs.encode([{ name: "total", value: value as string }])).toThrow(
    /^data\["total"\] must be /,
  );
});

test.each<[string, unknown]>([
  ["null", null],
  ["undefined", undefined],
  ["a string", "x"],
  ["a number", 5],
  ["an array", [["a", "1"]]],
  ["a function", () => ({ a: "1" })],
  ["an empty object", {}],
  ["a Map", new Map([["a", "1"]])],
  ["a Date", new Date(0)],
])("text, bytes – %s instead of an object of fields is refused", (_, value) => {
  for (const codec of [text, bytes]) {
    expect(() => codec.encode(value as never)).toThrow(InvalidArgumentError);
    expect(() => codec.encode(value as never)).toThrow(/^data must be an object/);
  }
});

test("bytes – bytes and strings; what is read is a copy", () => {
  const part = new Uint8Array([1, 2, 255, 4]).subarray(1, 3);
  expect(bytes.encode({ a: part, b: "ü" })).toEqual(["a", part, "b", "ü"]);
  const back = roundTrip(bytes, { a: part, b: "ü", empty: new Uint8Array(0) });
  expect(back).toEqual({ a: Buffer.from([2, 255]), b: Buffer.from("ü"), empty: Buffer.alloc(0) });
  expect(Buffer.isBuffer(back["a"])).toBe(true);
});

test.each<[string, unknown]>([
  ["null", null],
  ["undefined", undefined],
  ["a number", 1],
  ["a boolean", true],
  ["an object", {}],
  ["an array", [1, 2]],
  ["a DataView", new DataView(new ArrayBuffer(1))],
  ["an ArrayBuffer", new ArrayBuffer(1)],
])("bytes – %s as a value is refused by the field's name", (_, value) => {
  expect(() => bytes.encode({ ok: "x", body: value } as never)).toThrow(InvalidArgumentError);
  expect(() => bytes.encode({ ok: "x", body: value } as never)).toThrow(
    /^data\["body"\] must be bytes or a string, got /,
  );
});

test("pairs – order and repeats are kept, also of names that are whole numbers or __proto__", () => {
  const value = ["b", "10", "a", "2", "b", "__proto__", ""].map((name, i) => ({ name, value: String(i) }));
  expect(roundTrip(pairs, value)).toEqual(value);
  expect(
    pairs.encode([
      { name: "a", value: 1 },
      { name: "a", value: false },
    ]),
  ).toEqual(["a", "1", "a", "false"]);
});

test.each<[string, unknown, string]>([
  ["an object", { a: "1" }, "data must be a list of { name, value }, got an object"],
  ["null", null, "data must be a list of { name, value }, got null"],
  ["a null in the list", [{ name: "a", value: "1" }, null], "data[1].name must be a string, got undefined"],
  ["a pair without a name", [{ value: "1" }], "data[0].name must be a string, got undefined"],
  ["a name that is a number", [{ name: 5, value: "1" }], "data[0].name must be a string, got 5"],
  [
    "a pair without a value",
    [{ name: "a" }],
    'data["a"] must be a string, number, bigint or boolean, got undefined',
  ],
])("pairs – %s is refused", (_, value, message) => {
  expect(() => pairs.encode(value as never)).toThrow(InvalidArgumentError);
  expect(() => pairs.encode(value as never)).toThrow(message);
});

test.each<[string, unknown]>([
  ["an object", { a: [1, { b: null }], c: "ü" }],
  ["null", null],
  ["a string", "x"],
  ["a number", 0.1],
  ["an array", []],
  ["an own __proto__", own('{"__proto__":"x"}')],
])("json – %s, there and back", (_, value) => {
  expect(roundTrip(json(), value)).toStrictEqual(value);
});

test("json – a value is JSON in the one field json", () => {
  expect(json().encode({ total: 7, at: new Date(0) })).toEqual([
    "json",
    '{"total":7,"at":"1970-01-01T00:00:00.000Z"}',
  ]);
});

const cycle: { self?: unknown } = {};
cycle.self = cycle;

test.each<[string, unknown]>([
  ["undefined", undefined],
  ["a function", () => 1],
  ["a symbol", Symbol("x")],
  ["a bigint", 1n],
  ["a bigint within", { a: [1n] }],
  ["a cycle", cycle],
])("json – %s is refused", (_, value) => {
  expect(() => json().encode(value)).toThrow(InvalidArgumentError);
  expect(() => json().encode(value)).toThrow(/^data must be a value that JSON can hold, got /);
});

test.each<[string, unknown]>([
  [
    "a Map and a Set",
    new Map<unknown, unknown>([
      ["a", new Set([1])],
      [{ k: 1 }, null],
    ]),
  ],
  ["a Date", new Date(5)],
  ["a bigint", 2n ** 80n],
  ["undefined", undefined],
  ["typed arrays", { a: new Float64Array([0.5, Number.NaN]), b: new Uint8Array([1, 2]) }],
  ["a regular expression", /x/giu],
])("structured – %s, there and back", (_, value) => {
  expect(roundTrip(structured(), value)).toStrictEqual(value);
});

test("structured – a cycle, there and back", () => {
  const back = roundTrip(structured<typeof cycle>(), cycle);
  expect(back.self).toBe(back);
});

test.each<[string, unknown]>([
  ["a function", () => 1],
  ["a function within", { a: () => 1 }],
  ["a symbol", Symbol("x")],
  ["a WeakMap", new WeakMap()],
])("structured – %s is refused", (_, value) => {
  expect(() => structured().encode(value)).toThrow(InvalidArgumentError);
  expect(() => structured().encode(value)).toThrow(/^data must be a value that can be cloned, got /);
});

test.each<[string, Codec<unknown, never>, RawField[], string]>([
  ["json without its field", json(), stored(["a", "1"]), 'there is no field "json"'],
  ["json that is none", json(), stored(["json", "{"]), "JSON"],
  ["structured without its field", structured(), stored(["json", "1"]), 'there is no field "v8"'],
  ["structured that is none", structured(), stored(["v8", "hello"]), ""],
])("Payload.decode – %s is refused as an issue", (_, codec, fields, message) => {
  const payload = new Payload(codec as Codec<unknown, unknown>);
  expect(() => payload.decode(fields)).toThrow(
    expect.objectContaining({ issues: [{ message: expect.stringContaining(message) }] }),
  );
});

test("onlyField – the last of that name", () => {
  expect(onlyField(stored(["a", "1", "json", "2", "json", "3"]), "json").toString()).toBe("3");
});

test("setOwn – an own property, whatever its name", () => {
  const record: Record<string, number> = {};
  for (const name of ["a", "__proto__", "constructor"]) setOwn(record, name, 1);
  setOwn(record, "__proto__", 2);
  expect(Object.entries(record)).toEqual([
    ["a", 1],
    ["__proto__", 2],
    ["constructor", 1],
  ]);
});

const anything: Codec<unknown, (string | Uint8Array)[]> = {
  name: "anything",
  encode: (value) => value,
  decode: () => null,
};

test("Payload.encode – no field at all is refused", () => {
  expect(() => new Payload(anything as never).encode([])).toThrow(
    "data must be at least one field, got an array of 0",
  );
  expect(() => new Payload(pairs as never).encode([])).toThrow("data must be at least one field");
});

test.each<[string, Codec<unknown, never>, unknown]>([
  ["text", text, { a: "1", "@headers": "{}" }],
  ["bytes", bytes, { "@headers": Buffer.from("{}") }],
  [
    "pairs",
    pairs,
    [
      { name: "a", value: "1" },
      { name: "@headers", value: "{}" },
    ],
  ],
  ["one's own", anything as never, ["a", "1", "@headers", "{}"]],
])("Payload.encode – the reserved field is refused, codec %s", (_, codec, value) => {
  const encode = () => new Payload(codec as Codec<unknown, unknown>).encode(value);
  expect(encode).toThrow(InvalidArgumentError);
  expect(encode).toThrow(/^data\["@headers"\] must be another name: this one is reserved/);
});

test("Payload.encode – @headers as a value is a value", () => {
  expect(new Payload().encode({ a: "@headers" })).toEqual(["a", "@headers"]);
});

test.each<[string, unknown]>([
  ["null", null],
  ["a name", "text"],
  ["no decode", { name: "x", encode: () => [] }],
  ["no encode", { name: "x", decode: () => null }],
])("Payload – a codec that is %s is refused", (_, codec) => {
  expect(() => new Payload(codec as never)).toThrow(/^codec must be an object with encode and decode/);
});

test("Payload.isPlainText – only for the text codec without a schema", () => {
  expect(new Payload().isPlainText).toBe(true);
  expect(new Payload(text as never).isPlainText).toBe(true);
  expect(new Payload({ ...text } as never).isPlainText).toBe(false);
});
