import { assertOptionalBoolean, assertOptions } from "../ground/assert.ts";
import { type Picture, showable, tableOf } from "../ground/display.ts";
import { type Calendar, calendar, type Time } from "../ground/duration.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import { type IdLike, millisecondsOf } from "../wire/id.ts";
import type { Message } from "../wire/message.ts";
import { bucketChart } from "./bucket-chart.ts";
import { LazyList, PAGE, type Range } from "./range.ts";

/** One interval of a time series and what fell into it. */
export interface Bucket {
  /** Its start, included. */
  readonly start: Date;
  /** Its end, not included: the next one's start. */
  readonly end: Date;
  /** How many values fell into it. */
  readonly count: number;
  /** The smallest value; `null` in an empty bucket, as all that follow but `sum`. */
  readonly min: number | null;
  /** The greatest value. */
  readonly max: number | null;
  /** The arithmetic mean. */
  readonly mean: number | null;
  /** The sum; 0 in an empty bucket. */
  readonly sum: number;
  /** The first value, in time order. */
  readonly first: number | null;
  /** The last value, in time order. */
  readonly last: number | null;
}

/** Options of `buckets`. */
export interface BucketOptions<T> {
  /** First id or `Date`. @defaultValue the first entry */
  readonly start?: IdLike | undefined;
  /** Last id or `Date`, included. @defaultValue the last entry */
  readonly stop?: IdLike | undefined;
  /** Width: milliseconds or a `Duration`; intervals follow the calendar in UTC (`{ days: 1 }` begins at midnight). */
  readonly every: Time;
  /** A field's name, or a function of the message; `undefined`, `null` and blank texts are left out. */
  readonly value: string | ((message: Message<T>) => number | null | undefined);
  /** Give empty buckets too, between the first and the last with values. @defaultValue false */
  readonly empty?: boolean | undefined;
}

/**
 * The intervals of a series, in time order; a {@link LazyList}, read as it goes. A notebook draws them.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const ts = db.timeSeries("demo", ["s1", "s2"]);
 * for await (const day of ts.buckets({ every: { days: 1 }, value: "temp" })) console.log(day.start, day.mean);
 * ```
 */
export class Buckets extends LazyList<Bucket> {
  static {
    showable(Buckets, (buckets) => buckets.glance(MOST_DRAWN));
  }

  /** `pages` starts a new read; `of` is what is cut into buckets. */
  constructor(of: string, pages: () => AsyncIterable<Bucket[]>) {
    super(pages, `Buckets of ${of}`);
  }

  protected override picture(buckets: readonly Bucket[]): Picture {
    return { ...super.picture(buckets), html: bucketChart(buckets) };
  }

  protected override beginning(first: readonly Bucket[]): Picture {
    return {
      tables: [tableOf(`${this.caption}: the first ${first.length}`, first)],
      html: bucketChart(first),
    };
  }
}

/** More intervals than these are not read for a picture. */
const MOST_DRAWN = 1000;

/** The intervals of what a range holds. */
export function bucketsOf<T>(
  of: string,
  range: (start?: IdLike, stop?: IdLike) => Range<Message<T>>,
  options: BucketOptions<T>,
): Buckets {
  assertOptions("buckets", options, ["start", "stop", "every", "value", "empty"]);
  const { start, stop, every, value, empty = false } = options ?? {};
  assertOptionalBoolean("empty", empty);
  if (typeof value !== "string" && typeof value !== "function") {
    throw new InvalidArgumentError("value", "a field's name or a function of the message", value);
  }
  const grid = calendar("every", every);
  const messages = range(start, stop);
  return new Buckets(of, () => pagesOf(messages, grid, value, empty));
}

async function* pagesOf<T>(
  messages: Range<Message<T>>,
  grid: Calendar,
  value: BucketOptions<T>["value"],
  empty: boolean,
): AsyncGenerator<Bucket[]> {
  let index: number | null = null;
  let tally = new Tally();
  let done: Bucket[] = [];
  for await (const page of messages.pages()) {
    for (const message of page) {
      const number = numberOf(message, value);
      if (number === null) continue;
      const here = grid.index(millisecondsOf(message.id));
      if (index !== null && here !== index) {
        done.push(tally.bucket(grid, index));
        tally = new Tally();
        for (let between = index + 1; empty && between < here; between++) {
          done.push(tally.bucket(grid, between));
          if (done.length === PAGE) yield done.splice(0);
        }
      }
      index = here;
      tally.add(number);
    }
    if (done.length > 0) yield done;
    done = [];
  }
  if (index !== null) yield [tally.bucket(grid, index)];
}

/** What is known of one interval's values so far. */
class Tally {
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;
  #first: number | null = null;
  #last: number | null = null;

  add(value: number): void {
    this.#count++;
    this.#sum += value;
    this.#min = Math.min(this.#min, value);
    this.#max = Math.max(this.#max, value);
    this.#first ??= value;
    this.#last = value;
  }

  bucket(grid: Calendar, index: number): Bucket {
    const isEmpty = this.#count === 0;
    return {
      start: new Date(grid.start(index)),
      end: new Date(grid.start(index + 1)),
      count: this.#count,
      min: isEmpty ? null : this.#min,
      max: isEmpty ? null : this.#max,
      mean: isEmpty ? null : this.#sum / this.#count,
      sum: this.#sum,
      first: this.#first,
      last: this.#last,
    };
  }
}

/** The number a message stands for; `null` where it has none. */
function numberOf<T>(message: Message<T>, value: BucketOptions<T>["value"]): number | null {
  const raw = typeof value === "function" ? value(message) : (message.data as Record<string, unknown>)[value];
  if (raw === undefined || raw === null || (typeof raw === "string" && raw.trim() === "")) return null;
  const number = typeof raw === "number" ? raw : typeof raw === "string" ? Number(raw) : Number.NaN;
  if (!Number.isFinite(number)) {
    const name = typeof value === "string" ? value : "value";
    throw new InvalidArgumentError(`${name} of ${message.stream} ${message.id}`, "a finite number", raw);
  }
  return number;
}
