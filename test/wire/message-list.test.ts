import type { StandardSchemaV1 } from "@standard-schema/spec";
import { expect, test } from "vitest";
import { DecodeError } from "../../src/index.ts";
import { type Codec, NO_HEADERS, Payload, pairs, type RawField } from "../../src/wire/codec.ts";
import { MessageList } from "../../src/wire/message-list.ts";
import type { Read } from "./feed.ts";

const field = (name: string, value: string): RawField => ({ name, value: Buffer.from(value) });

/** A value as it is read, or when asked for by hand. */
const number: Codec<number> = {
  name: "number",
  encode: (value) => ["n", String(value)],
  decode(fields) {
    const value = Number(fields[0]!.value.toString());
    if (Number.isNaN(value)) throw new Error(`no number: ${fields[0]!.value}`);
    return value;
  },
};

/** A schema whose verdicts are given by the test, in any order. */
function delayed() {
  const verdicts: ((result: StandardSchemaV1.Result<number>) => void)[] = [];
  const failures: ((error: unknown) => void)[] = [];
  const schema: StandardSchemaV1<number, number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: () =>
        new Promise((resolve, reject) => {
          verdicts.push(resolve);
          failures.push(reject);
        }),
    },
  };
  return { schema, verdicts, failures };
}

function listOf<T>(codec: Codec<T>, schema?: StandardSchemaV1<T, T>): MessageList<T, Read> {
  const payload = new Payload<T, T>(codec as Codec<unknown, unknown>, schema);
  return new MessageList<T, Read>("s", payload, (id, data, headers) => ({ id, data, headers }));
}

const read = (id: string, data: unknown): Read => ({ id, data, headers: NO_HEADERS });

async function refusal(list: MessageList<never, Read> | MessageList<number, Read>): Promise<DecodeError> {
  const error = await (async () => await list.messages())().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(DecodeError);
  return error as DecodeError;
}

test("MessageList.messages – in order, at once where nothing waits", () => {
  const list = listOf(number);
  list.fields("1-1", [field("n", "1")]);
  list.fields("1-2", [field("n", "2")]);
  expect(list.messages()).toEqual([read("1-1", 1), read("1-2", 2)]);
  expect([list.count, list.lastId, list.stream]).toEqual([2, "1-2", "s"]);
});

test("MessageList.messages – none", () => {
  const list = listOf(number);
  expect(list.messages()).toEqual([]);
  expect([list.count, list.lastId]).toEqual([0, null]);
});

test("MessageList.messages – good and bad mixed: the first bad one, and all that decoded", async () => {
  const list = listOf(number);
  for (const [id, value] of [
    ["1-1", "1"],
    ["1-2", "x"],
    ["1-3", "3"],
    ["1-4", "y"],
    ["1-5", "5"],
  ] as const)
    list.fields(id, [field("n", value), field("@headers", "{}")]);
  expect([list.count, list.lastId]).toEqual([5, "1-5"]);
  const error = await refusal(list);
  expect(error).toMatchObject({
    stream: "s",
    id: "1-2",
    issues: [{ message: "no number: x" }],
    fields: { n: Buffer.from("x"), "@headers": Buffer.from("{}") },
    decoded: [read("1-1", 1), read("1-3", 3), read("1-5", 5)],
  });
  expect(error.message).toBe('entry 1-2 of stream "s" does not decode: no number: x');
});

test("MessageList.messages – nothing but bad ones", async () => {
  const list = listOf(number);
  list.fields("1-1", [field("n", "x")]);
  expect((await refusal(list)).decoded).toEqual([]);
});

test("MessageList.messages – asked for twice, the same error", async () => {
  const list = listOf(number);
  list.fields("1-1", [field("n", "x")]);
  list.fields("1-2", [field("n", "2")]);
  const [first, second] = [await refusal(list), await refusal(list)];
  expect(second).toMatchObject({ id: first.id, decoded: first.decoded, fields: first.fields });
});

test("MessageList.messages – an asynchronous schema that answers in another order", async () => {
  const { schema, verdicts } = delayed();
  const list = listOf(number, schema);
  for (const n of [1, 2, 3]) list.fields(`1-${n}`, [field("n", `${n}`)]);
  const messages = list.messages();
  expect(messages).toBeInstanceOf(Promise);
  for (const i of [2, 0, 1]) verdicts[i]!({ value: i * 10 });
  expect(await messages).toEqual([read("1-1", 0), read("1-2", 10), read("1-3", 20)]);
});

test("MessageList.messages – refusals of an asynchronous schema and of the codec, mixed: the first by id", async () => {
  const { schema, verdicts } = delayed();
  const list = listOf(number, schema);
  for (const [id, value] of [
    ["1-1", "1"],
    ["1-2", "2"],
    ["1-3", "x"],
    ["1-4", "4"],
  ] as const)
    list.fields(id, [field("n", value)]);
  const messages = refusal(list);
  verdicts[2]!({ value: 4 });
  verdicts[1]!({ issues: [{ message: "too small", path: ["n", { key: 0 }] }] });
  verdicts[0]!({ value: 1 });
  const error = await messages;
  expect(error.id).toBe("1-2");
  expect(error.issues).toEqual([{ message: "too small", path: ["n", 0] }]);
  expect(error.message).toBe('entry 1-2 of stream "s" does not decode at n.0: too small');
  expect(error.decoded).toEqual([read("1-1", 1), read("1-4", 4)]);
});

test("MessageList.messages – a schema that fails, at once or later, is a refusal too", async () => {
  const { schema, failures } = delayed();
  const list = listOf(number, schema);
  list.fields("1-1", [field("n", "1")]);
  const messages = refusal(list);
  failures[0]!(new Error("no database"));
  expect((await messages).issues).toEqual([{ message: "Error: no database" }]);
  const throwing: StandardSchemaV1<number, number> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate() {
        throw new Error("no rules");
      },
    },
  };
  const other = listOf(number, throwing);
  other.fields("1-1", [field("n", "1")]);
  expect((await refusal(other)).issues).toEqual([{ message: "Error: no rules" }]);
});

test("MessageList.fields – views: what is kept of them does not change with the buffer", async () => {
  const { schema, verdicts } = delayed();
  const list = listOf(number, schema);
  const views = [field("n", "1"), field("a", "bc")];
  list.fields("1-1", views);
  const refused = listOf(number);
  refused.fields("1-1", [{ name: "n", value: Buffer.from("x") }, views[1]!]);
  for (const { value } of views) value.fill(0);
  verdicts[0]!({ issues: [{ message: "no" }] });
  expect((await refusal(list)).fields).toEqual({ n: Buffer.from("1"), a: Buffer.from("bc") });
  expect((await refusal(refused)).fields["a"]).toEqual(Buffer.from("bc"));
});

test("MessageList.fields – the codec does not see the headers, wherever they stand", () => {
  const list = listOf(pairs as unknown as Codec<unknown>);
  list.fields("1-1", [field("@headers", '{"a":"1"}'), field("x", "1"), field("@headers", '{"a":"2"}')]);
  expect(list.messages()).toEqual([{ id: "1-1", data: [{ name: "x", value: "1" }], headers: { a: "2" } }]);
});

test.each(["", "x", "null", "7", '"a"', "[]", "{"])(
  "MessageList.fields – headers %j are refused",
  async (value) => {
    const list = listOf(number);
    list.fields("1-1", [field("n", "1"), field("@headers", value)]);
    const error = await refusal(list);
    expect(error.issues).toEqual([{ message: "the headers are not a JSON object", path: ["@headers"] }]);
    expect(error.fields["@headers"]).toEqual(Buffer.from(value));
  },
);

test("MessageList.text – a record with or without headers; bad headers are not taken", () => {
  const list = new MessageList("s", new Payload<Record<string, string>, never>(), (id, data, headers) => ({
    id,
    data,
    headers,
  }));
  expect(list.takesText).toBe(true);
  expect(list.text("1-1", { a: "1" }, null)).toBe(true);
  expect(list.text("1-2", { a: "2" }, '{"b":"3"}')).toBe(true);
  expect(list.text("1-3", { a: "3" }, "bad")).toBe(false);
  expect(list.messages()).toEqual([
    read("1-1", { a: "1" }),
    { id: "1-2", data: { a: "2" }, headers: { b: "3" } },
  ]);
  expect([list.count, list.lastId]).toEqual([2, "1-2"]);
});

test("MessageList.takesText – only with the text codec and no schema", () => {
  expect(listOf(number).takesText).toBe(false);
  expect(listOf(pairs as unknown as Codec<unknown>).takesText).toBe(false);
  const payload = new Payload<number, number>(undefined, delayed().schema);
  expect(new MessageList("s", payload, () => null).takesText).toBe(false);
});

test("MessageList.deleted – counted, and nothing to give", () => {
  const list = listOf(number);
  list.fields("1-1", [field("n", "1")]);
  list.deleted("1-2");
  expect(list.messages()).toEqual([read("1-1", 1)]);
  expect([list.count, list.lastId]).toEqual([2, "1-2"]);
});

test("MessageList.outcomes – all in order, each refusal in its place", async () => {
  const { schema, verdicts } = delayed();
  const now = listOf(number);
  const later = listOf(number, schema);
  for (const list of [now, later])
    for (const value of ["1", "x", "3", "y"]) list.fields(`1-${value}`, [field("n", value)]);
  const expected = [
    read("1-1", 1),
    expect.objectContaining({ code: "DECODE", id: "1-x", issues: [{ message: "no number: x" }] }),
    read("1-3", 3),
    expect.objectContaining({ code: "DECODE", id: "1-y" }),
  ];
  expect(now.outcomes()).toEqual(expected);
  const outcomes = later.outcomes();
  verdicts[1]!({ issues: [{ message: "too great" }] });
  verdicts[0]!({ value: 1 });
  expect(await outcomes).toEqual([
    expected[0],
    expected[1],
    expect.objectContaining({
      id: "1-3",
      issues: [{ message: "too great" }],
      fields: { n: Buffer.from("3") },
    }),
    expected[3],
  ]);
});

test("MessageList.outcomes – none refused", () => {
  const list = listOf(number);
  list.fields("1-1", [field("n", "1")]);
  expect(list.outcomes()).toEqual([read("1-1", 1)]);
});
