import fc from "fast-check";
import { expect, test } from "vitest";
import { waitOf } from "../../../src/containers/deliveries.ts";
import { isExhausted, type RetryOptions, retrySchedule } from "../../../src/flow/worker/retry.ts";
import { InvalidArgumentError, LeaseLostError } from "../../../src/index.ts";
import { loose } from "../../containers/harness.ts";

const ERROR = new Error("no");

/** The delays after 1, 2, ... deliveries, until there is none. */
function delays(retry?: RetryOptions, random: () => number = () => 0.5): (number | null)[] {
  const schedule = retrySchedule(retry, random);
  const all: (number | null)[] = [];
  for (let deliveries = 1; deliveries <= 20; deliveries++) {
    all.push(schedule.next(deliveries, ERROR));
    if (all.at(-1) === null) break;
  }
  return all;
}

test.each<[string, RetryOptions | undefined, (number | null)[]]>([
  ["the default", undefined, [1000, 2000, 4000, 8000, null]],
  ["no options", {}, [1000, 2000, 4000, 8000, null]],
  ["one delivery", { maxDeliveries: 1 }, [null]],
  ["a factor of 1", { factor: 1, maxDeliveries: 4 }, [1000, 1000, 1000, null]],
  ["a factor that is no integer", { factor: 1.5, maxDeliveries: 4 }, [1000, 1500, 2250, null]],
  [
    "a cap",
    { delay: { seconds: 10 }, maxDelay: { seconds: 25 }, maxDeliveries: 5 },
    [10_000, 20_000, 25_000, 25_000, null],
  ],
  ["a cap below the first delay", { delay: 100, maxDelay: 10, maxDeliveries: 3 }, [10, 10, null]],
  ["the cap of 5 minutes", { delay: { minutes: 4 }, maxDeliveries: 3 }, [240_000, 300_000, null]],
  ["no delay", { delay: 0, maxDeliveries: 3 }, [0, 0, null]],
])("retrySchedule – %s", (_, retry, expected) => {
  expect(delays(retry)).toEqual(expected);
});

test("retrySchedule – the jitter is a part of the delay, more or less, after the cap", () => {
  const half: RetryOptions = { jitter: 0.5, maxDeliveries: 3, maxDelay: 1500 };
  expect(delays(half, () => 0)).toEqual([500, 750, null]);
  expect(delays(half, () => 1)).toEqual([1500, 2250, null]);
  expect(delays(half, () => 0.75)).toEqual([1250, 1875, null]);
  expect(delays({ maxDeliveries: 2 }, () => 0)).toEqual([800, null]);
  expect(delays({ maxDeliveries: 2, jitter: 0 }, () => 0)).toEqual([1000, null]);
  expect(delays({ maxDeliveries: 2, jitter: 1 }, () => 0)).toEqual([0, null]);
});

test("retrySchedule – by itself it draws another delay each time, within the jitter", () => {
  const schedule = retrySchedule();
  const drawn = Array.from({ length: 200 }, () => schedule.next(1, ERROR)!);
  expect(new Set(drawn).size).toBeGreaterThan(50);
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(800);
  expect(Math.max(...drawn)).toBeLessThanOrEqual(1200);
});

test("retrySchedule – every delay is a whole number within its bounds, whatever the options", () => {
  const time = fc.oneof(fc.nat(), fc.maxSafeNat());
  const options = fc.record({
    delay: time,
    maxDelay: time,
    factor: fc.oneof(fc.double({ min: 1, max: 10, noNaN: true }), fc.constant(Number.MAX_VALUE)),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
    maxDeliveries: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constant(Number.POSITIVE_INFINITY)),
  });
  const drawn = fc.double({ min: 0, max: 1, noNaN: true });
  const check = fc.property(
    options,
    drawn,
    fc.integer({ min: 1, max: 5000 }),
    (retry, random, deliveries) => {
      const { delay, maxDelay, jitter, maxDeliveries } = retry;
      const next = retrySchedule(retry, () => random).next(deliveries, ERROR);
      if (deliveries >= maxDeliveries) return next === null;
      const [least, most] = [Math.min(delay, maxDelay) * (1 - jitter), maxDelay * (1 + jitter)];
      return next! >= Math.floor(least) && next! <= Math.ceil(most) && Number.isInteger(next);
    },
  );
  fc.assert(check, { numRuns: 1000, examples: [[{ ...DEFAULTS, delay: 0 }, 0.5, 2000]] });
});

const DEFAULTS = { delay: 1000, maxDelay: 5000, factor: 2, jitter: 0.2, maxDeliveries: Infinity };

test("retrySchedule – without jitter a delay is never shorter than the one before", () => {
  const check = fc.property(
    fc.nat(10_000),
    fc.double({ min: 1, max: 4, noNaN: true }),
    fc.integer({ min: 1, max: 3000 }),
    (delay, factor, deliveries) => {
      const schedule = retrySchedule({ delay, factor, jitter: 0, maxDeliveries: Infinity });
      return schedule.next(deliveries + 1, ERROR)! >= schedule.next(deliveries, ERROR)!;
    },
  );
  fc.assert(check);
});

test("retrySchedule – a function is asked for each failure, and may say when it is over", () => {
  const asked: unknown[][] = [];
  const schedule = retrySchedule((...args) => {
    asked.push(args);
    return args[0] === 3 ? null : { seconds: args[0] };
  });
  expect(schedule.maxDeliveries).toBe(Number.POSITIVE_INFINITY);
  expect([1, 2, 3].map((n) => schedule.next(n, ERROR))).toEqual([1000, 2000, null]);
  expect(asked).toEqual([
    [1, ERROR],
    [2, ERROR],
    [3, ERROR],
  ]);
});

test.each([undefined, -1, Number.NaN, "1s", {}, Number.POSITIVE_INFINITY])(
  "retrySchedule – a function that gives no time is found out: %s",
  (delay) => {
    const { next } = retrySchedule(() => loose(delay));
    expect(() => next(1, ERROR)).toThrow(InvalidArgumentError);
    expect(() => next(1, ERROR)).toThrow("delay of retry");
  },
);

test.each<[unknown, string, string]>([
  [null, "retry", "options or a function"],
  [5, "retry options", "an object"],
  [[], "retry options", "an object"],
  [{ maxRetries: 5 }, "retry options", "among maxDeliveries, delay, maxDelay, factor, jitter"],
  [{ maxDeliveries: 0 }, "retry.maxDeliveries", "a whole number of at least 1"],
  [{ maxDeliveries: 1.5 }, "retry.maxDeliveries", "a whole number of at least 1"],
  [{ maxDeliveries: Number.NaN }, "retry.maxDeliveries", "a whole number of at least 1"],
  [{ maxDeliveries: null }, "retry.maxDeliveries", "a whole number of at least 1"],
  [{ delay: -1 }, "retry.delay", "milliseconds of at least 0"],
  [{ delay: null }, "retry.delay", "milliseconds or a date-fns Duration"],
  [{ delay: Infinity }, "retry.delay", "milliseconds of at least 0"],
  [{ maxDelay: -1 }, "retry.maxDelay", "milliseconds of at least 0"],
  [{ maxDelay: { minute: 1 } }, "retry.maxDelay unit", "among "],
  [{ factor: 0.5 }, "retry.factor", "a number of at least 1"],
  [{ factor: Infinity }, "retry.factor", "a number of at least 1"],
  [{ factor: "2" }, "retry.factor", "a number of at least 1"],
  [{ jitter: -0.1 }, "retry.jitter", "a number from 0 to 1"],
  [{ jitter: 1.1 }, "retry.jitter", "a number from 0 to 1"],
  [{ jitter: Number.NaN }, "retry.jitter", "a number from 0 to 1"],
  [{ jitter: "0.5" }, "retry.jitter", "a number from 0 to 1"],
  [{ jitter: null }, "retry.jitter", "a number from 0 to 1"],
])("retrySchedule – refused: %o", (retry, argument, rule) => {
  let error: unknown;
  try {
    retrySchedule(loose(retry));
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(InvalidArgumentError);
  expect(error).toMatchObject({ argument, rule: expect.stringContaining(rule) });
});

test("isExhausted – by the count, and where a worker went silent by the schedule", () => {
  const entry = (deliveries: number) => ({ stream: "s", id: "1-0", deliveries });
  const five = retrySchedule();
  // Delivered a fifth time is not yet too often; a sixth time is, whatever came of the others.
  expect([5, 6, 7].map((n) => isExhausted(five, entry(n), false))).toEqual([false, true, true]);
  expect([1, 2, 5, 6].map((n) => isExhausted(five, entry(n), true))).toEqual([false, false, false, true]);
  const asked: [number, Error][] = [];
  const own = retrySchedule((deliveries, error) => {
    asked.push([deliveries, error]);
    return deliveries >= 3 ? null : 0;
  });
  expect([1, 2, 3, 4].map((n) => isExhausted(own, entry(n), true))).toEqual([false, false, false, true]);
  expect(asked.map(([n]) => n)).toEqual([1, 2, 3]);
  expect(asked[0]![1]).toBeInstanceOf(LeaseLostError);
  expect(asked[0]![1]).toMatchObject({ stream: "s", id: "1-0" });
  // Not abandoned: the failure before was judged when it happened.
  expect(isExhausted(own, entry(9), false)).toBe(false);
  expect(asked).toHaveLength(3);
});

test("isExhausted – a schedule that fails gives nothing up", () => {
  const broken = retrySchedule(() => {
    throw new Error("my own");
  });
  expect(isExhausted(broken, { stream: "s", id: "1-0", deliveries: 9 }, true)).toBe(false);
});

test("waitOf – rounded up to two digits, never down", () => {
  expect([0, 1, 99, 100, 101, 1234, 300_000, 300_001].map(waitOf)).toEqual([
    0, 1, 99, 100, 110, 1300, 300_000, 310_000,
  ]);
  fc.assert(
    fc.property(fc.maxSafeNat(), (ms) => {
      const wait = waitOf(ms);
      return wait >= ms && wait <= Math.max(ms * 1.1, 1) && /^[1-9]?\d0*$/.test(String(wait));
    }),
  );
});
