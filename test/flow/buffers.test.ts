import { expect, test } from "vitest";
import { Buffers } from "../../src/flow/buffers.ts";

/** All that is held, in the order in which it is taken. */
function drain(buffers: Buffers<number>): string[] {
  const all: string[] = [];
  for (let taken = buffers.take(); taken !== null; taken = buffers.take())
    all.push(`${taken.key}${taken.item}`);
  return all;
}

test("Buffers.take – nothing is held", () => {
  const buffers = new Buffers<number>();
  expect(buffers.isEmpty).toBe(true);
  expect(buffers.take()).toBeNull();
  expect(buffers.count("a")).toBe(0);
});

test("Buffers.take – one key: in order", () => {
  const buffers = new Buffers<number>();
  buffers.put("a", [1, 2]);
  buffers.put("a", [3]);
  expect(buffers.count("a")).toBe(3);
  expect(drain(buffers)).toEqual(["a1", "a2", "a3"]);
  expect(buffers.isEmpty).toBe(true);
  expect(buffers.count("a")).toBe(0);
});

test("Buffers.take – many keys: in turn, whatever their numbers", () => {
  const buffers = new Buffers<number>();
  buffers.put("a", [1, 2, 3, 4]);
  buffers.put("b", [1]);
  buffers.put("c", [1, 2]);
  expect(drain(buffers)).toEqual(["a1", "b1", "c1", "a2", "c2", "a3", "a4"]);
});

test("Buffers.put – a busy key that is filled again keeps its place in turn", () => {
  const buffers = new Buffers<number>();
  buffers.put("a", [1, 2]);
  buffers.put("b", [1, 2]);
  expect(buffers.take()).toEqual({ key: "a", item: 1 });
  buffers.put("a", [3, 4]);
  expect(buffers.count("a")).toBe(3);
  expect(drain(buffers)).toEqual(["b1", "a2", "b2", "a3", "a4"]);
});

test("Buffers.put – a key that was empty stands at the end", () => {
  const buffers = new Buffers<number>();
  buffers.put("a", [1]);
  buffers.put("b", [1, 2]);
  buffers.take();
  buffers.put("a", [2]);
  expect(drain(buffers)).toEqual(["b1", "a2", "b2"]);
});

test("Buffers.drop – what is held of a key is gone; it may be filled again", () => {
  const buffers = new Buffers<number>();
  buffers.put("a", [1, 2]);
  buffers.put("b", [1]);
  buffers.drop("a");
  buffers.drop("nobody");
  expect(buffers.count("a")).toBe(0);
  buffers.put("a", [3]);
  expect(drain(buffers)).toEqual(["b1", "a3"]);
});

test("Buffers.drop – the last key: nothing is held", () => {
  const buffers = new Buffers<number>();
  buffers.put("a", [1]);
  buffers.drop("a");
  expect(buffers.isEmpty).toBe(true);
});
