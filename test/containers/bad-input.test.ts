import { expect, test } from "vitest";
import { GroupStream, type IdLike, InvalidArgumentError, Stream } from "../../src/index.ts";
import { failure, loose, Place } from "./harness.ts";

const place = new Place();
const make = (): Stream => place.db.Stream(place.key());

/** Each call is refused at the door, in one text; nothing is sent. */
async function refused(calls: readonly (() => unknown)[], text: string): Promise<void> {
  for (const call of calls) {
    const error = await place.refusal(call);
    expect(`${call}: ${error.message}`).toBe(`${call}: ${text}`);
  }
}

test("IdLike – what is no id, wherever an id goes", async () => {
  const stream = make();
  const group = new GroupStream(place.db, stream.key, { group: "g", consumer: "c" });
  const texts = [
    "",
    " ",
    "x",
    "1-",
    "-1",
    "1-1-1",
    "1 -1",
    "1.5",
    "99999999999999999999-0",
    "0x1",
    "1-1\r\n",
  ];
  const objects = [null, {}, { id: 5 }, { id: "x" }, { timestamp: 5 }, [1, 0], () => "1-1"];
  for (const value of [...texts, ...objects, true, Symbol.iterator, -1, 1.5, -1n]) {
    const id = loose(value) as IdLike;
    const calls = [
      () => stream.add({ a: 1 }, { id }),
      () => stream.addMany([{ a: 1 }], { id: () => id }),
      () => stream.get(id),
      () => stream.has(id),
      () => stream.delete("1-1", id),
      () => stream.range(id),
      () => stream.range(undefined, id),
      () => stream.read({ lastId: id }),
      () => stream.setId(id),
      () => stream.trim({ minid: id }),
      () => group.ack(id),
      () => group.claim([id]),
      () => group.autoclaim({ start: id }),
      () => group.pending({ start: id }),
      () => group.setId(id),
      () => place.db.consumerGroup("g", { a: id }),
      () => place.db.timeSeries("g", ["a"]).range(id),
    ];
    const sent = await place.sent(async () => {
      for (const call of calls) {
        const error = await failure(call, InvalidArgumentError);
        expect(error.code).toBe("INVALID_ARGUMENT");
        expect(error.argument).toBe("id");
      }
    });
    expect(sent).toEqual({});
  }
});

test("IdLike – a special id where it makes no sense", async () => {
  const stream = make();
  const group = new GroupStream(place.db, stream.key, { group: "g", consumer: "c" });
  const cases: [ids: string, call: (id: string) => unknown][] = [
    ["$ > - + (1-1", (id) => stream.add({ a: 1 }, { id })],
    ["* $ > - + (1-1 1-*", (id) => stream.get(id)],
    ["* $ > ( (-", (id) => stream.range(id)],
    ["* > - + (1-1", (id) => stream.read({ lastId: id })],
    ["* $ > - + (1-1", (id) => stream.setId(id)],
    ["* $ - + (1-1", (id) => group.read({ lastId: id })],
    ["* > - + (1-1", (id) => group.setId(id)],
    ["* $ > - +", (id) => group.ack(id)],
    ["* > - + (1-1", (id) => place.db.consumerGroup("g", { a: id })],
  ];
  for (const [ids, call] of cases) {
    for (const id of ids.split(" ")) {
      const error = await place.refusal(() => call(id));
      expect([`${call}`, error.argument, error.value]).toEqual([`${call}`, "id", id]);
    }
  }
});

test("IdLike – an invalid Date, and one before 1970", async () => {
  const stream = make();
  const invalid = new Date("no date");
  await refused(
    [
      () => stream.add({ a: 1 }, { id: invalid }),
      () => stream.range(invalid),
      () => stream.range(undefined, invalid),
      () => stream.get(invalid),
      () => stream.get({ timestamp: invalid, sequence: 0 }),
      () => stream.read({ lastId: invalid }),
      () => stream.trim({ minid: invalid }),
      () => stream.trim({ olderThan: invalid }),
      () => place.db.consumerGroup("g", { a: invalid }),
      () => place.db.timeSeries("g", "a").range(invalid),
    ],
    "id must be a valid Date, got an invalid Date",
  );
  await refused([() => stream.expire(invalid)], "when must be a valid Date, got an invalid Date");
  await refused(
    [() => stream.add({ a: 1 }, { id: new Date(-1) }), () => stream.range(new Date(-1))],
    "id must be a Date since 1970-01-01T00:00:00Z, got 1969-12-31T23:59:59.999Z",
  );
});

test("count, maxlen, limit – NaN, negative, a fraction, a text or endless", async () => {
  const stream = make();
  const group = new GroupStream(place.db, stream.key, { group: "g", consumer: "c" });
  for (const value of [Number.NaN, -1, 1.5, "10", Number.POSITIVE_INFINITY, null, 2 ** 53]) {
    const count = loose(value) as number;
    for (const call of [
      () => stream.range("-", "+", count),
      () => stream.read({ count }),
      () => stream.info({ full: true, count }),
      () => stream.trim(count),
      () => stream.trim({ maxlen: count }),
      () => stream.trim({ maxlen: 5, limit: count }),
      () => stream.add({ a: 1 }, { maxlen: count }),
      () => stream.addMany([{ a: 1 }], { maxlen: count }),
      () => group.read({ count }),
      () => group.pending({ count }),
      () => group.autoclaim({ count }),
      () => place.db.consumerGroup("g", "a").read({ count }),
      () => place.db.timeSeries("g", "a").read({ count }),
      () => place.db.timeSeries("g", "a").range("-", "+", count),
      () => place.db.consumerGroup("g", "a").health({ maxLag: count }),
      () => place.db.consumerGroup("g", "a").health({ maxPending: count }),
    ]) {
      // `trim(null)` and `trim("10")` are no numbers at all, and are refused as such.
      const error = await failure(call, InvalidArgumentError);
      expect(error.message).toMatch(/must be (a whole number of at least [01]|an object|one of)/);
    }
  }
  await refused(
    [() => stream.read({ count: 0 }), () => group.read({ count: 0 })],
    "count must be a whole number of at least 1, got 0",
  );
});

test("key, group and consumer – empty, or no text", async () => {
  for (const value of ["", null, undefined, 5, {}, Symbol("s")]) {
    const name = loose(value) as string;
    for (const [call, argument] of [
      [() => place.db.Stream(name), "key"],
      [() => new Stream(place.db, name), "key"],
      [() => place.db.consumerGroup(name, "a"), "name"],
      [() => place.db.timeSeries(name, "a"), "name"],
      [() => place.db.consumerGroup("g", ["a", name]), "key"],
      [() => place.db.consumerGroup("g", "a").consumer(name), "consumer"],
      [() => make().consumersInfo(name), "group"],
      [() => new GroupStream(place.db, "a", { group: name, consumer: "c" }), "group"],
      [() => new GroupStream(place.db, "a", { group: "g", consumer: name }), "consumer"],
    ] as const) {
      const error = await place.refusal(call);
      expect([argument, error.message]).toEqual([
        argument,
        expect.stringContaining(`${argument} must be a string that is not empty`),
      ]);
    }
  }
  await refused([() => place.db.timeSeries("g", {})], "keys must be at least one key, got an object");
  await refused([() => place.db.consumerGroup("g", [])], "keys must be at least one key, got an array of 0");
  await refused(
    [() => place.db.consumerGroup("g", ["a", "b", "a"])],
    'keys must be without repeats, got "a"',
  );
  for (const keys of [null, 5, undefined, true]) {
    expect((await place.refusal(() => place.db.consumerGroup("g", loose(keys)))).argument).toBe("keys");
  }
});

test("Stream – a client that is none", async () => {
  for (const client of [null, undefined, {}, "redis://localhost", 6379]) {
    const error = await failure(() => new Stream(loose(client), "a"), InvalidArgumentError);
    expect(error.argument).toBe("client");
  }
});

test("Stream.add – an empty field map, and data that is no field map", async () => {
  const stream = make();
  await refused([() => stream.add({})], "data must be an object with at least one field, got an object");
  for (const data of [null, undefined, "text", 5, [], ["a", "b"], true]) {
    const error = await place.refusal(() => stream.add(loose(data)));
    expect(error.argument).toBe("data");
    expect((await place.refusal(() => stream.addMany([loose(data)]))).message).toContain(
      "(value 0 of addMany)",
    );
  }
  expect((await place.refusal(() => stream.addMany([{ a: 1 }, {}]))).message).toContain(
    "(value 1 of addMany)",
  );
  for (const values of [null, undefined, 5, "text", {}]) {
    expect((await place.refusal(() => stream.addMany(loose(values)))).argument).toBe("values");
  }
  expect(await stream.exists()).toBe(false);
});

test("Stream.add – a value that is null, undefined, an object, an array or a function: the error names the field", async () => {
  const stream = make();
  const cases: [value: unknown, got: string][] = [
    [null, "null"],
    [undefined, "undefined"],
    [{ x: 1 }, "an object"],
    [[1, 2], "an array of 2"],
    [new Date(5), "1970-01-01T00:00:00.005Z"],
    [Buffer.from("x"), "an object"],
    [() => 1, "function (anonymous)"],
    [Symbol("s"), "Symbol(s)"],
  ];
  for (const [value, got] of cases) {
    const error = await place.refusal(() => stream.add(loose({ good: 1, 'odd "name"': value })));
    expect(error.argument).toBe('data["odd \\"name\\""]');
    expect(error.message).toContain("must be a string, number, bigint or boolean, got ");
    expect(error.message).toContain(got);
    expect(error.value).toBe(value);
  }
});

test("Stream.add – a reserved field", async () => {
  const stream = make();
  const error = await place.refusal(() => stream.add({ a: 1, "@headers": "x" }));
  expect(error.argument).toBe('data["@headers"]');
  expect(error.rule).toContain("reserved");
  expect((await place.refusal(() => stream.addMany([{ a: 1 }, { "@headers": 1 }]))).message).toContain(
    "value 1",
  );
});

test("Stream.add – headers that are no texts", async () => {
  const stream = make();
  for (const headers of [null, [], "a", 5, { a: 1 }, { a: null }, { a: undefined }, { a: {} }]) {
    const error = await place.refusal(() => stream.add({ a: 1 }, loose({ headers })));
    expect(error.argument).toMatch(/^headers(\.a)?$/);
  }
});

test("options – misspelt, and no object at all", async () => {
  const stream = make();
  const group = new GroupStream(place.db, stream.key, { group: "g", consumer: "c" });
  const cg = place.db.consumerGroup("g", "a");
  const calls: ((options: never) => unknown)[] = [
    (options) => stream.add({ a: 1 }, options),
    (options) => stream.addMany([{ a: 1 }], options),
    (options) => stream.read(options),
    (options) => stream.trim(options),
    (options) => stream.info(options),
    (options) => group.read(options),
    (options) => group.pending(options),
    (options) => group.claim(["1-1"], options),
    (options) => group.autoclaim(options),
    (options) => cg.read(options),
    (options) => cg.health(options),
    (options) => cg.removeIdleConsumers(options),
    (options) => place.db.timeSeries("g", "a").buckets(options),
    (options) => place.db.Stream("a", options),
    (options) => place.db.consumerGroup("g", "a", options),
    (options) => place.db.timeSeries("g", "a", options),
  ];
  for (const call of calls) {
    const misspelt = await place.refusal(() => call(loose({ conut: 5 })));
    expect(`${call} ${misspelt.message}`).toMatch(/options must be among .*, got "conut"$/);
    const list = await place.refusal(() => call(loose([])));
    expect(`${call} ${list.message}`).toMatch(/options must be an object, got an array of 0$/);
  }
});

test("options – of the wrong kind", async () => {
  const stream = make();
  const group = new GroupStream(place.db, stream.key, { group: "g", consumer: "c" });
  const cases: [call: () => unknown, argument: string][] = [
    [() => stream.add({ a: 1 }, { noMkStream: loose(1) }), "noMkStream"],
    [() => stream.add({ a: 1 }, { maxlen: 5, approximate: loose("no") }), "approximate"],
    [() => stream.add({ a: 1 }, { maxlen: 5, minid: 5 }), "minid"],
    [() => stream.add({ a: 1 }, { limit: 5 }), "limit"],
    [() => stream.add({ a: 1 }, { maxlen: 5, approximate: false, limit: 5 }), "limit"],
    [() => stream.addMany([{ a: 1 }], { id: loose("*") }), "id"],
    [() => stream.trim(loose(undefined)), "trim"],
    [() => stream.trim({}), "trim"],
    [() => stream.trim({ maxlen: 1, minid: 1 }), "trim"],
    [() => stream.trim({ maxlen: 1, olderThan: 1 }), "trim"],
    [() => stream.trim({ olderThan: -1 }), "olderThan"],
    [() => stream.info({ full: loose("yes") }), "full"],
    [() => stream.read({ signal: loose({}) }), "signal"],
    [() => group.read({ noAck: loose(1) }), "noAck"],
    [() => group.claim(loose("1-1")), "ids"],
    [() => group.claim(loose(null)), "ids"],
    [() => group.claim(["1-1"], { justId: loose(1) }), "justId"],
    [() => group.claim(["1-1"], { consumer: "" }), "consumer"],
    [() => group.claim(["1-1"], { minIdle: -5 }), "minIdle"],
    [() => group.autoclaim({ count: 0 }), "count"],
    [() => group.pending({ consumer: "" }), "consumer"],
    [() => group.pending({ idle: Number.NaN }), "idle"],
    [() => group.deleteConsumer(""), "consumer"],
    [() => place.db.Stream("a", { codec: loose("json") }), "codec"],
    [() => place.db.Stream("a", { codec: loose({ encode() {} }) }), "codec"],
    [() => place.db.Stream("a", { schema: loose({}) }), "schema"],
  ];
  for (const [call, argument] of cases) {
    const error = await place.refusal(call);
    expect([`${call}`, error.argument]).toEqual([`${call}`, argument]);
  }
});
