import { expect, test } from "vitest";
import { soak } from "./run.ts";

test("soak – ten seconds of faults: every acknowledged add is seen, nothing is pending", {
  timeout: 60_000,
}, async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const { counts, faults, failures } = await soak({ seconds: 10, seed });
  expect(failures, `seed ${seed}, ${JSON.stringify({ counts, faults })}`).toEqual([]);
  expect(counts.adds).toBeGreaterThan(100);
  expect(Object.values(faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(3);
});

test("soak – the checks see members that acknowledge before they record, and crash", {
  timeout: 60_000,
}, async () => {
  const { failures } = await soak({ seconds: 3, seed: 3, sabotage: "ack before recording" });
  expect(failures.join("\n")).toMatch(/acknowledged adds were never seen: soak-/);
});

test("soak – the checks see members that leave what was given to them before a crash", {
  timeout: 60_000,
}, async () => {
  const { failures } = await soak({ seconds: 3, seed: 3, sabotage: "stranded replies" });
  expect(failures.join("\n")).toMatch(/lives and never gave or acknowledged \d+ entries of soak-/);
});
