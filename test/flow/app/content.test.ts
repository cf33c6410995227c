import { expect, test } from "vitest";
import { content, Undecodable } from "../../../src/flow/app/content.ts";
import { type Codec, type Message, WalrusError } from "../../../src/index.ts";
import { Payload } from "../../../src/wire/codec.ts";
import { within } from "../../connection/harness.ts";
import { failure } from "../../containers/harness.ts";
import { Stage } from "./stage.ts";

const stage = new Stage();

/** What an app's subscriber is given, of messages that are put there by `publish`. */
async function received(
  count: number,
  publish: (app: ReturnType<Stage["app"]>) => Promise<unknown>,
): Promise<Message<unknown>[]> {
  const app = stage.app();
  app.subscriber(stage.key, { group: "g" }, () => {});
  await using t = await app.test();
  await publish(app);
  return await within(5000, t.handled(count));
}

test.each<[string, unknown, string, string]>([
  ["an object", { n: 1, deep: [{ ü: "🦭", no: null }] }, "application/json", "json"],
  ["an array", [1, "a"], "application/json", "json"],
  ["a number", 7, "application/json", "json"],
  ["null", null, "application/json", "json"],
  ["false", false, "application/json", "json"],
  ["a string", '{"not": "parsed"} ü🦭\n', "text/plain", "text"],
  ["an empty string", "", "text/plain", "text"],
])("content – %s is read back as what it was", async (_, value, type, field) => {
  const [message] = await received(1, (app) => app.publish(value, { stream: stage.key }));
  expect(message!.data).toEqual(value);
  expect(message!.headers["content-type"]).toBe(type);
  const [[, fields]] = (await stage.watch.redis.xrange(stage.key, "-", "+")) as [[string, string[]]];
  expect(fields[0]).toBe(field);
});

test("content – bytes are read back as they were, none of them text", async () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const [bytes, none] = await received(2, async (app) => {
    await app.publish(all, { stream: stage.key });
    await app.publish(Buffer.alloc(0), { stream: stage.key });
  });
  expect(bytes!.data).toBeInstanceOf(Uint8Array);
  expect([...(bytes!.data as Uint8Array)]).toEqual([...all]);
  expect(bytes!.headers["content-type"]).toBe("application/octet-stream");
  expect([...(none!.data as Uint8Array)]).toEqual([]);
});

test("content – bytes are copies: the next reads do not change them", async () => {
  const messages = await received(200, (app) =>
    Promise.all(
      Array.from({ length: 200 }, (_, i) => app.publish(new Uint8Array(500).fill(i), { stream: stage.key })),
    ),
  );
  for (const [i, { data }] of messages.entries()) expect(new Set(data as Uint8Array)).toEqual(new Set([i]));
});

test("content – a header says otherwise: JSON of other names, texts, and bytes for the rest", async () => {
  const typed = (type: string, value: unknown, app: ReturnType<Stage["app"]>): Promise<string> =>
    app.publish(value, { stream: stage.key, headers: { "content-type": type } });
  const messages = await received(5, async (app) => {
    await typed("application/json; charset=utf-8", '{"a":1}', app);
    await typed("application/cloudevents+json", '{"a":2}', app);
    await typed("text/html", "<p>", app);
    await typed("image/png", new Uint8Array([1]), app);
    await typed("application/jsonlines", "{}", app);
  });
  const [json, cloud, html, png, lines] = messages.map(({ data }) => data);
  expect([json, cloud, html]).toEqual([{ a: 1 }, { a: 2 }, "<p>"]);
  expect([...(png as Uint8Array)]).toEqual([1]);
  expect(String(lines)).toBe("{}");
});

test.each<[string, string[], unknown]>([
  ["plain fields", ["sku", "a", "total", "7"], { sku: "a", total: "7" }],
  ["an object in one field named data", ["data", ' {"a":[1]}'], { a: [1] }],
  ["an array in one field named payload", ["payload", "[1]"], [1]],
  ["an object in one field named json", ["json", '{"a":1}'], { a: 1 }],
  ["an object in one field named body", ["body", "{}"], {}],
  ["an object in one field named message", ["message", '{"a":1}'], { a: 1 }],
  ["an object in one field of another name", ["sku", '{"a":1}'], { sku: '{"a":1}' }],
  ["a number in one field named data", ["data", "7"], { data: "7" }],
  ["a text that only begins as JSON", ["data", "{hello}"], { data: "{hello}" }],
  ["two fields, one of them named data", ["data", "{}", "n", "1"], { data: "{}", n: "1" }],
  ["a field named __proto__", ["__proto__", "x", "a", "1"], JSON.parse('{"__proto__":"x","a":"1"}')],
])("content – an entry of another producer: %s", async (_, fields, data) => {
  const [message] = await received(1, () => stage.watch.redis.xadd(stage.key, "*", ...fields));
  expect(message!.data).toEqual(data);
});

test("content – long headers and those that are not ASCII survive", async () => {
  const headers = { ключ: "🦭 ü", long: "é".repeat(100_000), empty: "" };
  const [message] = await received(1, (app) => app.publish({}, { stream: stage.key, headers }));
  expect(message!.headers).toEqual({ ...headers, "content-type": "application/json" });
});

test("content – a body that does not decode goes to the dead letters as it is, the rest of the read is handled", async () => {
  const app = stage.app();
  const seen: unknown[] = [];
  app.subscriber(stage.key, { group: "g" }, ({ data }) => void seen.push(data));
  const { redis } = stage.watch;
  const headers = '{"content-type":"application/json"}';
  await redis.xadd(stage.key, "1-0", "json", "1", "@headers", headers);
  await redis.xadd(stage.key, "2-0", "json", "{broken", "@headers", headers);
  await redis.xadd(stage.key, "3-0", "json", "3", "@headers", headers);
  await using t = await app.test();
  await within(5000, t.handled(2));
  expect(seen).toEqual([1, 3]);
  const dead = `{${stage.key}}:dead`;
  await expect.poll(() => redis.xlen(dead)).toBe(1);
  const [[, fields]] = (await redis.xrange(dead, "-", "+")) as [[string, string[]]];
  expect(fields.slice(0, 4)).toEqual(["json", "{broken", "@headers", headers]);
  const { error, deliveries } = JSON.parse(fields[5]!);
  expect(error.name).toBe("DecodeError");
  expect(error.message).toContain(`entry 2-0 of stream "${stage.key}" does not decode at json: `);
  expect(deliveries).toBe(1);
});

test("content.decode – what does not decode is kept, and nothing is thrown", () => {
  const value = Buffer.from("{broken");
  const data = content.decode([{ name: "json", value }], { "content-type": "application/json" });
  expect(data).toBeInstanceOf(Undecodable);
  value.fill(0);
  const { fields, issues } = data as Undecodable;
  expect(String(fields["json"])).toBe("{broken");
  expect(issues).toEqual([{ message: expect.any(String), path: ["json"] }]);
});

test("content.decode – bytes and what does not decode are copies: they outlive what was read", () => {
  const value = Buffer.from("{broken");
  const read = (type: string): unknown => content.decode([{ name: "json", value }], { "content-type": type });
  const [bytes, bad] = [read("application/octet-stream"), read("application/json")];
  value.fill(0);
  expect([String(bytes), String((bad as Undecodable).fields["json"])]).toEqual(["{broken", "{broken"]);
});

test("App.publish – what JSON cannot hold is refused, and nothing is sent", async () => {
  await using app = stage.app();
  const loop: Record<string, unknown> = {};
  loop["loop"] = loop;
  for (const value of [undefined, () => {}, 5n, loop]) {
    const error = await failure(app.publish(value, { stream: stage.key }), WalrusError);
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", argument: "data" });
  }
  expect(await stage.watch.redis.exists(stage.key)).toBe(0);
});

test("Codec.decode – is given the headers; one that takes none is as it was", () => {
  const seen: unknown[] = [];
  const codec: Codec<number> = {
    name: "seen",
    encode: () => ["a", "1"],
    decode: (fields, headers) => {
      seen.push(headers);
      return fields.length;
    },
  };
  const payload = new Payload<number, number>(codec as Codec<unknown, unknown>);
  expect(payload.decode([], { a: "1" })).toBe(0);
  expect(payload.decode([])).toBe(0);
  expect(seen).toEqual([{ a: "1" }, undefined]);
});
