import { afterEach, beforeEach, expect, test } from "vitest";
import { ConnectionLostError, type Database, DecodeError, ProtocolError } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, open, within } from "../connection/harness.ts";
import { reply } from "../wire/feed.ts";
import { type Attack, Rogue } from "./rogue.ts";

const MB = 1024 * 1024;
const STREAM = "s";
const ENTRY = ["1-1", ["a", "1"]];

let rogue: Rogue;
let db: Database;

beforeEach(async () => {
  rogue = await Rogue.start();
  const options = { protocol: 2, maxEntrySize: MB, maxRetriesPerRequest: 3 } as const;
  db = open({ host: "127.0.0.1", port: rogue.port, ...options });
});
afterEach(async () => {
  await db.close();
  await rogue[Symbol.asyncDispose]();
});

/** Only answers to commands that read or write streams. */
const onStreams =
  (bytes: string | Buffer | (() => Iterable<Buffer>)): Attack =>
  ([name]) =>
    name!.startsWith("X") ? (typeof bytes === "function" ? bytes() : bytes) : undefined;

const range = () => db.Stream(STREAM).range(undefined, undefined, 10);
const read = () => db.Stream(STREAM).read({ count: 10, block: 60_000 });
const latest = () => db.Stream(STREAM).read({ lastId: "$", block: 60_000 });
const groupRead = () => db.consumerGroup("g", [STREAM]).read({ count: 10, block: 60_000 });
const add = () => db.Stream(STREAM).addMany([{ a: 1 }]);
const ways = { range, read, latest, groupRead, add };

/** The same piece for ever. */
function* endless(start: string, piece: string): Iterable<Buffer> {
  yield Buffer.from(start);
  const block = Buffer.from(piece.repeat(Math.ceil(65_536 / piece.length)));
  for (;;) yield block;
}

const garbage: [string, string | (() => Iterable<Buffer>)][] = [
  ["no protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ["an unknown type", "@3\r\nabc\r\n"],
  ["a map of RESP3", "%1\r\n+a\r\n+b\r\n"],
  ["a push of RESP3", ">2\r\n+message\r\n+x\r\n"],
  ["bytes of any kind", Buffer.from(Array.from({ length: 256 }, (_, i) => 255 - i)).toString("latin1")],
  ["a NUL", "\0"],
  ["a negative length", "*-7\r\n"],
  ["a negative bulk", "$-2\r\n"],
  ["a length beyond 64 bit", "*18446744073709551616\r\n"],
  ["a length beyond 2^31", "*2147483648\r\n"],
  ["a bulk beyond 512 MB", "$536870913\r\n"],
  ["a line end that is none", "*1\r*2\r\n"],
  ["an integer that is none", ":one\r\n"],
  ["two replies", `${reply([])}${reply([])}`],
  ["an endless length", () => endless("*", "0")],
  ["an endless bulk's length", () => endless("$", "1")],
  ["an endless error", () => endless("-", "x")],
  ["an endless line", () => endless("+", "x")],
  ["nesting without end", () => endless("", "*1\r\n")],
  ["nesting without end, beside something", () => endless("", "*2\r\n:1\r\n")],
];

test.each(garbage.flatMap(([what, bytes]) => Object.keys(ways).map((way) => [what, way, bytes] as const)))(
  "%s – to %s: a ProtocolError at once, the connection dropped, the next call on another",
  async (_, way, bytes) => {
    await db.ping();
    rogue.attack = onStreams(bytes);
    const { error } = await failure(ways[way as keyof typeof ways]());
    expect(error).toBeInstanceOf(ProtocolError);
    await waitFor(() => rogue.connections === 1, { what: "the wire to be dropped" });
    rogue.attack = onStreams(reply([ENTRY as never]));
    expect(await within(1500, range())).toHaveLength(1);
  },
);

const tooMuch: [string, keyof typeof ways, string | Buffer | (() => Iterable<Buffer>)][] = [
  ["more entries than were asked for", "range", reply(Array(11).fill(ENTRY))],
  ["more entries than were asked for", "read", reply([[STREAM, Array(11).fill(ENTRY)]])],
  ["more entries than were asked for", "groupRead", reply([[STREAM, Array(11).fill(ENTRY)]])],
  ["entries without end", "range", () => endless("*2147483647\r\n", reply(ENTRY).toString())],
  [
    "more streams than were asked for",
    "read",
    reply([
      [STREAM, [ENTRY]],
      [STREAM, [ENTRY]],
    ]),
  ],
  ["a stream that was not asked for", "read", reply([["other", [ENTRY]]])],
  ["a stream named as a prototype", "groupRead", reply([["__proto__", [ENTRY]]])],
  ["an id of a megabyte", "range", reply([["1".repeat(MB / 2), ["a", "1"]]])],
  ["an id without end", "range", () => endless("*1\r\n*2\r\n$536870912\r\n", "1")],
  ["an id without end", "add", () => endless("$536870912\r\n", "1")],
  ["an id too long", "add", reply("1".repeat(42))],
  ["fields without end", "range", () => endless("*1\r\n*2\r\n$3\r\n1-1\r\n*2147483646\r\n", "$1\r\na\r\n")],
  ["an answer without end", "latest", () => endless("*2147483647\r\n", "$1\r\na\r\n")],
  ["an answer without what was asked", "latest", reply(["length", 1])],
  ["an answer that is a number", "latest", reply(7)],
  ["an answer that is null", "latest", "*-1\r\n"],
];

test.each(tooMuch)("%s – to %s: a ProtocolError at once", async (_, way, bytes) => {
  rogue.attack = onStreams(bytes);
  const { error } = await failure(ways[way](), 3000);
  expect(error).toBeInstanceOf(ProtocolError);
});

test.each<[string, () => Iterable<Buffer>]>([
  ["nesting", () => endless("", "*2\r\n:1\r\n")],
  ["fields", () => endless("*1\r\n*2\r\n$3\r\n1-1\r\n*1000000\r\n", "$1\r\na\r\n")],
  [
    "one value",
    () => endless("*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\na\r\n$536870912\r\n", "x".repeat(65_536)),
  ],
])("%s without end – is not kept in memory", async (_, bytes) => {
  rogue.attack = onStreams(bytes);
  const before = process.memoryUsage().arrayBuffers;
  let most = 0;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - before);
  }, 5);
  try {
    // A value of 512 MB is one that Redis may hold: it is read to its end, and refused by itself.
    const { error } = await failure(range(), 20_000);
    expect(error instanceof ProtocolError || error instanceof DecodeError).toBe(true);
  } finally {
    clearInterval(watch);
  }
  // With the chunks that are garbage already; when they are collected is the runtime's affair.
  expect(most).toBeLessThan(128 * MB);
});

test("what is pending – an answer of another shape is a ProtocolError", async () => {
  const group = db.consumerGroup("g", [STREAM]);
  rogue.attack = ([name], socket) => {
    if (name === "XREADGROUP") socket.destroy(); // Then it looks for what the reply had brought.
    return name === "XPENDING" ? reply(["x", 1, ["1-1"]]) : undefined;
  };
  const { error } = await failure(group.read({ count: 10 }), 3000);
  expect(error).toBeInstanceOf(ProtocolError);
});

test.each<[string, string]>([
  ["a text", "$4\r\n7\r\nx\r\n"],
  ["a list", "*2\r\n:7\r\n$5\r\nERROR\r\n"],
])("CLIENT ID – %s for a number is not used", async (_, bytes) => {
  const seen: string[][] = [];
  rogue.attack = (command) => {
    seen.push([...command]);
    if (command[0] === "XREAD") return undefined;
    return /^client id$/i.test(command.slice(0, 2).join(" ")) ? bytes : undefined;
  };
  const stop = new AbortController();
  const reading = db.Stream(STREAM).read({ block: 60_000, signal: stop.signal });
  await waitFor(() => seen.some(([name]) => name === "XREAD"), { what: "the read" });
  stop.abort(new Error("enough"));
  await expect(within(3000, reading)).rejects.toThrow("enough");
  expect(seen.filter(([, verb]) => /unblock/i.test(verb ?? ""))).toEqual([]);
});

test.each<[string, string]>([
  ["no protocol", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ["nesting", "*1\r\n".repeat(1000)],
])("while it logs in – %s: an error, not a wait for ever", async (_, bytes) => {
  rogue.attack = ([name]) => (name!.toUpperCase() === "INFO" ? bytes : undefined);
  const patient = open({ ...db.options, connectTimeout: 200 });
  const { error } = await failure(patient.Stream(STREAM).range(), 10_000);
  expect(error).toBeInstanceOf(ConnectionLostError);
  await patient.close();
});
