import * as v from "valibot";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { Database, DecodeError, InvalidArgumentError, json, Stream } from "../../src/index.ts";
import { startServer } from "../../src/testing/index.ts";
import { Payload } from "../../src/wire/codec.ts";

let server: Awaited<ReturnType<typeof startServer>>;
let db: Database;
let keys = 0;
let key: string;

beforeAll(async () => {
  server = await startServer();
  db = new Database(server.url, { keyPrefix: "app:" });
});

beforeEach(() => {
  key = `orders-${keys++}`;
});

afterAll(async () => {
  await db.close();
  await server.stop();
});

/** The same rules in two libraries: a transform, a default, a number that is stored as text. */
const SCHEMAS = {
  zod: z.object({
    sku: z.string().min(2),
    total: z.string().transform(Number).pipe(z.number().min(1)),
    tags: z
      .string()
      .transform((tags) => tags.split(","))
      .default(["none"]),
  }),
  valibot: v.object({
    sku: v.pipe(v.string(), v.minLength(2)),
    total: v.pipe(v.string(), v.transform(Number), v.minValue(1)),
    tags: v.optional(
      v.pipe(
        v.string(),
        v.transform((tags) => tags.split(",")),
      ),
      "none",
    ),
  }),
};

/** The same, answering later. */
const ASYNC = {
  zod: z.object({ sku: z.string().refine(async (sku) => sku.length >= 2, "too short") }),
  valibot: v.objectAsync({
    sku: v.pipeAsync(
      v.string(),
      v.checkAsync(async (sku) => sku.length >= 2, "too short"),
    ),
  }),
};

const libraries = ["zod", "valibot"] as const;

async function refusal(promise: PromiseLike<unknown>): Promise<DecodeError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DecodeError);
  return error as DecodeError;
}

test.each(libraries)(
  "schema – %s: stored as given, read through transforms and defaults, once",
  async (library) => {
    const stream = db.Stream(key, { schema: SCHEMAS[library] });
    const id = await stream.add({ sku: "a-1", total: "7" });
    await stream.addMany([{ sku: "a-2", total: "8", tags: "x,y" }]);
    expect((await db.xrange(key, "-", "+")).map(([, fields]) => fields)).toEqual([
      ["sku", "a-1", "total", "7"],
      ["sku", "a-2", "total", "8", "tags", "x,y"],
    ]);
    const expected = [
      { sku: "a-1", total: 7, tags: ["none"] },
      { sku: "a-2", total: 8, tags: ["x", "y"] },
    ];
    expect((await stream.range()).map(({ data }) => data)).toEqual(expected);
    expect((await stream.read()).map(({ data }) => data)).toEqual(expected);
    expect((await stream.get(id))?.data).toEqual(expected[0]);
  },
);

test.each(libraries)(
  "schema – %s: what it refuses is not added, by the path of the fault",
  async (library) => {
    const stream = db.Stream(key, { schema: SCHEMAS[library] });
    const bad = { sku: "a", total: "7" };
    const outcome = stream.add(bad);
    await expect(outcome).rejects.toBeInstanceOf(InvalidArgumentError);
    await expect(outcome).rejects.toMatchObject({
      argument: "data.sku",
      value: "a",
      message: expect.stringMatching(/^data\.sku must be as the schema says \(.+\), got "a"$/),
      cause: [expect.objectContaining({ message: expect.any(String) })],
    });
    await expect(stream.addMany([{ sku: "a-1", total: "7" }, bad])).rejects.toThrow("value 1 of addMany");
    await expect(stream.add({ sku: "a-1", total: 7 } as never)).rejects.toMatchObject({
      argument: "data.total",
    });
    expect(await stream.exists()).toBe(false);
  },
);

test.each(libraries)(
  "schema – %s: an entry it refuses is a DecodeError with all there is to know",
  async (library) => {
    const stream = db.Stream(key, { schema: SCHEMAS[library] });
    const ids = [
      await stream.add({ sku: "a-1", total: "7" }, { headers: { region: "eu" } }),
      await db.xadd(key, "*", "sku", "a", "total", "0", "@headers", "{}"),
      await stream.add({ sku: "a-3", total: "9" }),
      await db.xadd(key, "*", "other", "x"),
    ];
    for (const read of [() => stream.range(), () => stream.read()]) {
      const error = await refusal(read());
      expect(error).toMatchObject({
        name: "DecodeError",
        code: "DECODE",
        retriable: false,
        stream: key,
        id: ids[1],
        fields: { sku: Buffer.from("a"), total: Buffer.from("0"), "@headers": Buffer.from("{}") },
        issues: [
          { path: ["sku"], message: expect.any(String) },
          { path: ["total"], message: expect.any(String) },
        ],
      });
      expect(error.decoded).toEqual([
        expect.objectContaining({
          id: ids[0],
          data: { sku: "a-1", total: 7, tags: ["none"] },
          headers: { region: "eu" },
        }),
        expect.objectContaining({ id: ids[2] }),
      ]);
      expect(error.message).toContain(
        `entry ${ids[1]} of stream ${JSON.stringify(key)} does not decode at sku: `,
      );
    }
    expect(await refusal(stream.get(ids[3]!))).toMatchObject({ id: ids[3], decoded: [] });
    expect(await stream.length()).toBe(4);
  },
);

test.each(libraries)("schema – %s: asynchronous rules, both ways", async (library) => {
  const stream = db.Stream(key, { schema: ASYNC[library] });
  const [first] = await stream.addMany([{ sku: "a-1" }, { sku: "a-2" }]);
  await expect(stream.add({ sku: "a" })).rejects.toMatchObject({
    argument: "data.sku",
    code: "INVALID_ARGUMENT",
  });
  await expect(stream.addMany([{ sku: "a-3" }, { sku: "a" }])).rejects.toThrow("value 1 of addMany");
  expect((await stream.range()).map(({ data }) => data.sku)).toEqual(["a-1", "a-2"]);
  expect((await stream.get(first!))?.data).toEqual({ sku: "a-1" });
  const bad = await db.xadd(key, "*", "sku", "a");
  await stream.add({ sku: "a-4" });
  const error = await refusal(stream.read());
  expect(error).toMatchObject({ id: bad, issues: [{ message: "too short", path: ["sku"] }] });
  expect(error.decoded).toMatchObject([
    { data: { sku: "a-1" } },
    { data: { sku: "a-2" } },
    { data: { sku: "a-4" } },
  ]);
});

test("schema – over another codec: dates in JSON", async () => {
  const schema = z.object({ at: z.iso.datetime().transform((at) => new Date(at)) });
  const stream = db.Stream(key, { codec: json(), schema });
  await stream.add({ at: "2018-01-02T06:00:00Z" });
  expect((await stream.first())?.data).toEqual({ at: new Date("2018-01-02T06:00:00Z") });
  const bad = await db.xadd(key, "*", "json", "{");
  expect(await refusal(stream.range())).toMatchObject({
    id: bad,
    issues: [{ message: expect.stringContaining("JSON") }],
  });
});

test("schema – what it accepts and the codec cannot store is refused", async () => {
  const stream = db.Stream(key, { schema: z.object({ at: z.date() }) });
  await expect(stream.add({ at: new Date(0) })).rejects.toMatchObject({ argument: 'data["at"]' });
});

test("schema – a fault of the whole value", async () => {
  const stream = db.Stream(key, { schema: z.string() });
  await expect(stream.add(5 as never)).rejects.toMatchObject({ argument: "data", value: 5 });
});

test("schema – bad headers are a DecodeError though the data are good", async () => {
  const plain = db.Stream(key);
  const typed = db.Stream(key, { schema: SCHEMAS.zod });
  const good = await plain.add({ sku: "a-1", total: 7 });
  const bad = await db.xadd(key, "*", "sku", "a-2", "total", "8", "@headers", "[]");
  for (const stream of [plain, typed]) {
    for (const read of [() => stream.range(), () => stream.read(), () => stream.last()]) {
      expect(await refusal(read())).toMatchObject({
        id: bad,
        stream: key,
        fields: { sku: Buffer.from("a-2"), total: Buffer.from("8"), "@headers": Buffer.from("[]") },
        issues: [{ message: "the headers are not a JSON object", path: ["@headers"] }],
      });
    }
    expect((await refusal(stream.range())).decoded).toMatchObject([{ id: good }]);
  }
});

test.each<[string, unknown]>([
  ["null", null],
  ["a function", () => true],
  ["an object of rules", { sku: "string" }],
  ["one without validate", { "~standard": { version: 1, vendor: "x" } }],
])("schema – %s is refused when the stream is made", (_, schema) => {
  expect(() => new Stream(db, key, { schema: schema as never })).toThrow(
    /^schema must be a Standard Schema, got /,
  );
});

test("Payload.encode – a promise only where the schema gives one", async () => {
  const now = new Payload(undefined, SCHEMAS.zod).encode({ sku: "a-1", total: "7" });
  expect(now).toEqual(["sku", "a-1", "total", "7"]);
  const later = new Payload(undefined, ASYNC.zod).encode({ sku: "a-1" }, { a: "1" });
  expect(later).toBeInstanceOf(Promise);
  expect(await later).toEqual(["sku", "a-1", "@headers", '{"a":"1"}']);
});
