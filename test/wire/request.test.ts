import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { startServer } from "../../src/testing/index.ts";
import { Request } from "../../src/wire/request.ts";
import type { Argument } from "../../src/wire/resp.ts";
import { reply } from "./feed.ts";

/** The request as text: what the protocol asks for an array of bulks. */
const sent = (request: Request): string => Buffer.from(request.payload()).toString("latin1");

/** What the request for these arguments has to be, byte by byte. */
const expected = (args: readonly Argument[]): Buffer =>
  reply(args.map((arg) => (typeof arg === "number" ? String(arg) : arg)));

test.each<[string, Argument[], string]>([
  ["texts", ["XLEN", "s"], "*2\r\n$4\r\nXLEN\r\n$1\r\ns\r\n"],
  ["no text", [""], "*1\r\n$0\r\n\r\n"],
  [
    "numbers",
    [0, -7, 1_514_872_800_000, 1.5],
    "*4\r\n$1\r\n0\r\n$2\r\n-7\r\n$13\r\n1514872800000\r\n$3\r\n1.5\r\n",
  ],
  ["bytes", [Buffer.from([0, 255, 13, 10])], "*1\r\n$4\r\n\0\xff\r\n\r\n"],
  ["a part of an array", [new Uint8Array([1, 2, 3, 4]).subarray(1, 3)], "*1\r\n$2\r\n\x02\x03\r\n"],
  ["no bytes", [new Uint8Array(0), "a"], "*2\r\n$0\r\n\r\n$1\r\na\r\n"],
  [
    "bytes between texts",
    ["a", Buffer.from("b"), 7, Buffer.from("c"), "d"],
    "*5\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n7\r\n$1\r\nc\r\n$1\r\nd\r\n",
  ],
  ["a text that is longer in UTF-8", ["ü七🦭"], "*1\r\n$9\r\nÃ¼ä¸\x83ð\x9f¦\xad\r\n"],
  ["half a surrogate pair", ["\ud83e"], "*1\r\n$3\r\nï¿½\r\n"],
])("Request.command – %s", (_, args, text) => {
  expect(sent(new Request().command(args))).toBe(text);
});

test("Request.command – several, one after another", () => {
  const request = new Request().command(["XLEN", "a"]).command(["XADD", "é", "*", "b", Buffer.from([200])]);
  expect(request.payload()).toEqual(
    Buffer.concat([expected(["XLEN", "a"]), expected(["XADD", "é", "*", "b", Buffer.from([200])])]),
  );
});

test.each([["ascii"], ["größe"]])("Request.encoded – what commands have in common, %s", (key) => {
  const head = new Request();
  for (const arg of ["XADD", key, "MAXLEN", "~", 10]) head.arg(arg);
  const request = new Request();
  for (const [id, value] of [
    ["1-1", "u"],
    ["1-2", Buffer.from([129])],
    ["1-3", "z"],
  ] as const)
    request.open(8).encoded(head).arg(id).arg("f").arg(value);
  const whole = (id: string, value: Argument) => expected(["XADD", key, "MAXLEN", "~", 10, id, "f", value]);
  expect(Buffer.from(request.payload())).toEqual(
    Buffer.concat([whole("1-1", "u"), whole("1-2", Buffer.from([129])), whole("1-3", "z")]),
  );
});

test("Request.encoded – bytes among what commands have in common", () => {
  const head = new Request()
    .arg("XADD")
    .arg(Buffer.from([200]))
    .arg("é");
  const request = new Request().open(4).encoded(head).arg("x").open(4).encoded(head).arg("y");
  const whole = (last: string) => expected(["XADD", Buffer.from([200]), "é", last]);
  expect(request.payload()).toEqual(Buffer.concat([whole("x"), whole("y")]));
});

test("Request.encoded – heads and values of all kinds, before and after one that is not ASCII", () => {
  const argument = fc.constantFrom<Argument[]>(
    ...["a", "ü", "üüüü🦭", "\r\n$1\r\n", "x".repeat(5000), "七".repeat(5000), 7, Buffer.from([200])],
  );
  fc.assert(
    fc.property(
      fc.array(argument, { maxLength: 5 }),
      fc.array(fc.array(argument, { maxLength: 4 }), { maxLength: 4 }),
      (shared, commands) => {
        const head = new Request();
        for (const arg of shared) head.arg(arg);
        const request = new Request();
        for (const args of commands) {
          request.open(shared.length + args.length).encoded(head);
          for (const arg of args) request.arg(arg);
        }
        const wanted = Buffer.concat(commands.map((args) => expected([...shared, ...args])));
        expect(Buffer.from(request.payload()).equals(wanted)).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
});

test("Request.arg – bytes are copied: their owner may use the memory again", () => {
  const memory = Buffer.from("a");
  const request = new Request().open(2).arg(memory);
  memory.write("b");
  request.arg(memory.subarray(0));
  memory.write("c");
  expect(sent(request)).toBe("*2\r\n$1\r\na\r\n$1\r\nb\r\n");
});

test("Request.payload – many long texts never are one string, which has an end in V8", () => {
  const texts = ["a", "ü", "b", "c", "d"].map((char) => char.repeat(500_000));
  const written = vi.spyOn(Buffer.prototype, "write");
  const payload = new Request().command(texts).payload();
  const lengths = written.mock.calls.map(([text]) => String(text).length);
  written.mockRestore();
  expect(lengths.length).toBeGreaterThanOrEqual(texts.length);
  expect(Math.max(...lengths)).toBeLessThan(500_000 + 4096);
  expect(payload.equals(expected(texts))).toBe(true);
});

test("Request.payload – many short texts are written some kilobytes at a time, not one by one nor all at once", () => {
  const texts = Array.from({ length: 50_000 }, (_, i) => String(i));
  const written = vi.spyOn(Buffer.prototype, "write");
  const payload = new Request().command(texts).payload();
  const lengths = written.mock.calls.map(([text]) => String(text).length);
  written.mockRestore();
  expect(Math.max(...lengths)).toBeLessThan(5000);
  expect(lengths.length).toBeLessThan(200);
  expect(payload.equals(expected(texts))).toBe(true);
});

// Cut where the pair does not fit any more, as many bytes are written as there were characters.
test.each(["üüüü🦭", "ü七", "üü🦭", "七"])("Request.payload – %s is never taken for ASCII", (text) => {
  expect(Buffer.from(new Request().command([text]).payload())).toEqual(expected([text]));
});

test("Request.payload – any mix of arguments is an array of bulks, measured in UTF-8", () => {
  const argument: fc.Arbitrary<Argument> = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: "binary-ascii" }),
    fc.maxSafeInteger(),
    fc.uint8Array(),
  );
  fc.assert(
    fc.property(fc.array(fc.array(argument, { maxLength: 6 }), { maxLength: 4 }), (commands) => {
      const request = new Request();
      for (const args of commands) request.command(args);
      expect(Buffer.from(request.payload()).equals(Buffer.concat(commands.map(expected)))).toBe(true);
    }),
  );
});

test("Request.payload – a real server gives every argument back as it was", async () => {
  await using server = await startServer();
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const args: Argument[] = [
    "a",
    "",
    "ü七🦭",
    "\r\n$1\r\n",
    7,
    -1.5,
    all,
    new Uint8Array(0),
    "x".repeat(100_000),
  ];
  const request = new Request();
  for (const arg of args) request.command(["ECHO", arg]);
  const answer = Buffer.concat(args.map((arg) => reply(typeof arg === "number" ? String(arg) : arg)));
  const socket = connect(server.port, server.host);
  socket.write(request.payload());
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < answer.length) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    chunks.push(chunk);
    size += chunk.length;
  }
  socket.destroy();
  expect(Buffer.concat(chunks).equals(answer)).toBe(true);
});

test("Request.clear – texts of all kinds before and after, with a head in common, in whatever order", () => {
  const head = new Request().arg("XADD").arg("s");
  const value = fc.oneof(
    fc.constantFrom("a", "ü", "七", "🦭".repeat(2000), "x".repeat(5000)),
    fc.uint8Array(),
  );
  fc.assert(
    fc.property(fc.array(fc.array(value, { maxLength: 6 }), { maxLength: 4 }), (rounds) => {
      const request = new Request();
      for (const values of rounds) {
        request.clear();
        for (const one of values) request.open(3).encoded(head).arg(one);
        const wanted = Buffer.concat(values.map((one) => expected(["XADD", "s", one])));
        expect(Buffer.from(request.payload()).equals(wanted)).toBe(true);
      }
    }),
    { numRuns: 50 },
  );
});
