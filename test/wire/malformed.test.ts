import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { ProtocolError } from "../../src/ground/errors.ts";
import { bytes as bytesCodec } from "../../src/wire/codec.ts";
import { IdsDecoder, StreamsDecoder } from "../../src/wire/reply.ts";
import { type Decoder, Inbox } from "../../src/wire/resp.ts";
import { ValuesDecoder } from "../../src/wire/values.ts";
import { runtime } from "../runtimes/program.ts";
import { entries, feed, line, list, page, protocol, reply, type Shape, WAITS } from "./feed.ts";

afterEach(() => vi.restoreAllMocks());

const streams = (): Decoder<unknown> => new StreamsDecoder((key) => list(key));
const ids = (): Decoder<unknown> => new IdsDecoder(1);
const values = (): Decoder<unknown> => new ValuesDecoder(1);
const raw = (): Decoder<unknown> => entries(bytesCodec as never);

const DECODERS = { entries, raw, page, streams, ids, values };

/** What comes of it: a result, `WAITS`, or the error's class. */
function outcome(make: () => Decoder<unknown>, bytes: Buffer, cuts: readonly number[] = []): unknown {
  try {
    const result = feed(make(), bytes, cuts);
    return result === WAITS ? WAITS : { result };
  } catch (error) {
    return (error as Error).constructor;
  }
}

const FIELDS: Shape = ["a", "1"];
const REST = "*2\r\n$1\r\na\r\n$1\r\n1\r\n";

test.each<[string, () => Decoder<unknown>, Shape, string]>([
  ["a simple string for the list", entries, protocol("+OK\r\n"), '"+" where that cannot be'],
  ["a bulk for the list", entries, "hello", '"$" where that cannot be'],
  ["an integer for the list", entries, 5, '":" where that cannot be'],
  ["a type of RESP3", entries, protocol("%1\r\n"), '"%" where that cannot be'],
  ["no protocol at all", entries, protocol("HTTP/1.1 400 Bad Request\r\n"), '"H" where that cannot be'],
  ["an entry that is a bulk", entries, ["x"], '"$" where that cannot be'],
  ["an entry that is null", entries, [null], "an entry of -1 parts"],
  ["an entry of 1 part", entries, [["1-1"]], "an entry of 1 parts"],
  ["an entry of 3 parts", entries, [["1-1", FIELDS, "x"]], "an entry of 3 parts"],
  ["an id that is null", entries, [[line("$-1"), FIELDS]], "null where a text must be"],
  ["an id that is an integer", entries, [[5, FIELDS]], '":" where that cannot be'],
  ["an id that is an array", entries, [[["1-1"], FIELDS]], '"*" where that cannot be'],
  ["fields that are a bulk", entries, [["1-1", "a"]], '"$" where that cannot be'],
  [
    "an odd number of names and values",
    entries,
    [["1-1", ["a", "1", "b"]]],
    "an entry of 3 names and values",
  ],
  ["a name that is null", entries, [["1-1", [line("$-1"), "1"]]], "null where a text must be"],
  ["a value that is null", entries, [["1-1", ["a", line("$-1")]]], "null where a text must be"],
  ["a value that is an integer", entries, [["1-1", ["a", 1]]], '":" where that cannot be'],
  ["a value that is an array", entries, [["1-1", ["a", []]]], '"*" where that cannot be'],
  ["a value that is an error", entries, [["1-1", ["a", line("-ERR")]]], '"-" where that cannot be'],
  [
    "a bulk without its line end",
    entries,
    protocol(`*1\r\n*2\r\n$3\r\n1-1xx${REST}`),
    "a bulk without its line end",
  ],
  [
    "a bulk that is longer than said",
    entries,
    protocol(`*1\r\n*2\r\n$2\r\n1-1\r\n${REST}`),
    "a bulk without its line end",
  ],
  ["a line end of one byte", entries, protocol("*1\n*2\n$3\n1-1\n"), "a length with byte 10 in it"],
  ["a carriage return alone", entries, protocol("*1\r*2\r\n"), "a malformed length"],
  ["a negative length", entries, protocol("*-2\r\n"), "a negative length"],
  ["a negative bulk", values, protocol("$-3\r\n"), "a negative length"],
  ["a null that runs on", values, protocol("$-1x\r\n"), "a negative length"],
  ["no length", values, protocol("$\r\n\r\n"), "a malformed length"],
  ["a length that is no number", values, protocol("$1x\r\n"), "a length with byte 120 in it"],
  ["a length with a sign", values, protocol("*+1\r\n"), "a length with byte 43 in it"],
  ["a bulk beyond 512 MB", values, protocol("$536870913\r\n"), "an absurd length, 536870913"],
  ["an array beyond 2^31-1", entries, protocol("*2147483648\r\n"), "an absurd length, 2147483648"],
  ["a length of many digits", entries, protocol(`*${"9".repeat(400)}\r\n`), "an absurd length"],
  ["a length of many zeros", entries, protocol(`*${"0".repeat(11)}\r\n`), "an absurd length"],
  ["an overlong error", entries, protocol(`-ERR ${"x".repeat(65_536)}\r\n`), "an endless line"],
  ["an overlong line", values, protocol(`+${"x".repeat(65_536)}\r\n`), "an endless line"],
  ["a line with a carriage return alone", values, protocol("+O\rK\r\n"), "a malformed line"],
  ["an integer that is none", values, protocol(":banana\r\n"), "a malformed number"],
  ["an empty integer", values, protocol(":\r\n"), "a malformed number"],
  ["an integer with a fraction", values, protocol(":1.5\r\n"), "a malformed number"],
  ["a value of RESP3", values, protocol("_\r\n"), '"_" where that cannot be'],
  ["nesting of 40 levels", values, protocol(`${"*1\r\n".repeat(40)}$1\r\nx\r\n`), "nested deeper than 32"],
  [
    "nesting of 100,000 levels",
    values,
    protocol(`${"*1\r\n".repeat(100_000)}$1\r\nx\r\n`),
    "nested deeper than 32",
  ],
  ["streams that are a map", streams, protocol("%1\r\n"), '"%" where that cannot be'],
  ["a stream of 1 part", streams, [["s"]], "a stream of 1 parts"],
  ["a stream of 3 parts", streams, [["s", [], []]], "a stream of 3 parts"],
  ["a stream that is null", streams, [null], "a stream of -1 parts"],
  ["a key that is null", streams, [[line("$-1"), []]], "null where a text must be"],
  ["entries that are a bulk", streams, [["s", "x"]], '"$" where that cannot be'],
  [
    "entries that are an error",
    streams,
    [["s", line("-ERR x")]],
    "an error where a stream's entries must be",
  ],
  ["an entry of 3 parts in a stream", streams, [["s", [["1-1", FIELDS, "x"]]]], "an entry of 3 parts"],
  ["an id reply that is an array", ids, ["1-1"], '"*" where that cannot be'],
  ["an id reply that is a simple string", ids, protocol("+QUEUED\r\n"), '"+" where that cannot be'],
  ["an id reply that is an integer", ids, 5, '":" where that cannot be'],
])("ProtocolError – %s, cut everywhere", (_, make, shape, text) => {
  const whole = reply(shape);
  expect(() => feed(make(), whole)).toThrow(ProtocolError);
  expect(() => feed(make(), whole)).toThrow(text);
  if (whole.length < 300)
    for (let cut = 1; cut < whole.length; cut++) expect(outcome(make, whole, [cut])).toBe(ProtocolError);
  if (whole.length < 100_000) {
    // What is kept is copied at each cut: half a minute on Deno for 64 KiB, so there not at every byte of the middle.
    const isEnd = (at: number): boolean => at < 1000 || at > whole.length - 1000;
    const everywhere = Array.from({ length: whole.length - 1 }, (_, i) => i + 1).filter(
      (at) => runtime !== "deno" || isEnd(at) || at % 16 === 0,
    );
    expect(outcome(make, whole, everywhere)).toBe(ProtocolError);
  }
});

test.each<[string, () => Decoder<unknown>, string]>([
  ["as many entries as can be", entries, "*2147483647\r\n"],
  ["as many fields as can be", entries, "*1\r\n*2\r\n$3\r\n1-1\r\n*268435456\r\n$1\r\na\r\n"],
  ["as many streams as can be", streams, "*2147483647\r\n*2\r\n$1\r\ns\r\n*2147483647\r\n"],
  ["as long a value as can be", entries, "*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$536870912\r\nx"],
  ["as long an id as can be", ids, "$41\r\n1-1"],
  ["as many values as can be", values, "*2147483647\r\n*2147483647\r\n$536870912\r\n"],
])("Decoder.decode – announced and not sent, %s: waits and allocates nothing for it", (_, make, text) => {
  const allocations = [vi.spyOn(Buffer, "allocUnsafeSlow"), vi.spyOn(Buffer, "alloc")];
  const arrays = process.memoryUsage().heapUsed;
  for (let cut = 1; cut < text.length; cut++)
    expect(outcome(make, Buffer.from(text), [cut, Math.min(cut + 3, text.length)])).toBe(WAITS);
  const sizes = allocations.flatMap((spy) => spy.mock.calls.map(([size]) => size as number));
  expect(Math.max(...sizes)).toBeLessThan(1024 * 1024); // the buffer it begins with, whatever was announced
  expect(process.memoryUsage().heapUsed - arrays).toBeLessThan(64 * 1024 * 1024);
});

test.each(["-", "+", ":"])("Inbox.line – %s without an end is refused, not kept", (type) => {
  const inbox = new Inbox();
  inbox.push(Buffer.from(type));
  const chunk = Buffer.alloc(1024, "x");
  const deliver = () => {
    for (let i = 0; i < 100; i++) {
      inbox.push(chunk);
      if (inbox.line() !== null) return;
    }
  };
  expect(deliver).toThrow("an endless line");
  expect(inbox.size).toBeLessThan(70 * 1024);
});

test("Inbox.line – the longest line, cut at its end", () => {
  const longest = reply(line(`+${"x".repeat(65_535)}`));
  for (const cuts of [[], [1], [longest.length - 2], [longest.length - 1]])
    expect(outcome(values, longest, cuts)).toEqual({ result: ["x".repeat(65_535)] });
});

const SAMPLES: readonly [keyof typeof DECODERS, Shape][] = [
  [
    "entries",
    [
      ["1-1", ["a", "1", "@headers", "{}"]],
      ["1-2", null],
      ["1-3", ["b", "é"]],
    ],
  ],
  [
    "raw",
    [
      ["1-1", ["a", "1"]],
      ["1-2", ["b", "2"]],
    ],
  ],
  [
    "streams",
    [
      ["s1", [["1-1", ["a", "1"]]]],
      ["s2", []],
    ],
  ],
  ["ids", "1-1"],
  ["values", ["a", 1, [line("+OK"), line("-ERR"), null]]],
];

/** Random bytes that look like protocol, and real replies with random damage. */
const hostile: fc.Arbitrary<[keyof typeof DECODERS, Buffer]> = fc.oneof(
  fc.tuple(
    fc.constantFrom(...(Object.keys(DECODERS) as (keyof typeof DECODERS)[])),
    fc
      .array(
        fc.oneof(
          fc.constantFrom(
            "*",
            "$",
            ":",
            "+",
            "-",
            "\r\n",
            "\r",
            "\n",
            "0",
            "1",
            "2",
            "-1",
            "*1\r\n",
            "*2\r\n",
          ),
          fc.constantFrom("$1\r\na\r\n", "$3\r\n1-1\r\n", "9999999999", "_", "%", "é"),
          fc.string({ unit: "binary", maxLength: 3 }),
        ),
        { maxLength: 14 },
      )
      .map((parts) => Buffer.from(parts.join(""))),
  ),
  fc
    .tuple(
      fc.constantFrom(...SAMPLES),
      fc.array(fc.tuple(fc.nat(200), fc.nat(2), fc.nat(255)), { maxLength: 3 }),
    )
    .map(([[name, shape], damage]) => {
      const bytes = [...reply(shape)];
      for (const [at, kind, byte] of damage) {
        const place = at % bytes.length;
        if (kind === 0) bytes.splice(place, 1);
        else bytes.splice(place, kind - 1, byte);
      }
      return [name, Buffer.from(bytes)] as [keyof typeof DECODERS, Buffer];
    }),
);

test("Decoder.decode – random bytes: a result, a wait or a ProtocolError, and never another result when cut", () => {
  const seen = new Set<unknown>();
  fc.assert(
    fc.property(hostile, fc.array(fc.nat(200), { maxLength: 8 }), ([name, bytes], cutAt) => {
      const make = DECODERS[name];
      const cuts = [...new Set(cutAt)].filter((at) => at < bytes.length).sort((a, b) => a - b);
      const whole = outcomeOf(make, bytes, []);
      const cut = outcomeOf(make, bytes, cuts);
      seen.add(typeof whole === "object" ? "a result" : whole);
      // A cut may hide for a while that an entry is wrong: it waits for the entry's end before it reads it.
      if (whole === ProtocolError && cut === WAITS) return;
      if (!isDeepStrictEqual(cut, whole)) expect(cut).toEqual(whole);
    }),
    { numRuns: 2000 },
  );
  expect(seen).toEqual(new Set(["a result", WAITS, ProtocolError]));
});

/** As {@link outcome}; a reply that is complete before the bytes end is a result too. */
function outcomeOf(make: () => Decoder<unknown>, bytes: Buffer, cuts: readonly number[]): unknown {
  const inbox = new Inbox();
  const decoder = make();
  let from = 0;
  try {
    for (const to of [...cuts, bytes.length]) {
      inbox.push(Buffer.from(bytes.subarray(from, to)));
      if (decoder.decode(inbox)) return { left: bytes.length - to + inbox.size, result: settled(decoder) };
      from = to;
    }
    return WAITS;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return ProtocolError;
  }
}

/** The result, or what a list of it refuses: bad headers are no matter of the protocol. */
function settled(decoder: Decoder<unknown>): unknown {
  try {
    return decoder.result();
  } catch (error) {
    return String(error);
  }
}
