import { assertInteger, assertOptions } from "../../ground/assert.ts";
import { type Time, toMilliseconds } from "../../ground/duration.ts";
import { InvalidArgumentError, LeaseLostError } from "../../ground/errors.ts";

/** When a failed message comes back. */
export interface RetryOptions {
  /** How often a message is delivered at most; then it goes to the dead letters. @defaultValue 5 */
  readonly maxDeliveries?: number | undefined;
  /** Milliseconds or a `Duration` before the second delivery. @defaultValue 1 second */
  readonly delay?: Time | undefined;
  /** The longest delay, before the jitter. @defaultValue 5 minutes */
  readonly maxDelay?: Time | undefined;
  /** By how much the delay grows from one delivery to the next, at least 1. @defaultValue 2 */
  readonly factor?: number | undefined;
  /** Which part of a delay is left to chance, 0 to 1: 0.2 is 20 % more or less. @defaultValue 0.2 */
  readonly jitter?: number | undefined;
}

/**
 * Decides on a failed message: the delay before its next delivery, or `null` to send it to the dead letters.
 *
 * `error` is a `LeaseLostError` where the worker that had it went silent, so that nobody knows what happened.
 */
export type RetryFunction = (deliveries: number, error: Error) => Time | null;

/** What a worker asks of the schedule. */
export interface RetrySchedule {
  /** Deliveries after which it is over, whatever the error; `Infinity` where a function decides. */
  readonly maxDeliveries: number;
  /** Milliseconds until the next delivery after `deliveries` ones; `null` where there is to be none. */
  next(deliveries: number, error: Error): number | null;
}

/**
 * The schedule of retries: `delay * factor ** (deliveries - 1)`, at most `maxDelay`, more or less the jitter.
 *
 * @param random - A number from 0 to 1, for the jitter.
 * @throws InvalidArgumentError for options that cannot be.
 */
export function retrySchedule(
  retry: RetryOptions | RetryFunction = {},
  random: () => number = Math.random,
): RetrySchedule {
  if (typeof retry === "function") {
    return {
      maxDeliveries: Number.POSITIVE_INFINITY,
      next(deliveries, error) {
        const delay = retry(deliveries, error);
        return delay === null ? null : toMilliseconds("delay of retry", delay);
      },
    };
  }
  if (retry === null) throw new InvalidArgumentError("retry", "options or a function", retry);
  assertOptions("retry", retry, ["maxDeliveries", "delay", "maxDelay", "factor", "jitter"]);
  const { maxDeliveries = 5, delay = 1000, maxDelay = { minutes: 5 }, factor = 2, jitter = 0.2 } = retry;
  if (maxDeliveries !== Number.POSITIVE_INFINITY) assertInteger("retry.maxDeliveries", maxDeliveries, 1);
  const first = toMilliseconds("retry.delay", delay);
  const longest = toMilliseconds("retry.maxDelay", maxDelay);
  if (!(Number.isFinite(factor) && factor >= 1))
    throw new InvalidArgumentError("retry.factor", "a number of at least 1", factor);
  if (!(typeof jitter === "number" && jitter >= 0 && jitter <= 1))
    throw new InvalidArgumentError("retry.jitter", "a number from 0 to 1", jitter);
  return {
    maxDeliveries,
    next(deliveries) {
      if (deliveries >= maxDeliveries) return null;
      // The power may be endless, and no delay times that is no number.
      const plain = first === 0 ? 0 : Math.min(first * factor ** (deliveries - 1), longest);
      return Math.round(plain * (1 + jitter * (2 * random() - 1)));
    },
  };
}

/**
 * Whether an entry that is delivered now was delivered as often as it may be before.
 *
 * @param isAbandoned - Its last delivery ended with a worker that went silent; no schedule was asked about that yet.
 */
export function isExhausted(
  schedule: RetrySchedule,
  { stream, id, deliveries }: { readonly stream: string; readonly id: string; readonly deliveries: number },
  isAbandoned: boolean,
): boolean {
  if (deliveries > schedule.maxDeliveries) return true;
  if (!isAbandoned || deliveries < 2) return false;
  try {
    return schedule.next(deliveries - 1, new LeaseLostError(stream, id)) === null;
  } catch {
    // The user's schedule failed: nothing is given up for that.
    return false;
  }
}
