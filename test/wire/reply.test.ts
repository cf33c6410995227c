import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { bytes, pairs } from "../../src/wire/codec.ts";
import { type Page, PageDecoder } from "../../src/wire/page.ts";
import { EntriesDecoder, IdsDecoder, StreamsDecoder } from "../../src/wire/reply.ts";
import { type Decoder, ErrorReply, Inbox, SequenceDecoder } from "../../src/wire/resp.ts";
import { ids } from "../containers/harness.ts";
import { entries, everyCut, feed, line, list, page, type Read, reply, type Shape } from "./feed.ts";

const entry = (id: string, ...fields: (string | Uint8Array)[]): Shape => [id, fields];
const read = (id: string, data: unknown, headers = {}): Read => ({ id, data, headers });
const own = (json: string): unknown => JSON.parse(json);

/** Decodes XREAD: each stream's key and messages. */
function streams(): Decoder<[string, Read[]][] | ErrorReply> {
  const decoder = new StreamsDecoder((key) => list(key));
  return {
    decode: (inbox) => decoder.decode(inbox),
    result() {
      const result = decoder.result();
      if (result instanceof ErrorReply) return result;
      return result.map((one) => [one.stream, one.messages() as Read[]]);
    },
  };
}

function expectAtEveryCut(make: () => Decoder<unknown>, shape: Shape | Buffer, expected: unknown): void {
  const whole = Buffer.isBuffer(shape) ? shape : reply(shape as Shape);
  for (const cuts of everyCut(whole.length)) {
    const result = feed(make(), whole, cuts);
    // Thousands pass: only the one that does not is worth the slow comparison.
    if (!isDeepStrictEqual(result, expected))
      expect(result, `cut at ${cuts.join(", ")}`).toStrictEqual(expected);
  }
}

const OWN_PROTO = own('{"__proto__":"x","constructor":"y"}');
const CRLF = "\r\n*1\r\n$3\r\n1-1\r\n";
const MANY = Array.from({ length: 80 }, (_, i) => `${i}`);
test.each<[string, Shape, unknown]>([
  ["no entries", [], []],
  ["null for the list", null, []],
  ["one entry", [entry("1-1", "temp", "7.1")], [read("1-1", { temp: "7.1" })]],
  [
    "entries with the same names",
    [entry("1-1", "a", "1", "b", "2"), entry("1-2", "a", "3", "b", "4")],
    [read("1-1", { a: "1", b: "2" }), read("1-2", { a: "3", b: "4" })],
  ],
  [
    "names that change between entries, of one length too",
    [entry("1-1", "ab", "1"), entry("1-2", "ac", "2"), entry("1-3", "b", "3"), entry("1-4", "ab", "4")],
    [read("1-1", { ab: "1" }), read("1-2", { ac: "2" }), read("1-3", { b: "3" }), read("1-4", { ab: "4" })],
  ],
  ["no fields", [entry("1-1")], [read("1-1", {})]],
  ["an empty name and an empty value", [entry("1-1", "", "")], [read("1-1", { "": "" })]],
  ["a field twice", [entry("1-1", "a", "1", "a", "2")], [read("1-1", { a: "2" })]],
  ["not ASCII", [entry("1-1", "größe", "七度 🦭\u{feff}")], [read("1-1", { größe: "七度 🦭\u{feff}" })]],
  ["line ends and frames in a value", [entry("1-1", CRLF, CRLF)], [read("1-1", { [CRLF]: CRLF })]],
  [
    "__proto__ and constructor",
    [entry("1-1", "__proto__", "x", "constructor", "y")],
    [read("1-1", OWN_PROTO)],
  ],
  [
    "headers",
    [entry("1-1", "a", "1", "@headers", '{"region":"eu"}'), entry("1-2", "a", "2")],
    [read("1-1", { a: "1" }, { region: "eu" }), read("1-2", { a: "2" })],
  ],
  ["headers first", [entry("1-1", "@headers", "{}", "a", "1")], [read("1-1", { a: "1" })]],
  ["a deleted entry that is pending", [["1-1", null], entry("1-2", "a", "1")], [read("1-2", { a: "1" })]],
  [
    "more names than are remembered",
    [entry("1-1", ...MANY), entry("1-2", ...MANY)],
    ["1-1", "1-2"].map((id) =>
      read(id, Object.fromEntries(MANY.flatMap((name, i) => (i % 2 ? [] : [[name, MANY[i + 1]]])))),
    ),
  ],
  ["an error", line("-NOGROUP No such key 's'"), new ErrorReply("NOGROUP No such key 's'")],
])("EntriesDecoder.decode – %s, cut everywhere", (_, shape, expected) => {
  expectAtEveryCut(() => entries(), shape, expected);
  expectAtEveryCut(() => page(), shape, expected);
  if (Array.isArray(expected)) expectAtEveryCut(() => entries(pairs as never), shape, asPairs(shape));
});

/** What the `pairs` codec reads of the same reply: nothing lost, by the slow path. */
function asPairs(shape: Shape): unknown[] {
  return ((shape ?? []) as [string, string[] | null][]).flatMap(([id, fields]) => {
    if (fields === null) return [];
    const all = fields.flatMap((name, i) => (i % 2 ? [] : [{ name, value: fields[i + 1]! }]));
    const headers = all.find(({ name }) => name === "@headers")?.value ?? "{}";
    const data = all.filter(({ name }) => name !== "@headers");
    return [read(id, data, own(headers) as object)];
  });
}

test("EntriesDecoder.decode – binary values, cut everywhere", () => {
  const value = Buffer.from([0, 255, 13, 10, 36, 49, 13, 10, 128, 42, 45]);
  const shape = [entry("1-1", "b", value, "empty", ""), entry("1-2", "b", value)];
  const expected = [read("1-1", { b: value, empty: Buffer.alloc(0) }), read("1-2", { b: value })];
  expectAtEveryCut(() => entries(bytes as never), shape, expected);
});

test("EntriesDecoder.decode – a field named __proto__ is data in every codec", () => {
  const shape = reply([entry("1-1", "__proto__", "x", "a", "1")]);
  for (const codec of [undefined, bytes]) {
    const [message] = feed(entries(codec as never), shape) as Read[];
    const data = message!.data as Record<string, unknown>;
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    expect(Object.keys(data)).toEqual(["__proto__", "a"]);
    expect(Object.values(data).map(String)).toEqual(["x", "1"]);
  }
});

test.each([undefined, bytes])(
  "EntriesDecoder.decode – the list counts all that came, refused and deleted ones too",
  (codec) => {
    const target = list("s", codec as never);
    const shape = [entry("1-1", "a", "1"), entry("1-2", "@headers", "bad"), ["1-3", null]];
    expect(feed(new EntriesDecoder(target), reply(shape))).toBe(target);
    expect([target.count, target.lastId]).toEqual([3, "1-3"]);
  },
);

test("EntriesDecoder.decode – bad headers: the error has the bytes as they are stored", () => {
  const target = list();
  const value = Buffer.from([0xff, 0xfe]);
  const whole = reply([entry("1-1", "b", value, "@headers", "nonsense"), entry("1-2", "a", "1")]);
  for (let cut = 1; cut < whole.length; cut++) {
    const decoder = new EntriesDecoder(list());
    feed(decoder, whole, [cut]);
    expect(() => (decoder.result() as typeof target).messages()).toThrow(
      expect.objectContaining({
        code: "DECODE",
        id: "1-1",
        stream: "s",
        fields: { b: value, "@headers": Buffer.from("nonsense") },
        decoded: [read("1-2", { a: "1" })],
      }),
    );
  }
});

test("EntriesDecoder.decode – random entries, random cuts", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.constantFrom("\r\n", "__proto__", "7"),
  );
  const fields = fc.array(fc.tuple(text, text), { maxLength: 5 });
  const shapes = fc.array(fc.tuple(fc.stringMatching(/^\d{1,13}-\d{1,3}$/), fields), { maxLength: 6 });
  const places = fc.array(fc.nat(1000), { maxLength: 12 });
  fc.assert(
    fc.property(shapes, places, (shape, cutAt) => {
      const whole = reply(shape.map(([id, all]) => entry(id, ...all.flat())));
      const cuts = [...new Set(cutAt)].filter((at) => at < whole.length).sort((a, b) => a - b);
      const expected = shape.map(([id, all]) => {
        const data = {};
        for (const [name, value] of all)
          Object.defineProperty(data, name, { value, enumerable: true, configurable: true, writable: true });
        return read(id, data);
      });
      expect(feed(entries(), whole, cuts)).toStrictEqual(expected);
      const inOrder = shape.map(([id, all]) =>
        read(
          id,
          all.map(([name, value]) => ({ name, value })),
        ),
      );
      expect(feed(entries(pairs as never), whole, cuts)).toStrictEqual(inOrder);
    }),
    { numRuns: 150 },
  );
});

test.each<[string, Shape, unknown]>([
  ["null: nothing came", null, []],
  ["no streams", [], []],
  ["one stream", [["s1", [entry("1-1", "a", "1")]]], [["s1", [read("1-1", { a: "1" })]]]],
  [
    "two streams, one of them without entries",
    [
      ["s1", [entry("1-1", "a", "1"), entry("1-2", "b", "2")]],
      ["größe:\r\n", []],
    ],
    [
      ["s1", [read("1-1", { a: "1" }), read("1-2", { b: "2" })]],
      ["größe:\r\n", []],
    ],
  ],
  [
    "deleted entries that are pending",
    [
      ["s1", [["1-1", null], entry("1-2", "a", "1"), ["1-3", null]]],
      ["s2", [["2-1", null]]],
    ],
    [
      ["s1", [read("1-2", { a: "1" })]],
      ["s2", []],
    ],
  ],
  ["an error", line("-NOGROUP x"), new ErrorReply("NOGROUP x")],
])("StreamsDecoder.decode – %s, cut everywhere", (_, shape, expected) => {
  expectAtEveryCut(streams, shape, expected);
});

test.each([10, 1000])(
  "PageDecoder.decode – what comes behind a page of values of %d bytes is left",
  (size) => {
    const held = new Inbox();
    held.push(Buffer.from("*2\r\n*2")); // Of a reply that was cut off.
    const shape = ids(2000).map((id) => entry(id, "a", "x".repeat(size)));
    const inbox = new Inbox();
    const decoder = new PageDecoder(list(), 2000, held);
    const bytes = Buffer.concat([reply(shape), Buffer.from("+OK\r\n")]);
    for (let at = 0; at < bytes.length; at += 65_536) {
      inbox.push(bytes.subarray(at, at + 65_536));
      expect(decoder.decode(inbox)).toBe(at + 65_536 >= bytes.length);
    }
    expect(inbox.size).toBe("+OK\r\n".length);
    const page = decoder.result() as Page<unknown, Read>;
    expect([page.count, page.lastId]).toEqual([2000, "2000-0"]);
    expect((page.list().messages() as Read[]).map(({ id }) => id)).toEqual(ids(2000));
  },
);

test("IdsDecoder.decode – ids, nulls and errors, cut everywhere", () => {
  const whole = Buffer.concat(
    ["1514872800000-0", line("$-1"), line("-ERR The ID specified in XADD é"), "1-1", line("-OOM")].map(reply),
  );
  const expected = [
    "1514872800000-0",
    null,
    new ErrorReply("ERR The ID specified in XADD é"),
    "1-1",
    new ErrorReply("OOM"),
  ];
  expectAtEveryCut(() => new IdsDecoder(5), whole, expected);
});

test("IdsDecoder.decode – no replies are complete at once", () => {
  expect(feed(new IdsDecoder(0), Buffer.alloc(0))).toEqual([]);
});

test("SequenceDecoder.decode – each reply by its own decoder, cut everywhere", () => {
  const whole = Buffer.concat([reply([entry("1-1", "a", "1")]), reply([]), reply([entry("1-2", "b", "2")])]);
  const expected = [[read("1-1", { a: "1" })], [], [read("1-2", { b: "2" })]];
  expectAtEveryCut(() => new SequenceDecoder([entries(), entries(), entries()]), whole, expected);
});

test("SequenceDecoder.decode – several replies into one list", () => {
  const target = list();
  const whole = Buffer.concat([reply([entry("1-1", "a", "1")]), reply([]), reply([entry("1-2", "b", "2")])]);
  feed(new SequenceDecoder([1, 2, 3].map(() => new EntriesDecoder(target))), whole, [5, 9, 40]);
  expect(target.messages()).toEqual([read("1-1", { a: "1" }), read("1-2", { b: "2" })]);
});
