import fc from "fast-check";
import { expect, test } from "vitest";
import { Rate, Times } from "../../src/ground/meter.ts";

/** A rate by a clock of its own. */
function rate() {
  const clock = { now: 5000 };
  return { clock, rate: new Rate(() => clock.now) };
}

test("Rate – nothing yet, and nothing in the first millisecond", () => {
  const { rate: it } = rate();
  expect([it.count, it.recent, it.average, it.uptime]).toEqual([0, 0, 0, 0]);
  it.add(1000);
  expect([it.count, it.recent, it.average, it.uptime]).toEqual([1000, 0, 0, 0]);
});

test("Rate.recent – since it began, where that is less than 60 s", () => {
  const { clock, rate: it } = rate();
  it.add(100);
  clock.now += 500;
  expect(it.recent).toBe(200);
  clock.now += 9500;
  expect([it.recent, it.average, it.uptime]).toEqual([10, 10, 10_000]);
});

test("Rate.recent – what is more than 60 s ago counts no more", () => {
  const { clock, rate: it } = rate();
  it.add(600);
  clock.now += 59_999;
  expect(it.recent).toBeCloseTo(10, 2);
  clock.now += 1;
  expect(it.recent).toBe(0);
  clock.now += 60_000;
  expect(it.recent).toBe(0);
  it.add(6);
  expect(it.recent).toBe(0.1);
  expect(it.count).toBe(606);
  expect(it.average).toBe(606 / 120);
});

test("Rate.recent – a steady stream, looked at or not", () => {
  const { clock, rate: it } = rate();
  const { clock: other, rate: unseen } = rate();
  for (let second = 0; second < 200; second++) {
    it.add(5);
    unseen.add(5);
    clock.now += 1000;
    other.now += 1000;
    if (second > 60) expect(it.recent).toBeCloseTo((59 * 5) / 60, 10);
  }
  expect(unseen.recent).toBe(it.recent);
  expect([it.average, it.count, it.uptime]).toEqual([5, 1000, 200_000]);
});

test("Rate.recent – against a list of all that happened", () => {
  const step = fc.record({ wait: fc.nat(30_000), count: fc.nat(100) });
  const check = fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
    const { clock, rate: it } = rate();
    const start = clock.now;
    const happened: { second: number; count: number }[] = [];
    for (const { wait, count } of steps) {
      clock.now += wait;
      it.add(count);
      happened.push({ second: Math.floor((clock.now - start) / 1000), count });
    }
    clock.now += 1;
    const second = Math.floor((clock.now - start) / 1000);
    const sum = happened.reduce((all, one) => all + (second - one.second < 60 ? one.count : 0), 0);
    const recent = sum / Math.min((clock.now - start) / 1000, 60);
    return Math.abs(it.recent - recent) < 1e-9 && it.count === happened.reduce((n, one) => n + one.count, 0);
  });
  fc.assert(check);
});

test("Times – none yet", () => {
  expect(new Times().summary()).toEqual({ count: 0, mean: 0, p50: 0, p99: 0 });
});

test("Times – one time, one time many times", () => {
  const times = new Times();
  times.add(10);
  const { count, mean, p50, p99 } = times.summary();
  expect([count, mean]).toEqual([1, 10]);
  expect(p50).toBe(p99);
  expect(Math.abs(p50 / 10 - 1)).toBeLessThan(0.045);
  times.add(1000, 99);
  expect(times.summary()).toMatchObject({ count: 100, mean: (10 + 99_000) / 100 });
  expect(times.summary().p50).toBeGreaterThan(950);
});

test("Times – percentiles are those of the sorted times, 4.5 % off at most", () => {
  const time = fc.double({ min: 0.001, max: 1e8, noNaN: true });
  const check = fc.property(fc.array(time, { minLength: 1, maxLength: 500 }), (all) => {
    const times = new Times();
    for (const ms of all) times.add(ms);
    const sorted = [...all].sort((a, b) => a - b);
    const { count, mean, p50, p99 } = times.summary();
    const exact = (part: number): number => sorted[Math.ceil(part * sorted.length) - 1]!;
    const isNear = (value: number, part: number): boolean => Math.abs(value / exact(part) - 1) <= 0.045;
    const average = all.reduce((sum, ms) => sum + ms, 0) / all.length;
    return (
      count === all.length && Math.abs(mean / average - 1) < 1e-9 && isNear(p50, 0.5) && isNear(p99, 0.99)
    );
  });
  fc.assert(check, { numRuns: 500 });
});

test("Times – the shortest and the longest times stay in bounds", () => {
  const times = new Times();
  times.add(0);
  expect(times.summary().p50).toBeLessThan(0.0011);
  for (const ms of [1e12, Number.MAX_SAFE_INTEGER]) times.add(ms, 100);
  const { count, p99 } = times.summary();
  expect(count).toBe(201);
  expect(Number.isFinite(p99)).toBe(true);
  expect(p99).toBeGreaterThan(1e9);
});
