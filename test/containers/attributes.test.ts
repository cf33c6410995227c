import { expect, test } from "vitest";
import { attributeName, ConsumerGroup, GroupStream, type IdLike } from "../../src/index.ts";
import { Place } from "./harness.ts";

const place = new Place();

/** Attributes of a group: the names beside its own four. */
function attributesOf(keys: string | readonly string[] | Record<string, IdLike>): string[] {
  const own = ["name", "keys", "consumerName", "streams"];
  return Object.keys(place.db.consumerGroup("cg", keys)).filter((name) => !own.includes(name));
}

test("attributeName – camelCase of letters and digits", () => {
  const names = {
    "stream-c": "streamC",
    "orders:eu": "ordersEu",
    "{tag}orders": "tagOrders",
    snake_case: "snakeCase",
    "1st": "_1st",
    "10": "_10",
    Upper: "upper",
    "with CAPS inWord": "withCAPSInWord",
    "a-1-b2": "a1B2",
    "größe-ßx": "größeSSx",
    "заказы:ес": "заказыЕс",
    "订单-a": "a",
    订单: "",
    "::": "",
    "": "",
  };
  for (const [key, name] of Object.entries(names)) expect([key, attributeName(key)]).toEqual([key, name]);
  expect(attributeName("__proto__")).toBe("proto");
});

test("ConsumerGroup – each stream is an attribute by its key's name, the same object as in streams", () => {
  const cg = place.db.consumerGroup("cg", [
    "stream-c",
    "orders:eu",
    "{tag}orders",
    "snake_case",
    "1st",
    "10",
  ]);
  expect(cg.streamC).toBe(cg.streams["stream-c"]);
  expect(cg.ordersEu).toBe(cg.streams["orders:eu"]);
  expect(cg.tagOrders).toBe(cg.streams["{tag}orders"]);
  expect(cg.snakeCase).toBe(cg.streams.snake_case);
  expect(cg._1st).toBe(cg.streams["1st"]);
  expect(cg._10).toBe(cg.streams["10"]);
  expect(cg.ordersEu).toBeInstanceOf(GroupStream);
  expect(cg.ordersEu.key).toBe("orders:eu");
  expect((cg as unknown as Record<string, unknown>)["streamD"]).toBeUndefined();
});

test("ConsumerGroup – an attribute cannot be replaced", () => {
  const cg = place.db.consumerGroup("cg", ["stream-a"]);
  expect(() => Object.assign(cg, { streamA: 1 })).toThrow(TypeError);
  expect(cg.streamA).toBe(cg.streams["stream-a"]);
});

test("ConsumerGroup – one key and a map of keys have them too", () => {
  expect(attributesOf("orders:eu")).toEqual(["ordersEu"]);
  expect(attributesOf({ "orders:eu": "$", third: new Date() })).toEqual(["ordersEu", "third"]);
  expect(place.db.timeSeries("ts", ["s1", "s-2"]).s2.key).toBe("s-2");
});

test("ConsumerGroup – a name that a member holds has no attribute, streams[key] works", async () => {
  const keys = [
    "read",
    "then",
    "create",
    "constructor",
    "to-string",
    "keys",
    "name",
    "streams",
    "value-of",
  ] as const;
  expect(attributesOf([...keys, "free"])).toEqual(["free"]);
  const cg = place.db.consumerGroup("cg", keys);
  expect(cg.read).toBeTypeOf("function");
  expect(cg.keys).toEqual(keys);
  expect(cg.constructor).toBe(place.db.consumerGroup("cg", "a").constructor);
  expect(`${cg}`).toBe("[object Object]");
  for (const key of keys) expect(cg.streams[key].key).toBe(key);
  expect(await cg).toBe(cg); // No thenable.
});

test("ConsumerGroup – names of the code's own parts are free, as the types say", () => {
  const cg = place.db.consumerGroup("cg", ["read-all", "on-each", "client", "make-stream"]);
  expect([cg.readAll.key, cg.onEach.key, cg.client.key, cg.makeStream.key]).toEqual([
    "read-all",
    "on-each",
    "client",
    "make-stream",
  ]);
});

test("ConsumerGroup – two keys with one name: neither has it", () => {
  expect(attributesOf(["a-b", "a_b", "a:c"])).toEqual(["aC"]);
  const cg = place.db.consumerGroup("cg", ["a-b", "a_b"]);
  expect(cg.streams["a-b"].key).toBe("a-b");
  expect(cg.streams.a_b.key).toBe("a_b");
});

test("ConsumerGroup – a key without letters and digits has none", () => {
  expect(attributesOf(["::", "订单"])).toEqual([]);
});

test("ConsumerGroup – the key __proto__ is a key like others", async () => {
  const cg = place.db.consumerGroup("cg", ["__proto__", "plain"]);
  expect(Object.keys(cg.streams)).toEqual(["__proto__", "plain"]);
  expect(cg.proto).toBe(Object.values(cg.streams)[0]);
  const made = await cg.create();
  expect(Object.entries(made)).toEqual([
    ["__proto__", true],
    ["plain", true],
  ]);
  await cg.proto.add({ a: 1 });
  const read = await cg.read();
  expect(Object.keys(read)).toEqual(["__proto__"]);
  expect(Object.getPrototypeOf(read)).toBe(Object.prototype);
  await cg.destroy();
});

test("ConsumerGroup – keys known at run time only: attributes are there all the same", () => {
  const keys = ["x-1", "x-2"].map((key) => key);
  const cg = place.db.consumerGroup("cg", keys);
  expect(cg).toBeInstanceOf(ConsumerGroup);
  expect((cg as unknown as { x1: GroupStream }).x1.key).toBe("x-1");
});

test("ConsumerGroup.consumer – has the same attributes, as that consumer's", () => {
  const other = place.db.consumerGroup("cg", ["stream-a", "stream-b"]).consumer("c2");
  expect(other.streamA.consumer).toBe("c2");
  expect(other.streamB).toBe(other.streams["stream-b"]);
});

test("ConsumerGroup – a key of 300 characters", () => {
  const key = "ab-".repeat(100);
  expect(attributesOf(key)).toEqual([`ab${"Ab".repeat(99)}`]);
});
