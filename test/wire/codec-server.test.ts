import { afterAll, beforeAll, expect, test } from "vitest";
import { bytes, type Codec, Database, json, Message, pairs, structured, text } from "../../src/index.ts";
import { startServer } from "../../src/testing/index.ts";
import { msgpack } from "../../src/wire/codecs/msgpack.ts";

let server: Awaited<ReturnType<typeof startServer>>;
let db: Database;

beforeAll(async () => {
  server = await startServer();
  db = new Database(server.url);
});

afterAll(async () => {
  await db.close();
  await server.stop();
});

const proto = JSON.parse('{"__proto__":"x","a":"1"}') as Record<string, string>;
const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));

test.each<[string, Codec<unknown, never>, unknown[]]>([
  ["text", text, [{ b: "1", a: "ü🦭\r\n$5\r\n", "": "" }, proto, { "10": "x", "2": "y" }]],
  ["bytes", bytes, [{ all, none: Buffer.alloc(0) }, { all: Buffer.concat([all, all]) }]],
  ["pairs", pairs, [["b", "a", "b", "2", "1", "__proto__"].map((name, i) => ({ name, value: `${i}` }))]],
  ["json", json(), [{ a: [1, null, { b: "ü" }] }, null, "x", [], proto]],
  [
    "structured",
    structured(),
    [new Map([["a", new Set([1n])]]), { at: new Date(5), all: new Uint8Array(all) }, undefined],
  ],
  ["msgpack", msgpack(), [{ a: [1, null, { b: "ü" }], all, at: new Date(5) }, null, 7]],
])("codec %s – through a server and back, by every way of reading", async (name, codec, values) => {
  const stream = db.Stream(`codec-${name}`, { codec });
  const headers = { region: "eü" };
  const ids = [...(await stream.addMany(values as never[], { headers }))];
  for (const value of values) ids.push(await stream.add(value as never, { headers }));
  const expected = [...values, ...values].map((data, i) => new Message(stream.key, ids[i]!, data, headers));
  expect(await stream.range()).toStrictEqual(expected);
  expect(await stream.read()).toStrictEqual(expected);
  expect(await Promise.all(ids.map((id) => stream.get(id)))).toStrictEqual(expected);
});

test("Message.headers – frozen and empty in whatever was read without any", async () => {
  for (const codec of [text, bytes] as Codec<unknown, never>[]) {
    const stream = db.Stream(`no-headers-${codec.name}`, { codec });
    await stream.add({ a: "1" } as never);
    for (const message of [(await stream.range())[0], await stream.first()]) {
      expect(message?.headers).toEqual({});
      expect(Object.isFrozen(message?.headers)).toBe(true);
    }
  }
});

test("text – a field that others stored twice, and bytes that are no text", async () => {
  await db.call("xadd", "odd", "1-1", "a", "1", "a", "2", "b", Buffer.from([0xff, 0x61]));
  const expected = { a: "2", b: "\ufffda" };
  const stream = db.Stream("odd");
  expect((await stream.range())[0]?.data).toEqual(expected);
  expect((await stream.get("1-1"))?.data).toEqual(expected);
  expect((await db.Stream("odd", { codec: pairs }).first())?.data.map(({ value }) => value)).toEqual([
    "1",
    "2",
    "\ufffda",
  ]);
});
