import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { Roll } from "../../src/ground/roll.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

test("Roll.all – in the order in which they were added, each once", () => {
  const roll = new Roll<{ name: string }>();
  const [a, b, c] = ["a", "b", "c"].map((name) => ({ name }));
  for (const member of [a!, b!, a!, c!, b!]) roll.add(member);
  expect(roll.all()).toEqual([a, b, c]);
});

test("Roll.remove – listed no more; added again, it is the last", () => {
  const roll = new Roll<object>();
  const [a, b] = [{}, {}];
  roll.remove(a);
  roll.add(a);
  roll.add(b);
  roll.remove(a);
  roll.remove(a);
  expect(roll.all()).toEqual([b]);
  roll.add(a);
  expect(roll.all()[1]).toBe(a);
  expect(roll.all()).toHaveLength(2);
});

test("Roll – nothing is kept alive by being listed, what is held stays", async () => {
  const roll = new Roll<{ n: number }>();
  const held = { n: -1 };
  roll.add(held);
  for (let n = 0; n < 1000; n++) roll.add({ n });
  // What was added in this turn is held until its end.
  await turn();
  collect();
  expect(roll.all()).toEqual([held]);
});
