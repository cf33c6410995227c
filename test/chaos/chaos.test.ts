import { expect, test } from "vitest";
import { linesOf } from "./report.ts";
import { chaos, type Report } from "./run.ts";

// Processes take their time to start on a busy machine, and leases theirs to run out.
const timeout = 420_000;

/** How often each promise was broken. */
function broken({ breaches }: Report): string[] {
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

test("chaos – workers that acknowledge before they handle, and die", { timeout }, async () => {
  const report = await chaos({ seconds: 8, seed: 3, sabotage: "ack-first" });
  expect(broken(report), linesOf(report).join("\n")).toContain("every entry is handled at least once");
});

test("chaos – workers that do not renew their leases", { timeout }, async () => {
  const report = await chaos({ seconds: 8, seed: 3, sabotage: "no-lease" });
  expect(broken(report), linesOf(report).join("\n")).toContain(
    "one owner at a time while its lease is renewed",
  );
  const [first] = report.breaches;
  expect(first?.history.join("\n")).toMatch(/worker-\d\.1 begins .*\n(.*\n)*.*worker-\d\.1 begins /);
});

test("chaos – producers that repeat without an idempotency key", { timeout }, async () => {
  // Two producers have replies swallowed, the first after a second.
  const report = await chaos({ seconds: 8, seed: 7, sabotage: "no-idempotency" });
  expect(broken(report), linesOf(report).join("\n")).toContain(
    "every acknowledged push is in the stream once",
  );
});

test("chaos – readers that leave what was given to them before a crash", { timeout }, async () => {
  const report = await chaos({ seconds: 8, seed: 3, sabotage: "no-backlog" });
  expect(broken(report), linesOf(report).join("\n")).toContain("nothing is pending at the end");
});
