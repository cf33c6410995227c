import { expect, test } from "vitest";
import type { Promised } from "./checker.ts";
import type { Sabotage } from "./plan.ts";
import { linesOf } from "./report.ts";
import { chaos, type Report } from "./run.ts";

// Processes take their time to start on a busy machine, and leases theirs to run out.
const timeout = 420_000;

/** How often each promise was broken. */
function broken({ breaches }: Report): Promised[] {
  return [...new Set(breaches.map(({ promise }) => promise))];
}

test("chaos – half a minute of faults: every promise is kept", { timeout }, async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const report = await chaos({ seconds: 30, seed });
  const told = `npm run chaos -- --minutes 0.5 --seed ${seed}\n${linesOf(report).join("\n")}`;
  expect([...report.breaches, ...report.failures], told).toEqual([]);
  expect(report.counts["acknowledged"], told).toBeGreaterThan(50);
  expect(report.counts["dead letters"], told).toBeGreaterThan(0);
  expect(Object.values(report.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(10);
});

/** Break a promise on purpose. Where the faults of one seed happen to meet nothing, those of the next do. */
async function sabotaged(sabotage: Sabotage, promise: Promised, seeds: readonly number[]): Promise<Report> {
  const told: string[] = [];
  for (const seed of seeds) {
    const report = await chaos({ seconds: 8, seed, sabotage });
    if (broken(report).includes(promise)) return report;
    told.push(...linesOf(report));
  }
  throw new Error(`the checker has not seen it:\n${told.join("\n")}`);
}

test("chaos – workers that acknowledge before they handle, and die", { timeout }, async () => {
  await sabotaged("ack-first", "every entry is handled at least once", [3, 4, 5]);
});

test("chaos – workers that do not renew their leases", { timeout }, async () => {
  const { breaches } = await sabotaged(
    "no-lease",
    "one owner at a time while its lease is renewed",
    [3, 4, 5],
  );
  const [first] = breaches;
  expect(first?.history.join("\n")).toMatch(/worker-\d\.1 begins .*\n(.*\n)*.*worker-\d\.1 begins /);
});

test("chaos – producers that repeat without an idempotency key", { timeout }, async () => {
  // Two producers have replies swallowed, the first after a second.
  await sabotaged("no-idempotency", "every acknowledged push is in the stream once", [7, 8, 9]);
});

test("chaos – readers that leave what was given to them before a crash", { timeout }, async () => {
  await sabotaged("no-backlog", "nothing is pending at the end", [3, 4, 5]);
});
