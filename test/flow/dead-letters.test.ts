import { inspect } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";
import { DeadLetter } from "../../src/flow/dead-letter.ts";
import { DeadLetters } from "../../src/flow/dead-letters.ts";
import { bytes, DecodeError, deadLetterKey, json, WrongTypeError } from "../../src/index.ts";
import { collect, failure, idsOf, loose, Place } from "../containers/harness.ts";
import { bury, numbersIn, rejectAll, stored, upTo } from "./graveyard.ts";

const place = new Place();

/** Numbered entries of a new stream that died, and their dead letters. */
async function dead(count = 1, headers?: Record<string, string>) {
  const key = place.key();
  const letters = new DeadLetters(place.db, await bury(place.db, key, count, headers));
  return { key, letters, stream: place.db.Stream(key) };
}

/** What a worker writes into `@dead`. */
function note(stream: string, more: object = {}): string {
  const error = { name: "Error", message: "m", stack: "" };
  return JSON.stringify({
    stream,
    group: "g",
    id: "1-0",
    consumer: "c",
    deliveries: 5,
    error,
    time: 7,
    ...more,
  });
}

test("DeadLetters – nothing is sent by the constructor, bad options are refused at once", async () => {
  const make = (key: unknown, options?: unknown) => new DeadLetters(place.db, loose(key), loose(options));
  expect(await place.sent(() => make("a", { codec: bytes }))).toEqual({});
  expect((await place.refusal(() => make(""))).argument).toBe("key");
  expect((await place.refusal(() => make("a", { codex: 1 }))).argument).toBe("dead letters options");
  expect((await place.refusal(() => make("a", { codec: {} }))).argument).toBe("codec");
  expect((await place.refusal(() => make("a", { schema: {} }))).argument).toBe("schema");
  const letters = make("a");
  for (const [name, options] of [
    ["start", { start: "x" }],
    ["stop", { stop: null }],
    ["count", { count: -1 }],
    ["to", { to: "" }],
    ["to", { to: "a" }],
    ["dryRun", { dryRun: 1 }],
    ["maxRedrives", { maxRedrives: 0 }],
    ["redrive options", { form: "x" }],
  ] as const) {
    const { argument } = await place.refusal(() => letters.redrive(loose(options)));
    expect(argument).toBe(name === "start" || name === "stop" ? "id" : name);
  }
  for (const options of [{ count: 0.5 }, { olderThan: -1 }, { olderThan: new Date(NaN) }, { to: "b" }])
    await place.refusal(() => letters.purge(loose(options)));
  await place.refusal(() => letters.range(loose({})));
  await place.refusal(() => letters.get("5-"));
});

test("DeadLetters – no stream: empty everywhere", async () => {
  const letters = new DeadLetters(place.db, place.key());
  expect(await letters.range()).toEqual([]);
  expect(await collect(letters)).toEqual([]);
  expect(await letters.get("1-0")).toBeNull();
  const verbs = [letters.length(), letters.redrive(), letters.redrive({ dryRun: true }), letters.purge()];
  expect(await Promise.all(verbs)).toEqual([0, 0, 0, 0]);
  expect(await letters.exists()).toBe(false);
});

test("DeadLetters.range – where a letter comes from, why and when", async () => {
  const key = place.key();
  await place.db.consumerGroup("billing", key).ensure();
  const id = await place.db.Stream(key).add({ sku: "a-1", ü: "ß" }, { headers: { region: "eu" } });
  const [before] = await place.db.time();
  await rejectAll(place.db, key, "billing");
  const letters = new DeadLetters(place.db, deadLetterKey(key));
  const [letter] = await letters.range();
  expect(letter).toBeInstanceOf(DeadLetter);
  expect(letter).toMatchObject({
    stream: `{${key}}:dead`,
    data: { sku: "a-1", ü: "ß" },
    headers: { region: "eu" },
    origin: { stream: key, group: "billing", id, consumer: "alice", deliveries: 1 },
    error: { name: "RejectError", message: "the handler rejected the message: no total" },
    redrives: 0,
    decodeError: null,
  });
  expect(letter!.fields).toEqual({ sku: Buffer.from("a-1"), ü: Buffer.from("ß") });
  expect(letter!.error!.stack).toContain("RejectError");
  expect(letter!.time!.getTime()).toBeGreaterThanOrEqual(Number(before) * 1000);
  expect(letter!.timestamp.getTime() - letter!.time!.getTime()).toBeLessThan(1000);
  expect(await letters.get(letter!)).toEqual(letter);
  expect(await letters.get(id)).toBeNull();
  expect([await letters.length(), await letters.exists()]).toEqual([1, true]);
  expect(await place.db.Stream(key).length()).toBe(1); // Acknowledged, not deleted: other groups may need it.
  expect((await place.db.xpending(key, "billing"))[0]).toBe(0);
});

test("DeadLetters.range – count, bounds, reverse, pages of 1,000; nothing is sent before", async () => {
  const { letters } = await dead(2300);
  let range = letters.range();
  expect(
    await place.sent(() => {
      range = letters.range();
    }),
  ).toEqual({});
  const numbers = (items: Iterable<DeadLetter<Record<string, string>>>) =>
    [...items].map(({ data }) => Number(data!.n));
  const all = await range;
  expect(numbers(all)).toEqual(upTo(2300));
  expect((await collect(letters.range().pages())).map((page) => page.length)).toEqual([1000, 1000, 300]);
  expect(numbers(await letters.range(undefined, undefined, 3).reverse())).toEqual([2299, 2298, 2297]);
  expect(numbers(await letters.range(all[5]!, all[7]!))).toEqual([5, 6, 7]);
  expect(numbers(await letters.range(`(${all[5]!.id}`, undefined, 1))).toEqual([6]);
  expect(await letters.range(all[7]!, all[5]!)).toEqual([]);
  expect(idsOf(await collect(letters))).toEqual(idsOf(all));
  expect(inspect(letters.range())).toBe(`<Range ${letters.key} - .. +>`);
});

test("DeadLetters.range – poison of every kind is shown, in its place", async () => {
  const key = place.key();
  const { db } = place;
  const good = ["json", '{"n":1}'];
  for (const fields of [
    ["@dead", note("s"), ...good],
    ["@dead", note("s"), "json", "{"],
    ["@dead", note("s"), ...good, "@headers", "not json"],
    ["@dead", note("s"), "other", Buffer.from([0xff, 0])],
    ["@dead", note("s")],
    ["@dead", note("s"), ...good, "@headers", '{"redrives":"3","a":1}'],
    ["@dead", note("s"), "json", "null", "@headers", '{"redrives":"-3"}'],
  ])
    await db.xadd(key, "*", ...fields);
  const letters = await new DeadLetters(db, key, { codec: json<{ n: number }>() }).range();
  expect(letters.map(({ data }) => data)).toEqual([{ n: 1 }, null, null, null, null, { n: 1 }, null]);
  expect(letters.map(({ decodeError }) => decodeError !== null)).toEqual([
    false,
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
  expect(letters.map(({ redrives }) => redrives)).toEqual([0, 0, 0, 0, 0, 3, 0]);
  expect(letters.map(({ origin }) => origin?.stream)).toEqual(Array(7).fill("s"));
  expect(letters[2]!.decodeError).toBeInstanceOf(DecodeError);
  expect(letters[2]!.decodeError!.issues[0]).toEqual({
    message: "the headers are not a JSON object",
    path: ["@headers"],
  });
  expect(letters[2]!.fields).toEqual({ json: Buffer.from('{"n":1}') });
  expect(letters[3]!.fields).toEqual({ other: Buffer.from([0xff, 0]) });
  expect(letters[3]!.decodeError!.id).toBe(letters[3]!.id);
  expect(letters[5]!.headers).toEqual({ redrives: "3", a: "1" });
});

test("DeadLetters.range – a schema judges without the reserved fields, also one that takes its time", async () => {
  const { letters } = await dead(3, { region: "eu" });
  const strict = z.strictObject({ n: z.coerce.number().int().max(1) });
  const slow = strict.refine(async ({ n }) => n !== 0, "zero");
  const of = (schema: typeof strict) => new DeadLetters(place.db, letters.key, { schema }).range();
  expect((await of(strict)).map(({ data }) => data)).toEqual([{ n: 0 }, { n: 1 }, null]);
  expect((await of(slow)).map(({ data }) => data)).toEqual([null, { n: 1 }, null]);
  expect((await of(slow))[0]!.decodeError!.issues).toEqual([{ message: "zero", path: [] }]);
});

test("DeadLetters – an entry that no worker put there is shown, and never touched", async () => {
  const { db } = place;
  const key = place.key();
  for (const text of [
    ...["", "null", "5", "[]", "{}", "{", note("")],
    ...[note("s", { id: 5 }), note("s", { id: "x" }), note("s", { group: null }), note("s", { consumer: 1 })],
    ...[
      note("s", { deliveries: "5" }),
      note("s", { time: null }),
      note("s", { time: 1e16 }),
      note("s", { error: null }),
    ],
    ...[note("s", { error: { name: "E", message: "m" } }), note("s", { error: "x" })],
  ])
    await db.xadd(key, "*", "n", "1", "@dead", text);
  await db.xadd(key, "*", "n", "1");
  await db.xadd(key, "*", "n", "1", "@headers", '{"a":"b"}');
  const letters = new DeadLetters(db, key);
  const all = await letters.range();
  expect(all).toHaveLength(19);
  for (const letter of all)
    expect(letter).toMatchObject({
      data: { n: "1" },
      origin: null,
      error: null,
      time: null,
      decodeError: null,
    });
  const before = await db.dumpBuffer(key);
  expect(await letters.redrive()).toBe(0);
  expect(await letters.redrive({ to: "elsewhere" })).toBe(0);
  expect(await letters.redrive({ dryRun: true })).toBe(0);
  expect(await letters.purge()).toBe(0);
  expect(await letters.purge({ olderThan: 0 })).toBe(0);
  expect(before.equals(await db.dumpBuffer(key))).toBe(true);
  expect(await db.exists("elsewhere", "s")).toBe(0);
});

test("DeadLetter – inspect and toJSON", async () => {
  const key = place.key();
  const { db } = place;
  await db.xadd(key, "1-0", "total", "x", "@dead", note("orders"), "@headers", '{"redrives":"2"}');
  await db.xadd(key, "2-0", "json", "{", "@dead", note("orders"));
  await db.xadd(key, "3-0", "json", "{}");
  const [first] = await new DeadLetters(db, key).range();
  expect(inspect(first)).toBe(
    `<DeadLetter ${key} 1-0 { total: 'x' } of orders 1-0, given up by g after 5 deliveries: Error: m>`,
  );
  const letters = new DeadLetters(db, key, { codec: json() });
  const [, second, third] = await letters.range();
  expect(inspect(second)).toContain(" 2-0 undecodable { json: <Buffer 7b> } of orders 1-0,");
  expect(inspect(third)).toBe(`<DeadLetter ${key} 3-0 {} of unknown origin>`);
  expect(inspect(letters)).toBe(`<DeadLetters ${key}>`);
  expect(JSON.parse(JSON.stringify(first))).toEqual({
    ...{ stream: key, id: "1-0", timestamp: "1970-01-01T00:00:00.001Z", sequence: 0 },
    ...{ data: { total: "x" }, headers: { redrives: "2" }, redrives: 2, time: "1970-01-01T00:00:00.007Z" },
    origin: { stream: "orders", group: "g", id: "1-0", consumer: "c", deliveries: 5 },
    ...{ error: { name: "Error", message: "m", stack: "" }, decodeError: null },
  });
  expect(JSON.parse(JSON.stringify(second))).toMatchObject({
    data: null,
    decodeError: second!.decodeError!.message,
  });
});

test("DeadLetters.redrive – back to where it came from, oldest first, counted in a header", async () => {
  const { key, letters, stream } = await dead(250, { region: "eu" });
  await stream.clear();
  expect(await letters.redrive()).toBe(250);
  expect(await letters.length()).toBe(0);
  const back = await stream.range();
  expect(back.map(({ data }) => data)).toEqual(upTo(250).map((n) => ({ n: String(n) })));
  for (const { headers } of back)
    expect(headers).toEqual({ region: "eu", redrives: "1", "redrive-group": "g" });
  await rejectAll(place.db, key, "h");
  expect((await letters.range(undefined, undefined, 1))[0]).toMatchObject({
    redrives: 1,
    origin: { group: "h" },
  });
  expect(await letters.redrive({ count: 1 })).toBe(1);
  expect((await stream.last())!.headers).toEqual({ region: "eu", redrives: "2", "redrive-group": "h" });
});

test("DeadLetters.redrive – to another stream: without the group, also of an earlier redrive", async () => {
  const { key, letters, stream } = await dead(1);
  await letters.redrive();
  await rejectAll(place.db, key);
  const to = place.key();
  const before = await stream.length();
  expect(await letters.redrive({ to })).toBe(1);
  expect((await place.db.Stream(to).range())[0]).toMatchObject({
    data: { n: "0" },
    headers: { redrives: "2" },
  });
  expect((await place.db.Stream(to).range())[0]!.headers).not.toHaveProperty("redrive-group");
  expect([await letters.length(), await stream.length()]).toEqual([0, before]);
});

test("DeadLetters.redrive – start, stop and count", async () => {
  const { key, letters, stream } = await dead(1200);
  const all = idsOf(await letters.range());
  await stream.clear();
  const moved = async (options: object) => {
    const count = await letters.redrive(options);
    const numbers = await numbersIn(place.db, key);
    await stream.clear();
    expect(numbers).toHaveLength(count);
    return numbers;
  };
  expect(await moved({ count: 0 })).toEqual([]);
  expect(await moved({ count: 2 })).toEqual([0, 1]);
  expect(await moved({ start: `(${all[4]}`, stop: all[6] })).toEqual([5, 6]);
  expect(await moved({ start: all[9], count: 1 })).toEqual([9]);
  expect(await moved({ start: all[9], stop: all[8] })).toEqual([]);
  expect(await moved({ stop: { id: all[10]! } })).toEqual([2, 3, 4, 7, 8, 10]);
  expect(await moved({ count: 1050 })).toEqual(upTo(1061).slice(11));
  expect(await letters.length()).toBe(1200 - 1061);
});

test("DeadLetters.redrive – dryRun counts and changes nothing", async () => {
  const { key, letters } = await dead(1100);
  await place.db.xadd(letters.key, "*", "n", "by hand");
  const before = await place.db.dumpBuffer(letters.key);
  const sent = await place.sent(async () => expect(await letters.redrive({ dryRun: true })).toBe(1100));
  expect(sent).toEqual({ xrevrange: 1, xrange: 2 });
  expect(await letters.redrive({ dryRun: true, count: 1050 })).toBe(1050);
  expect(await letters.redrive({ dryRun: true, to: "elsewhere" })).toBe(1100);
  expect(before.equals(await place.db.dumpBuffer(letters.key))).toBe(true);
  expect(await place.db.xlen(key)).toBe(1100);
});

test("DeadLetters.redrive – poison that goes round stays after maxRedrives", async () => {
  const { key, letters } = await dead(1);
  const rounds = async (options: object) => {
    for (let moved = 0; ; moved++) {
      expect(await letters.redrive({ ...options, dryRun: true })).toBe(await letters.redrive(options));
      if ((await rejectAll(place.db, key)) === 0) return moved;
    }
  };
  expect(await rounds({ maxRedrives: 3 })).toBe(3);
  expect(await rounds({})).toBe(7);
  expect((await letters.range())[0]).toMatchObject({ redrives: 10, data: { n: "0" } });
  expect(await letters.redrive({ maxRedrives: 11, to: place.key() })).toBe(1);
});

test("DeadLetters.redrive – one that stays does not use up the count", async () => {
  const { letters, stream } = await dead(2);
  const first = await letters.range(undefined, undefined, 1);
  await place.db.xadd(letters.key, "*", "n", "by hand");
  await bury(place.db, first[0]!.origin!.stream, 1);
  await stream.clear();
  expect(await letters.redrive({ count: 3 })).toBe(3);
  expect(await numbersIn(place.db, stream.key)).toEqual([0, 1, 0]);
});

test("DeadLetters.redrive – a letter that dies again meanwhile is not moved again", async () => {
  const { key, letters, stream } = await dead(2500);
  // Whatever comes back is rejected at once, faster than the redrive ends.
  const cg = place.db.consumerGroup("g", key, { consumer: "alice" });
  const consumer = place.db.consumer(cg, { follow: true, buffer: 1000 });
  let rejected = 0;
  const rejecting = (async () => {
    for await (const message of consumer) {
      if (await message.reject("again")) rejected++;
      if (rejected === 2500) break;
    }
  })();
  expect(await letters.redrive()).toBe(2500);
  await rejecting;
  expect(await letters.length()).toBe(2500);
  expect(await stream.length()).toBe(5000);
  expect((await letters.range()).every(({ redrives }) => redrives === 1)).toBe(true);
});

test("DeadLetters.redrive – headers that are malformed are replaced, the fields kept", async () => {
  const { db } = place;
  const key = place.key();
  const target = place.key();
  await db.xadd(key, "*", "a", "1", "@headers", "]", "b", "2", "@dead", note(target), "a", "3");
  expect(await new DeadLetters(db, key).redrive()).toBe(1);
  const header = '{"redrives":"1","redrive-group":"g"}';
  expect((await stored(db, target)).map((fields) => fields.map(String))).toEqual([
    ["a", "1", "b", "2", "a", "3", "@headers", header],
  ]);
});

test("DeadLetters.redrive – bytes survive burial and redrive, order and repeats too", async () => {
  const { db } = place;
  const key = place.key();
  const wild = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const fields = [
    wild,
    Buffer.alloc(0),
    Buffer.from("f"),
    wild,
    Buffer.from("f"),
    Buffer.alloc(70_000, 0xfe),
    Buffer.alloc(0),
    wild,
  ];
  await db.consumerGroup("g", key).create();
  await db.xadd(key, "*", ...fields);
  await rejectAll(db, key);
  const letters = new DeadLetters(db, deadLetterKey(key), { codec: bytes });
  expect((await stored(db, letters.key))[0]!.slice(0, -2)).toEqual(fields);
  expect((await letters.range())[0]!.data!["f"]).toEqual(Buffer.alloc(70_000, 0xfe));
  await db.del(key);
  expect(await letters.redrive()).toBe(1);
  expect((await stored(db, key))[0]!.slice(0, -2)).toEqual(fields);
});

test.each([3_999, 5_000, 20_000])(
  "DeadLetters.redrive – an entry of %d fields dies and comes back whole",
  async (count) => {
    const { db } = place;
    const key = place.key();
    const fields = upTo(2 * count).map((i) => `v${i}`);
    await db.consumerGroup("g", key).create();
    await db.xadd(key, "*", ...fields);
    await rejectAll(db, key);
    const letters = new DeadLetters(db, deadLetterKey(key));
    expect(Object.keys((await letters.range())[0]!.fields)).toHaveLength(count);
    await db.del(key);
    expect(await letters.redrive()).toBe(1);
    expect((await stored(db, key))[0]!.slice(0, -2).map(String)).toEqual(fields);
  },
);

test("DeadLetters.redrive – a stream that is something else now: that letter stays, the others are moved", async () => {
  const { db } = place;
  const [key, good, bad] = [place.key(), place.key(), place.key()];
  await db.set(bad, "text");
  for (const target of [good, bad, good]) await db.xadd(key, "*", "n", "1", "@dead", note(target));
  const letters = new DeadLetters(db, key);
  const error = await failure(letters.redrive(), WrongTypeError);
  expect(error.stream).toBe(bad);
  expect(error.ids).toEqual(idsOf(await db.Stream(good).range()));
  expect(error.ids).toHaveLength(2);
  expect((await letters.range()).map(({ origin }) => origin!.stream)).toEqual([bad]);
  expect(await db.get(bad)).toBe("text");
  await failure(letters.redrive({ to: bad }), WrongTypeError);
  expect(await letters.length()).toBe(1);
});

test("DeadLetters – the key is no stream: WrongTypeError everywhere", async () => {
  const key = place.key();
  await place.db.set(key, "text");
  const letters = new DeadLetters(place.db, key);
  for (const act of [
    () => letters.range(),
    () => letters.redrive(),
    () => letters.purge(),
    () => letters.length(),
  ])
    expect((await failure(act, WrongTypeError)).stream).toBe(key);
});

test("DeadLetters.purge – all, a part, and what is older", async () => {
  const { letters } = await dead(2400);
  const all = idsOf(await letters.range());
  await place.db.xadd(letters.key, "*", "n", "by hand");
  expect(await letters.purge({ count: 0 })).toBe(0);
  expect(await letters.purge({ count: 3 })).toBe(3);
  expect(await letters.purge({ start: all[5]!, stop: all[6]! })).toBe(2);
  expect(idsOf(await letters.range(undefined, undefined, 3))).toEqual([all[3], all[4], all[7]]);
  expect(await letters.purge({ olderThan: { hours: 1 } })).toBe(0);
  expect(await letters.purge({ olderThan: new Date(0) })).toBe(0);
  expect(await letters.purge({ count: 1100 })).toBe(1100);
  expect(await letters.purge()).toBe(2400 - 1105);
  expect((await letters.range()).map(({ data }) => data)).toEqual([{ n: "by hand" }]);
});

test("DeadLetters.purge – by when it died, not by its id", async () => {
  const { db } = place;
  const key = place.key();
  const now = Number((await db.time())[0]) * 1000;
  for (const age of [3_600_000, 60_000, 7_200_000])
    await db.xadd(key, "*", "n", age, "@dead", note("s", { time: now - age }));
  const letters = new DeadLetters(db, key);
  expect(await letters.purge({ olderThan: { minutes: 90 } })).toBe(1);
  expect(await letters.purge({ olderThan: new Date(now - 60_000) })).toBe(1);
  expect(await numbersIn(db, key)).toEqual([60_000]);
  expect(await letters.purge({ olderThan: 0 })).toBe(1);
});

test("DeadLetters.expire, clear – as of any container", async () => {
  const { letters } = await dead(1);
  expect(await letters.expire({ hours: 1 })).toBe(true);
  expect(await place.db.pttl(letters.key)).toBeGreaterThan(3_500_000);
  expect(await letters.clear()).toBe(true);
  expect(await letters.exists()).toBe(false);
});
