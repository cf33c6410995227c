import * as v from "valibot";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  bytes,
  type Codec,
  DecodeError,
  GroupMessage,
  InvalidArgumentError,
  json,
  pairs,
  structured,
  text,
} from "../../src/index.ts";
import { failure, idsOf, loose, Place } from "./harness.ts";

const place = new Place();

/** Reads every way that a group's or plain stream has give the same message; its data. */
async function everyWay<T, I>(options: { codec?: Codec<T, I> }, value: I): Promise<T> {
  const key = place.key();
  const cg = place.db.consumerGroup("g", key, options);
  await cg.create();
  const stream = cg.streams[key]!;
  const id = await stream.add(value);
  const read = await cg.read();
  const { firstEntry, lastEntry } = await stream.info();
  const messages = [
    await stream.get(id),
    await stream.first(),
    await stream.last(),
    (await stream.range())[0],
    (await stream.range().reverse())[0],
    (await place.db.Stream<T, I>(key, options).read())[0],
    read[key]![0],
    (await stream.read({ lastId: "0" }))[0],
    (await stream.claim([id]))[0],
    (await stream.autoclaim()).messages[0],
    firstEntry,
    lastEntry,
    (await stream.info({ full: true })).entries[0],
    (await place.db.timeSeries("g", key, options).range())[0],
  ];
  for (const message of messages) expect(message!.data).toEqual(messages[0]!.data);
  return messages[0]!.data;
}

test("Stream – text: the same data by every way of reading", async () => {
  const data = await everyWay(
    { codec: text },
    { a: 1, "": "", ["__proto__"]: "own", constructor: "c", "10": "x", é: "☃\u0000" },
  );
  expect(Object.entries(data)).toEqual([
    ["10", "x"],
    ["a", "1"],
    ["", ""],
    ["__proto__", "own"],
    ["constructor", "c"],
    ["é", "☃\u0000"],
  ]);
  expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
});

test("Stream – bytes: any byte, by every way of reading", async () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  const data = await everyWay(
    { codec: bytes },
    { all, view: new Uint8Array(all.buffer, all.byteOffset + 1, 3), text: "é" },
  );
  expect(data["all"]!.equals(all)).toBe(true);
  expect([...data["view"]!]).toEqual([1, 2, 3]);
  expect(data["text"]!.toString()).toBe("é");
});

test("Stream – json, structured and pairs, by every way of reading", async () => {
  const order = { sku: "a", lines: [1, { x: null }], "@headers": 1 };
  expect(await everyWay({ codec: json<typeof order>() }, order)).toEqual(order);
  const odd = new Map<string, unknown>([
    ["when", new Date(5)],
    ["big", 2n ** 70n],
  ]);
  expect(await everyWay({ codec: structured<typeof odd>() }, odd)).toEqual(odd);
  const list = [
    { name: "b", value: 1 },
    { name: "a", value: "2" },
    { name: "b", value: true },
  ];
  expect(await everyWay({ codec: pairs }, list)).toEqual([
    { name: "b", value: "1" },
    { name: "a", value: "2" },
    { name: "b", value: "true" },
  ]);
});

test("Stream – a codec of one's own", async () => {
  const celsius: Codec<number> = {
    name: "celsius",
    encode: (degrees) => ["c", String(degrees)],
    decode: (fields) => Number(fields[0]!.value.toString()),
  };
  expect(await everyWay({ codec: celsius }, 7.5)).toBe(7.5);
});

test("Stream – a zod schema: its input is stored, its output is read", async () => {
  const Reading = z.object({ temp: z.string().transform(Number), unit: z.string().default("C") });
  const stream = place.db.Stream(place.key(), { schema: Reading });
  const id = await stream.add({ temp: "7.5" });
  expect(await place.db.xrange(stream.key, id, id)).toEqual([[id, ["temp", "7.5"]]]);
  const [message] = await stream.range();
  expect(message!.data).toEqual({ temp: 7.5, unit: "C" });
  expect(message!.data.temp.toFixed(2)).toBe("7.50");
});

test("Stream – a valibot schema beside a codec, in a group", async () => {
  const Sale = v.object({ sku: v.string(), total: v.pipe(v.number(), v.minValue(0)) });
  const cg = place.db.consumerGroup("g", ["sales"], { codec: json(), schema: Sale });
  await cg.create();
  await cg.sales.addMany([
    { sku: "a", total: 1 },
    { sku: "b", total: 2 },
  ]);
  const { sales } = await cg.read();
  expect(sales!.reduce((sum, { data }) => sum + data.total, 0)).toBe(3);
});

test("Stream – an async schema judges before and after", async () => {
  const Even = z.object({ n: z.string().refine(async (n) => Number(n) % 2 === 0, "must be even") });
  const stream = place.db.Stream(place.key(), { schema: Even });
  await stream.addMany([{ n: "2" }, { n: "4" }]);
  await stream.add({ n: "6" });
  expect((await stream.range()).map(({ data }) => data.n)).toEqual(["2", "4", "6"]);
  const error = await failure(stream.add({ n: "3" }), InvalidArgumentError);
  expect(error.message).toContain("must be even");
  const many = await failure(stream.addMany([{ n: "8" }, { n: "9" }]), InvalidArgumentError);
  expect(many.message).toContain("value 1 of addMany");
  expect(await stream.length()).toBe(3);
});

test("Stream.add – what the schema refuses is named, nothing is sent", async () => {
  const Order = z.object({ total: z.number(), lines: z.array(z.object({ sku: z.string() })) });
  const stream = place.db.Stream(place.key(), { codec: json(), schema: Order });
  const error = await place.refusal(() => stream.add(loose({ total: 1, lines: [{ sku: "a" }, { sku: 7 }] })));
  expect(error.argument).toBe("data.lines.1.sku");
});

test("Stream.range – an entry that does not decode: those before it, then a DecodeError that says which", async () => {
  const stream = place.db.Stream(place.key(), { codec: json<{ n: number }>() });
  await stream.addMany([{ n: 1 }, { n: 2 }], { id: (_, i) => i + 1 });
  await place.db.xadd(stream.key, "3-0", "other", "field");
  await stream.add({ n: 4 }, { id: 4 });
  const seen: number[] = [];
  const error = await failure(async () => {
    for await (const { data } of stream) seen.push(data.n);
  }, DecodeError);
  expect(seen).toEqual([1, 2]);
  expect(error).toMatchObject({ code: "DECODE", stream: stream.key, id: "3-0", retriable: false });
  expect(Buffer.from(error.fields["other"]!).toString()).toBe("field");
  expect(error.issues[0]!.message).toContain("json");
  const backwards: number[] = [];
  await failure(async () => {
    for await (const { data } of stream.range().reverse()) backwards.push(data.n);
  }, DecodeError);
  expect(backwards).toEqual([4]);
  await failure(stream.get("3-0"), DecodeError);
  expect((await stream.get("4-0"))!.data).toEqual({ n: 4 });
});

test("ConsumerGroup.read – an entry that does not decode stays pending, the others of the reply are in the error", async () => {
  const key = place.key();
  const Order = z.object({ total: z.coerce.number() });
  const cg = place.db.consumerGroup("g", key, { schema: Order });
  await cg.create();
  for (const [id, total] of ["1", "x", "3"].entries())
    await place.db.xadd(key, `${id + 1}-0`, "total", total);
  const error = await failure(cg.read(), DecodeError);
  expect(error).toMatchObject({ id: "2-0", stream: key });
  expect(error.issues[0]!.path).toEqual(["total"]);
  const decoded = error.decoded as GroupMessage<{ total: number }>[];
  expect(idsOf(decoded)).toEqual(["1-0", "3-0"]);
  expect(decoded[0]).toBeInstanceOf(GroupMessage);
  await Promise.all(decoded.map((message) => message.ack()));
  expect(idsOf(await cg.streams[key]!.pending())).toEqual(["2-0"]);
});

test("Stream – headers that another wrote badly are a DecodeError", async () => {
  const stream = place.db.Stream(place.key());
  await place.db.xadd(stream.key, "1-0", "a", "1", "@headers", "not json");
  expect((await failure(stream.range(), DecodeError)).issues[0]!.path).toEqual(["@headers"]);
});
