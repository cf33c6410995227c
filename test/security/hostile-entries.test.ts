import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  bytes,
  type Codec,
  Database,
  DecodeError,
  deadLetterKey,
  InvalidArgumentError,
  json,
  Message,
  pairs,
  structured,
  text,
} from "../../src/index.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { msgpack } from "../../src/wire/codecs/msgpack.ts";

const MB = 1024 * 1024;
const KEY = "orders";
const DEAD = deadLetterKey(KEY);

let server: Server;
let db: Database;

beforeAll(async () => {
  server = await startServer();
  db = new Database({ ...server.options, maxEntrySize: MB });
});
beforeEach(() => db.flushall());
afterAll(async () => {
  await db?.close();
  await server?.stop();
});

/** What no entry may change: every object's prototype, and those of the classes that entries become. */
afterEach(() => {
  expect(Reflect.ownKeys(Object.prototype).sort()).toEqual(UNTOUCHED);
  expect(({} as Record<string, unknown>)["polluted"]).toBe(undefined);
  expect(Reflect.ownKeys(Message.prototype)).not.toContain("polluted");
});
const UNTOUCHED = Reflect.ownKeys(Object.prototype).sort();

const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "valueOf",
  "hasOwnProperty",
  "__defineGetter__",
  "then",
  "toJSON",
  "nodejs.util.inspect.custom",
  "@dead",
  "id",
  "0",
  "-1",
  "4294967295",
  "a\0b",
  "a\r\nb",
  "\u001b[2J",
  "\u202e",
  "x".repeat(100_000),
];

describe("names", () => {
  test.each(NAMES.map((name) => [JSON.stringify(name).slice(0, 40), name] as const))(
    "%s – is a field like any other, in every codec that has fields",
    async (_, name) => {
      const stream = db.Stream(KEY);
      await db.xadd(KEY, "*", name, "polluted", "a", "1");
      const [message] = await stream.range();
      expect(Object.hasOwn(message!.data, name)).toBe(true);
      expect(message!.data[name]).toBe("polluted");
      expect(Object.getPrototypeOf(message!.data)).toBe(Object.prototype);
      const [raw] = await db.Stream(KEY, { codec: bytes }).range();
      expect(Object.hasOwn(raw!.data, name)).toBe(true);
      expect(Object.getPrototypeOf(raw!.data)).toBe(Object.prototype);
      const [listed] = await db.Stream(KEY, { codec: pairs }).range();
      expect(listed!.data).toContainEqual({ name, value: "polluted" });
      // Over the shared connection, and by the group's own way.
      expect(Object.hasOwn((await stream.first())!.data, name)).toBe(true);
      const group = db.consumerGroup("g", [KEY]);
      await group.create();
      const [delivered] = (await group.read())[KEY]!;
      expect(Object.hasOwn(delivered!.data, name)).toBe(true);
      expect(inspect(message)).toContain("polluted");
      expect(JSON.parse(JSON.stringify(message)).id).toBe(message!.id);
      // And back: what was read is added as it was.
      if (name === "@dead") return;
      const [again] = await stream.range(await stream.add(message!.data));
      expect(again!.data).toEqual(message!.data);
    },
  );

  test("invalid UTF-8 – is replaced in texts, kept in bytes", async () => {
    const wrong = Buffer.from([0x66, 0xff, 0xc0, 0x80, 0xed, 0xa0, 0x80]);
    await db.xadd(KEY, "*", wrong, wrong);
    expect((await db.Stream(KEY).range())[0]!.data).toEqual({ [wrong.toString()]: wrong.toString() });
    expect((await db.Stream(KEY, { codec: bytes }).range())[0]!.data).toEqual({ [wrong.toString()]: wrong });
  });

  test("100,000 fields – are read", async () => {
    const fields = Array.from({ length: 100_000 }, (_, i) => [`${i}`, ""]).flat();
    await db.call("XADD", [KEY, "*", ...fields]);
    const roomy = new Database(server.options);
    expect(Object.keys((await roomy.Stream(KEY).range())[0]!.data)).toHaveLength(100_000);
    await roomy.close();
  });
});

describe("records by key", () => {
  const keys = ["__proto__", "constructor", "toString", "hasOwnProperty", "then"] as const;

  test.each(["__proto__", "constructor", "toString", "polluted"])(
    "a group and a consumer called %s – every record has its keys as own ones",
    async (name) => {
      const group = db.consumerGroup(name, [...keys], { consumer: name });
      const own = (record: object) => expect(Object.keys(record).sort()).toEqual([...keys].sort());
      own(await group.create());
      for (const key of keys) await group.streams[key].add({ polluted: "1" });
      const read: Record<string, unknown[] | undefined> = await group.read();
      own(read);
      for (const key of keys) expect(read[key]).toHaveLength(1);
      own(await group.streamInfo());
      own((await group.stats()).streams);
      expect((await group.consumers()).map((one) => one.name)).toEqual([name]);
      expect((await group.health({ maxLag: 0, maxPending: 0 })).issues).toHaveLength(keys.length);
      const [pending] = await group.streams[keys[0]].pending();
      expect(pending!.consumer).toBe(name);
      own(await group.destroy());
    },
  );

  test("attributes – a key never takes a member's place, nor the prototype's", () => {
    const group = db.consumerGroup("g", [
      "__proto__",
      "constructor",
      "to-string",
      "read",
      "then",
      "has-own-property",
    ]);
    for (const name of ["constructor", "toString", "read", "hasOwnProperty", "__proto__"] as const)
      expect(Object.hasOwn(group, name)).toBe(false);
    expect(typeof group.read).toBe("function");
    expect("then" in group).toBe(false);
  });

  test("positions of a consumer – a key that is named as a member begins where it is told", async () => {
    const stream = db.Stream("constructor");
    const first = await stream.add({ a: 1 });
    await using consumer = db.consumer(["constructor", "__proto__"], {
      from: { constructor: "earliest" } as never,
    });
    expect((await consumer.getMessage())!.id).toBe(first);
  });
});

const DEEP = 200_000;
const deepArray = "[".repeat(DEEP) + "]".repeat(DEEP);
const deepObject = `${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`;

describe("headers", () => {
  const REFUSED: [string, string | Buffer][] = [
    ["a list", "[]"],
    ["a number", "7"],
    ["a text", '"x"'],
    ["null", "null"],
    ["no JSON", "{"],
    ["nothing", ""],
    ["bytes", Buffer.from([0xff, 0x00])],
    ["a list nested deep", deepArray],
    ["an object nested deep", deepObject],
  ];

  test.each(REFUSED)("%s – a DecodeError for that entry, the others are given", async (_, value) => {
    const before = await db.Stream(KEY).add({ a: 1 });
    const id = await db.xadd(KEY, "*", "a", "2", "@headers", value);
    await db.Stream(KEY).add({ a: 3 });
    for (const codec of [text, json()] as Codec<unknown>[]) {
      const error = (await db
        .Stream(KEY, { codec })
        .read()
        .catch((thrown: unknown) => thrown)) as DecodeError;
      expect(error).toBeInstanceOf(DecodeError);
      if (codec !== (text as Codec<unknown>)) continue;
      expect(error.id).toBe(id);
      expect(error.decoded).toHaveLength(2);
      expect((error.decoded[0] as Message<unknown>).id).toBe(before);
    }
  });

  test("names of prototypes, values that are no texts – are headers, of texts", async () => {
    const hostile =
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"toString":7,"n":null}';
    await db.xadd(KEY, "*", "a", "1", "@headers", hostile);
    const [{ headers }] = (await db.Stream(KEY).range()) as [Message<unknown>];
    expect(Object.keys(headers)).toEqual(["__proto__", "constructor", "toString", "n"]);
    expect(Object.values(headers).every((value) => typeof value === "string")).toBe(true);
    expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
    expect(headers.polluted).toBe(undefined);
  });

  test("10 MB – are read, and not remembered", async () => {
    const roomy = new Database(server.options);
    await db.xadd(KEY, "*", "a", "1", "@headers", JSON.stringify({ long: "x".repeat(10 * MB) }));
    const [message] = await roomy.Stream(KEY).range();
    expect(message!.headers.long).toHaveLength(10 * MB);
    await roomy.close();
  });
});

describe("dead letters", () => {
  const note = (more: object) =>
    JSON.stringify({
      ...{ stream: KEY, group: "g", id: "1-1", consumer: "c", deliveries: 1, time: 1 },
      ...{ error: { name: "E", message: "m", stack: "s" }, ...more },
    });

  test.each<[string, string]>([
    ["a list", "[]"],
    ["a number", "7"],
    ["null", "null"],
    ["a text", '"x"'],
    ["nested deep", deepArray],
    ["an object nested deep", deepObject],
    ["__proto__ for all of it", `{"__proto__":${note({})}}`],
    ["an error of __proto__", note({}).replace('"error"', '"__proto__"')],
    ["a list for a text", note({ stream: [KEY] })],
    ["an object for a text", note({ group: { toString: "x" } })],
    ["a number for a text", note({ consumer: 7 })],
    ["a text for a number", note({ deliveries: "7" })],
    ["a time without end", note({}).replace('"time":1', '"time":1e999')],
    ["a negative count", note({ deliveries: -1 })],
    ["an id that is none", note({ id: "1-1 FLUSHALL" })],
    ["an error that is a list", note({ error: [] })],
    ["10 MB", "x".repeat(10 * MB)],
  ])("@dead – %s: listed as of unknown origin, never moved or removed", async (_, dead) => {
    const roomy = new Database(server.options);
    await db.xadd(DEAD, "*", "a", "1", "@dead", dead);
    const letters = roomy.deadLetters(DEAD);
    const [letter] = await letters.range();
    expect(letter).toMatchObject({ data: { a: "1" }, origin: null, error: null, time: null });
    expect(await letters.redrive()).toBe(0);
    expect(await letters.purge()).toBe(0);
    expect(await letters.length()).toBe(1);
    await roomy.close();
  });

  test("@dead – its names are not members, and where it leads is as it says", async () => {
    const stream = "__proto__";
    const dead = deadLetterKey(stream);
    await db.xadd(
      dead,
      "*",
      "__proto__",
      "polluted",
      "@dead",
      note({ stream, toString: "x", __proto__: { a: 1 } }),
    );
    const letters = db.deadLetters(dead);
    const [letter] = await letters.range();
    expect(letter!.origin).toMatchObject({ stream });
    expect(Object.keys(letter!.data!)).toEqual(["__proto__"]);
    expect(await letters.redrive()).toBe(1);
    expect((await db.Stream(stream).range())[0]!.headers).toMatchObject({ redrives: "1" });
  });
});

describe("codecs", () => {
  const CODECS: [string, () => Codec<unknown>, string, (text: string) => Buffer][] = [
    ["json", json, "json", (value) => Buffer.from(value)],
    ["msgpack", msgpack, "msgpack", (value) => Buffer.from(value, "hex")],
    ["structured", structured, "v8", (value) => Buffer.from(value, "hex")],
  ];
  const byName = Object.fromEntries(CODECS.map((row) => [row[0], row]));

  test("json – __proto__ is a property of the value", async () => {
    await db.xadd(
      KEY,
      "*",
      "json",
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    );
    const [{ data }] = (await db.Stream(KEY, { codec: json<object>() }).range()) as [Message<object>];
    expect(Object.keys(data)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
  });

  test.each<[string, string]>([
    ["a map with __proto__", "81a95f5f70726f746f5f5f81a8706f6c6c7574656401"],
    ["a record with __proto__", "d4724091a95f5f70726f746f5f5f81a8706f6c6c7574656401"],
    [
      "a record with code for a name",
      `d4724091${"d9257822297d297d28676c6f62616c546869732e706f6c6c757465643d31292f2f5c22"}01`,
    ],
  ])("msgpack – %s: no prototype is touched, no code is run", async (_, hex) => {
    await db.xadd(KEY, "*", "msgpack", Buffer.from(hex, "hex"));
    const stream = db.Stream(KEY, { codec: msgpack<Record<string, unknown>>() });
    const outcome = await stream.range().then(
      ([message]) => message!.data,
      (error: unknown) => error,
    );
    if (!(outcome instanceof DecodeError)) {
      expect((outcome as Record<string, unknown>)["polluted"]).toBe(undefined);
      expect(Object.getPrototypeOf(outcome)).toBe(Object.prototype);
    }
    expect((globalThis as Record<string, unknown>)["polluted"]).toBe(undefined);
  });

  test.each<[string, string, string]>([
    ["json", "no JSON", "{"],
    ["json", "nothing", ""],
    ["json", "a NUL", "\0"],
    ["msgpack", "a map that is cut", "8f"],
    ["msgpack", "an array of 2^32-1", "ddffffffff"],
    ["msgpack", "a text of 2^32-1 bytes", "dbffffffff"],
    ["msgpack", "nesting without end", "91".repeat(DEEP)],
    ["structured", "no header", "00"],
    ["structured", "a version of the future", "ffff"],
    ["structured", "an array of 2^32-1", "ff0f41ffffffff0f"],
    ["structured", "a host object", "ff0f5c"],
    ["structured", "a buffer of 2^32-1", "ff0f42ffffffff0f"],
    ["structured", "nesting without end", `ff0f${"6f220161".repeat(20_000)}`],
  ])("%s – %s: a DecodeError with the bytes", async (name, _, value) => {
    const [, make, field, encode] = byName[name]!;
    await db.xadd(KEY, "*", field, encode(value));
    const error = await db
      .Stream(KEY, { codec: make() })
      .range()
      .then(
        () => null,
        (thrown: unknown) => thrown,
      );
    expect(error).toBeInstanceOf(DecodeError);
    expect((error as DecodeError).fields[field]).toEqual(encode(value));
  });
});

describe("maxEntrySize", () => {
  const large = { a: "x".repeat(MB) };

  test.each<[string, () => Promise<unknown>]>([
    ["Stream.add", () => db.Stream(KEY).add(large)],
    ["Stream.addMany", () => db.Stream(KEY).addMany([{ a: 1 }, large])],
    ["Producer.push", () => db.producer(KEY).push(large)],
    ["Producer.push, with a key", () => db.producer(KEY).push(large, { idempotencyKey: "k" })],
    ["Producer.pushMany, with keys", () => db.producer(KEY).pushMany([large], { idempotencyKey: () => "k" })],
    [
      "many small fields",
      () => db.Stream(KEY).add(Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [i, ""]))),
    ],
    ["characters of three bytes", () => db.Stream(KEY).add({ a: "€".repeat(MB / 3 + 1) })],
    ["bytes", () => db.Stream(KEY, { codec: bytes }).add({ a: Buffer.alloc(MB) })],
    ["headers", () => db.Stream(KEY).add({ a: 1 }, { headers: { h: "x".repeat(MB) } })],
  ])("%s – an entry that is larger is refused before anything is sent", async (_, add) => {
    await expect(add()).rejects.toThrow(InvalidArgumentError);
    await expect(add()).rejects.toThrow(/maxEntrySize, 1048576 bytes/);
    expect(await db.exists(KEY)).toBe(0);
  });

  test("an entry that is as large as may be – is added and read", async () => {
    const exact = { a: "x".repeat(MB - 7 - 12) }; // 7 and 12 bytes are what the name and the frames take
    await expect(db.Stream(KEY).add({ a: `${exact.a}x` })).rejects.toThrow(/maxEntrySize/);
    await db.Stream(KEY).add(exact);
    expect((await db.Stream(KEY).range())[0]!.data).toEqual(exact);
  });

  test.each([0, -1, 1.5, MB - 1, 512 * MB + 1, "1e9", null, Number.NaN])(
    "%s – is refused at the door",
    (size) => {
      const options = { lazyConnect: true, maxEntrySize: size as number };
      expect(() => new Database(options)).toThrow(
        /^maxEntrySize must be a whole number from 1048576 to 536870912/,
      );
    },
  );

  test("a URL – may hold it", async () => {
    await using own = new Database(`${server.url}?maxEntrySize=${MB}`);
    await expect(own.Stream(KEY).add(large)).rejects.toThrow(/maxEntrySize/);
  });

  test.each([
    ["text", text],
    ["json", json()],
  ] as [string, Codec<unknown>][])(
    "%s – a larger one that is there: a DecodeError, the connection stays",
    async (_, codec) => {
      const before = await db.xadd(KEY, "*", "json", "1");
      const id = await db.xadd(KEY, "*", "json", "x".repeat(4 * MB), "b", "2");
      const after = await db.xadd(KEY, "*", "json", "3");
      const error = (await db
        .Stream(KEY, { codec })
        .read()
        .catch((thrown: unknown) => thrown)) as DecodeError;
      expect(error).toBeInstanceOf(DecodeError);
      expect(error).toMatchObject({
        id,
        stream: KEY,
        fields: {},
        issues: [{ message: "it is larger than maxEntrySize" }],
      });
      expect(error.decoded.map((message) => (message as Message<unknown>).id)).toEqual([before, after]);
    },
  );

  test("Worker – it ends among the dead letters, whole", async () => {
    const group = db.consumerGroup("g", [KEY]);
    await group.create();
    const fields = ["a", "x".repeat(4 * MB), "b", "2"];
    await db.xadd(KEY, "*", ...fields);
    await db.xadd(KEY, "*", "a", "1");
    const seen: string[] = [];
    await using worker = db.worker(group, ({ data }) => void seen.push(data.a!));
    const running = worker.run();
    await waitFor(async () => (await db.xlen(DEAD)) === 1 && seen.length === 1, {
      what: "both to be settled",
    });
    await worker.stop();
    await running;
    expect(seen).toEqual(["1"]);
    expect((await db.xrange(DEAD, "-", "+"))[0]![1].slice(0, 4)).toEqual(fields);
    expect((await group.stats()).pending).toBe(0);
  });
});
