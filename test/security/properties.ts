import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { InvalidArgumentError, ProtocolError } from "../../src/ground/errors.ts";
import { bytes as bytesCodec, json } from "../../src/wire/codec.ts";
import {
  compareIds,
  type IdPosition,
  nextId,
  orderOf,
  parseId,
  previousId,
  toId,
} from "../../src/wire/id.ts";
import type { Message } from "../../src/wire/message.ts";
import { MessageList } from "../../src/wire/message-list.ts";
import { EntriesDecoder, IdsDecoder, StreamsDecoder } from "../../src/wire/reply.ts";
import { type Decoder, ErrorReply, Inbox, SequenceDecoder } from "../../src/wire/resp.ts";
import { ValuesDecoder } from "../../src/wire/values.ts";
import { heldPage, list, reply, type Shape } from "../wire/feed.ts";

/** The largest entry of the mutated replies, and what a decoder may hold of one. */
const LIMIT = 64 * 1024;
/** An inbox's first buffer, and twice what waits: an entry, its limit's excess, and a chunk. */
const MOST_HELD = 128 * 1024 + 2 * 4 * (LIMIT + 1024);
/** No reply of these sizes takes so long, in milliseconds; a decoder that spins takes for ever. */
const MOST_TIME = 2000;

const name = fc.oneof(
  fc.string({ unit: "binary", maxLength: 12 }),
  fc.constantFrom("__proto__", "constructor", "@headers", "@dead", "json", "", "a\r\n$1\r\n", "\0"),
);
const value = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.constantFrom("{}", '{"a":1}', "[]", "7", "null", "*2\r\n", "x".repeat(5000), "é".repeat(3000)),
);
const id = fc.tuple(fc.nat(), fc.nat()).map(([ms, sequence]) => `${ms}-${sequence}`);
const fieldList = fc.array(fc.tuple(name, value), { maxLength: 6 }).map((pairs) => pairs.flat());
const entry: fc.Arbitrary<Shape> = fc.tuple(id, fc.option(fieldList, { freq: 8 })) as fc.Arbitrary<Shape>;
const entryList = fc.array(entry, { maxLength: 8 });
const streamList = fc.array(fc.tuple(name, entryList) as fc.Arbitrary<Shape>, { maxLength: 4 });
const { tree } = fc.letrec<{ tree: Shape }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    fc.oneof(value, fc.integer(), fc.constant(null)),
    fc.array(tie("tree"), { maxLength: 5 }),
  ),
}));
const cuts = fc.array(fc.nat(), { maxLength: 12 });

/** Each kind of reply with what decodes it. */
const KINDS: Readonly<Record<string, { shape: fc.Arbitrary<Shape>; decoder: () => Decoder<unknown> }>> = {
  values: { shape: tree, decoder: () => new ValuesDecoder(1) },
  texts: { shape: entryList, decoder: () => new EntriesDecoder(list()) },
  bytes: { shape: entryList, decoder: () => new EntriesDecoder(list("s", bytesCodec as never)) },
  json: { shape: entryList, decoder: () => new EntriesDecoder(list("s", json() as never)) },
  page: { shape: entryList, decoder: () => heldPage(list(), new Inbox(LIMIT)) },
  streams: { shape: streamList, decoder: () => new StreamsDecoder((key) => list(key)) },
  ids: { shape: id, decoder: () => new IdsDecoder(1) },
  sequence: {
    shape: entryList,
    decoder: () => new SequenceDecoder([new EntriesDecoder(list(), 8)] as Decoder<unknown>[]),
  },
};
const kind = fc.constantFrom(...Object.keys(KINDS));

/** Feed bytes in chunks, each with memory of its own; what came of it, and the most that was held meanwhile. */
function run(decoder: Decoder<unknown>, all: Buffer, at: readonly number[], inbox = new Inbox()) {
  const ends = [...new Set([...at.map((cut) => cut % (all.length + 1)), all.length])].sort((a, b) => a - b);
  const start = performance.now();
  let from = 0;
  let held = 0;
  let isDone = false;
  for (const to of ends) {
    if (to === from) continue;
    inbox.push(Buffer.from(all.subarray(from, to)));
    isDone = decoder.decode(inbox);
    held = Math.max(held, inbox.bytes.length - (to - from));
    from = to;
    if (isDone) break;
  }
  if (performance.now() - start > MOST_TIME) throw new Error("it took too long");
  return {
    isDone,
    left: all.length - from + inbox.size,
    held,
    plain: isDone ? plain(decoder.result()) : null,
  };
}

/** A result as plain values: lists as their messages or what they refuse. */
function plain(result: unknown): unknown {
  if (Array.isArray(result)) return result.map(plain);
  if (result instanceof ErrorReply) return { error: result.text };
  if (!(result instanceof MessageList)) return result;
  const outcomes = result.outcomes() as (Message<unknown> | Error)[];
  return outcomes.map((one) =>
    one instanceof Error ? String(one) : { ...one, headers: { ...one.headers } },
  );
}

/** What a tree decodes to: the model of the decoder. */
function modelOf(shape: Shape): unknown {
  if (Array.isArray(shape)) return shape.map(modelOf);
  return typeof shape === "string" ? Buffer.from(shape).toString() : shape;
}

function expectEqual(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected))
    throw new Error(`got ${JSON.stringify(actual)}, not ${JSON.stringify(expected)}`);
}

const whole = fc.property(
  kind.chain((of) => fc.tuple(fc.constant(of), KINDS[of]!.shape)),
  cuts,
  ([of, shape], at) => {
    const all = reply(shape);
    const { decoder } = KINDS[of]!;
    const once = run(decoder(), all, []);
    if (!once.isDone || once.left > 0) throw new Error("a whole reply is not complete");
    if (of === "values") expectEqual(once.plain, [modelOf(shape)]);
    if (of === "ids") expectEqual(once.plain, [shape]);
    const everywhere = all.length < 400 ? Array.from({ length: all.length }, (_, i) => i) : [];
    for (const some of [at, everywhere]) expectEqual(run(decoder(), all, some).plain, once.plain);
  },
);

const anyReply = fc.oneof(...Object.values(KINDS).map(({ shape }) => shape));

/** Damage: bytes taken out, put in, changed, or a piece of the reply repeated. */
const damage = fc.array(
  fc.tuple(
    fc.nat(),
    fc.oneof(
      fc.constant(Buffer.alloc(0)),
      fc.uint8Array({ maxLength: 4 }).map((some) => Buffer.from(some)),
      fc
        .constantFrom(
          "*",
          "$",
          "-",
          ":",
          "+",
          "\r\n",
          "\r",
          "*-1\r\n",
          "$-1\r\n",
          "*2147483647\r\n",
          "$536870912\r\n",
          "*3\r\n",
          "_\r\n",
          "99999999",
          "*1\r\n".repeat(40),
        )
        .map((some) => Buffer.from(some)),
    ),
    fc.nat(6),
  ),
  { minLength: 1, maxLength: 4 },
);

const mutated = fc.property(kind, anyReply, damage, cuts, (of, shape, harm, at) => {
  let all = reply(shape);
  for (const [place, piece, taken] of harm) {
    const from = place % (all.length + 1);
    all = Buffer.concat([all.subarray(0, from), piece, all.subarray(from + taken)]);
  }
  const outcome = (some: readonly number[]): unknown => {
    try {
      const { isDone, left, held, plain: result } = run(KINDS[of]!.decoder(), all, some, new Inbox(LIMIT));
      if (held > MOST_HELD) throw new Error(`${held} bytes were held`);
      return isDone ? { left, result } : "waits";
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return "refused";
    }
  };
  const once = outcome([]);
  const cut = outcome(at);
  // In pieces it may see later that something is wrong: an entry is waited for before it is read; never anything else.
  if (!(once === "refused" && cut === "waits")) expectEqual(cut, once);
});

/** Garbage in chunks for as long as it is taken: a decoder that waits must not hold it. */
const endless = fc.property(
  kind,
  fc.array(
    fc.oneof(
      fc.constantFrom(
        "*2\r\n",
        "*1\r\n",
        ":1\r\n",
        "$1\r\na\r\n",
        "$3\r\n1-1\r\n",
        "+x\r\n",
        "x",
        "*9999999\r\n",
        "$99999\r\n",
      ),
      value,
    ),
    {
      minLength: 1,
      maxLength: 6,
    },
  ),
  fc.integer({ min: 1, max: 5000 }),
  (of, parts, size) => {
    const piece = Buffer.from(parts.join(""));
    if (piece.length === 0) return;
    const block = Buffer.concat(Array(Math.ceil((6 * LIMIT) / piece.length)).fill(piece));
    const at = Array.from({ length: Math.min(400, Math.floor(block.length / size)) }, (_, i) => i * size);
    try {
      const { held } = run(KINDS[of]!.decoder(), block, at, new Inbox(LIMIT));
      if (held > MOST_HELD) throw new Error(`${held} bytes were held`);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  },
);

const part = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 53n, 2n ** 64n - 1n),
);
const parts = fc.tuple(part, part);
const sign = (number: bigint | number): number => (number < 0 ? -1 : number > 0 ? 1 : 0);

const order = fc.property(parts, parts, fc.nat(3), ([ms, sequence], [otherMs, otherSequence], zeros) => {
  const a = `${"0".repeat(Math.min(zeros, 20 - String(ms).length))}${ms}-${sequence}`;
  const [b, exact] = [`${otherMs}-${otherSequence}`, `${ms}-${sequence}`];
  const expected = sign(ms - otherMs) || sign(sequence - otherSequence);
  expectEqual(
    [sign(compareIds(a, b)), sign(orderOf(exact, b)), sign(compareIds(b, a))],
    [expected, expected, -expected || 0],
  );
  const { timestamp, sequence: parsed } = parseId(a);
  expectEqual([timestamp.getTime(), parsed], [new Date(Number(ms)).getTime(), Number(sequence)]);
  if (exact !== "18446744073709551615-18446744073709551615") {
    expectEqual(previousId(nextId(a)), exact);
    expectEqual(sign(compareIds(nextId(a), a)), 1);
  }
});

const positions = fc.constantFrom<IdPosition>("add", "start", "stop", "after", "exact", "any");
const idLike = fc.oneof(
  fc.string({ unit: "binary", maxLength: 45 }),
  fc.stringMatching(/^[-+*$>(]?[0-9]{0,21}-?[0-9]{0,21}\*?[\r\n ]?$/),
  fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
  fc.record({ id: fc.anything() }),
  fc.record({ timestamp: fc.date(), sequence: fc.anything() }),
);
/** What Redis itself takes. */
const WELL_FORMED = /^(?:[-+*$>]|\(?\d{1,20}(?:-(?:\d{1,20}|\*))?)$/;

const parsing = fc.property(idLike, positions, (given, position) => {
  let text = "";
  try {
    text = toId(given as never, position);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return;
  }
  if (!WELL_FORMED.test(text)) throw new Error(`${JSON.stringify(text)} is no id`);
  for (const digits of text.match(/\d+/g) ?? [])
    if (BigInt(digits) >= 2n ** 64n) throw new Error(`${text} is beyond 2^64-1`);
});

/** What holds of decoder and ids, whatever they are given. */
export const PROPERTIES: Readonly<Record<string, fc.IProperty<never>>> = {
  "a valid reply, cut at any byte, decodes as the whole": whole,
  "a damaged reply decodes, waits or is refused, in bounded memory": mutated,
  "garbage without end is not held": endless,
  "ids are ordered as pairs of numbers": order,
  "a text becomes an id that Redis takes, or is refused": parsing,
} as never;
