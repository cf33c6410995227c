import { UTCDate } from "@date-fns/utc";
import { add, type Duration } from "date-fns";
import { InvalidArgumentError } from "./errors.ts";

export type { Duration };

/** A length of time: milliseconds, or a date-fns `Duration` such as `{ minutes: 5 }`. */
export type Time = number | Duration;

/** Milliseconds of each unit; of years and months on average. */
const UNITS = {
  years: 31_556_952_000,
  months: 2_629_746_000,
  weeks: 604_800_000,
  days: 86_400_000,
  hours: 3_600_000,
  minutes: 60_000,
  seconds: 1000,
} as const;
const NAMES = Object.keys(UNITS) as (keyof Duration)[];

/**
 * Milliseconds of a length of time, a whole number of at least 0.
 *
 * Months and years count as their average length, 30.436875 and 365.2425 days; use {@link calendar} where the calendar
 * matters. (Not date-fns `milliseconds`, which cuts fractions off: 1.15 minutes would be 68,999 ms.)
 *
 * @throws InvalidArgumentError for a negative, endless or empty time and for unknown units.
 */
export function toMilliseconds(name: string, time: Time): number {
  if (typeof time !== "number") assertDuration(name, time);
  const ms = typeof time === "number" ? time : lengthOf(time);
  if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER))
    throw new InvalidArgumentError(name, "milliseconds of at least 0", time);
  return Math.round(ms);
}

/** The longest that a timer of Node.js waits, in milliseconds; it rings at once for more. */
export const LONGEST_TIMER: number = 2 ** 31 - 1;

/**
 * Milliseconds of a length of time between two bounds, both included.
 *
 * @throws InvalidArgumentError for a time outside of them, and as {@link toMilliseconds}.
 */
export function millisecondsWithin(
  name: string,
  time: Time,
  least: number,
  most: number = LONGEST_TIMER,
): number {
  const ms = toMilliseconds(name, time);
  if (ms < least || ms > most)
    throw new InvalidArgumentError(name, `from ${least} to ${most} milliseconds`, time);
  return ms;
}

/** A grid of moments that follows the calendar in UTC: the buckets of a time series. */
export interface Calendar {
  /** Number of the interval that holds `ms`. */
  index(ms: number): number;
  /** Start of interval `index`, in milliseconds. */
  start(index: number): number;
}

/** Monday 1970-01-05T00:00Z: weeks, and all that divides them, are counted from here. */
const MONDAY = 4 * 86_400_000;

/**
 * Cut time into intervals of `every`, in UTC.
 *
 * Seconds to weeks are counted from Monday 1970-01-05, so hours start on the hour, days at midnight and weeks
 * on Monday; months and years from the year 1970, so quarters start in January, April, July and October. A mix
 * of both (`{ months: 1, days: 3 }`) is counted from 1970-01-01 by date-fns `add`, which clips to month ends.
 */
export function calendar(name: string, every: Time): Calendar {
  if (typeof every !== "number") assertDuration(name, every);
  if (typeof every === "number" || !(every.years || every.months)) {
    const width = toMilliseconds(name, every);
    if (width < 1) throw new InvalidArgumentError(name, "at least 1 millisecond", every);
    return {
      index: (ms) => Math.floor((ms - MONDAY) / width),
      start: (index) => MONDAY + index * width,
    };
  }
  const average = lengthOf(every);
  const start = (index: number): number => {
    const times: Duration = {};
    for (const unit of NAMES) if (every[unit]) times[unit] = every[unit] * index;
    return add(new UTCDate(0), times).getTime();
  };
  return {
    start,
    index(ms) {
      let index = Math.floor(ms / average);
      while (start(index) > ms) index--;
      while (start(index + 1) <= ms) index++;
      return index;
    },
  };
}

function lengthOf(duration: Duration): number {
  return NAMES.reduce((sum, unit) => sum + (duration[unit] ?? 0) * UNITS[unit], 0);
}

function assertDuration(name: string, time: Duration): void {
  if (time === null || typeof time !== "object" || Array.isArray(time) || time instanceof Date) {
    throw new InvalidArgumentError(name, "milliseconds or a date-fns Duration", time);
  }
  if (!Object.values(time).some((value) => value !== undefined))
    throw new InvalidArgumentError(name, "a Duration with at least one unit", time);
  for (const unit of Object.keys(time)) {
    if (!(NAMES as readonly string[]).includes(unit)) {
      throw new InvalidArgumentError(`${name} unit`, `among ${NAMES.join(", ")}`, unit);
    }
    const value = time[unit as keyof Duration];
    if (value === undefined) continue;
    const whole = unit === "years" || unit === "months";
    if (
      typeof value !== "number" ||
      !Number.isFinite(value) ||
      value < 0 ||
      (whole && !Number.isInteger(value))
    ) {
      throw new InvalidArgumentError(
        `${name}.${unit}`,
        `a ${whole ? "whole " : ""}number of at least 0`,
        value,
      );
    }
  }
}
