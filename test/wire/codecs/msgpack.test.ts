import { expect, test } from "vitest";
import { InvalidArgumentError } from "../../../src/index.ts";
import { Payload } from "../../../src/wire/codec.ts";
import { msgpack } from "../../../src/wire/codecs/msgpack.ts";

const codec = msgpack();

/** A value through the codec and back; the bytes are overwritten afterwards, as the connection's are. */
function roundTrip(value: unknown): unknown {
  const value_ = Buffer.from(codec.encode(value)[1] as Uint8Array);
  const back = codec.decode([{ name: "msgpack", value: value_ }]);
  value_.fill(0xee);
  return back;
}

test.each<[string, unknown]>([
  ["an object", { total: 7, at: [0.5, -1, true, null], name: "ü🦭" }],
  ["a Date", new Date(1_514_872_800_000)],
  ["bytes", { body: Buffer.from([0, 255, 1]) }],
  ["many bytes", { body: Buffer.alloc(5000, 7) }],
  ["a bigint", 2n ** 63n],
  ["null", null],
  ["a text", "x"],
  ["an empty object", {}],
])("msgpack – %s, there and back", (_, value) => {
  expect(roundTrip(value)).toStrictEqual(value);
});

test("msgpack – a value is MessagePack in the one field msgpack", () => {
  expect(codec.encode([1])).toEqual(["msgpack", Buffer.from([0x91, 1])]);
});

test("msgpack – values in a row do not share their bytes", () => {
  const fields = [1, 2, 3].map((n) => codec.encode({ n }));
  expect(fields.map((flat) => codec.decode([{ name: "msgpack", value: flat[1] as Buffer }]))).toEqual([
    { n: 1 },
    { n: 2 },
    { n: 3 },
  ]);
});

test("msgpack – a key __proto__ never is a prototype", () => {
  const back = roundTrip(JSON.parse('{"__proto__":{"isAdmin":true},"a":1}')) as Record<string, unknown>;
  expect(Object.getPrototypeOf(back)).toBe(Object.prototype);
  expect(back["isAdmin"]).toBeUndefined();
  expect(back["a"]).toBe(1);
});

const cycle: { self?: unknown } = {};
cycle.self = cycle;

test.each<[string, unknown]>([
  ["a function", () => 1],
  ["a function within", { total: () => 1 }],
  ["a symbol", Symbol("x")],
  ["a bigint beyond 64 bits", 2n ** 64n],
  ["a cycle", cycle],
])("msgpack – %s is refused, and the next value is none the worse", (_, value) => {
  expect(() => codec.encode(value)).toThrow(InvalidArgumentError);
  expect(() => codec.encode(value)).toThrow(/^data must be a value that MessagePack can hold, got /);
  expect(roundTrip({ total: 7 })).toEqual({ total: 7 });
});

test.each<[string, string, Buffer, string]>([
  ["without its field", "json", Buffer.from("1"), 'there is no field "msgpack"'],
  ["cut", "msgpack", Buffer.from([0x92, 1]), ""],
  ["that runs on", "msgpack", Buffer.from([1, 1]), ""],
  ["empty", "msgpack", Buffer.alloc(0), ""],
])("msgpack – an entry %s is refused", (_, name, value, message) => {
  const payload = new Payload<unknown, never>(codec as never);
  expect(() => payload.decode([{ name, value }])).toThrow(
    expect.objectContaining({ issues: [{ message: expect.stringContaining(message) }] }),
  );
});
