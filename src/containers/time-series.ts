import type { RedisLike } from "../connection/driver.ts";
import { assertName, assertOptionalBoolean, assertOptions } from "../ground/assert.ts";
import { printable } from "../ground/display.ts";
import { type Calendar, calendar, type Time } from "../ground/duration.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import {
  type InputOf,
  type PayloadOptions,
  type SchemaOptions,
  setOwn,
  type TextRecord,
} from "../wire/codec.ts";
import { type IdLike, millisecondsOf, orderOf } from "../wire/id.ts";
import type { GroupMessage, Message } from "../wire/message.ts";
import type { Attributes } from "./attributes.ts";
import { Group, type MemberOptions, readAll } from "./group.ts";
import type { GroupKeys, KeyOf } from "./group-keys.ts";
import { GroupStream } from "./group-stream.ts";
import { PAGE, Range, type RangeQuery, rangeQuery } from "./range.ts";
import type { GroupReadOptions } from "./read.ts";

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
  readonly start?: IdLike;
  /** Last id or `Date`, included. @defaultValue the last entry */
  readonly stop?: IdLike;
  /** Width: milliseconds or a `Duration`; intervals follow the calendar in UTC (`{ days: 1 }` begins at midnight). */
  readonly every: Time;
  /** A field's name, or a function of the message; `undefined`, `null` and blank texts are left out. */
  readonly value: string | ((message: Message<T>) => number | null | undefined);
  /** Give empty buckets too, between the first and the last with values. @defaultValue false */
  readonly empty?: boolean;
}

/** A row of {@link TimeSeries} `rows`: the message's facts, then its fields. */
export type Row<T> = {
  /** Key of the stream. */
  readonly stream: string;
  /** Id of the entry. */
  readonly id: string;
  /** The millisecond part of the id. */
  readonly timestamp: Date;
  /** The sequence part of the id. */
  readonly sequence: number;
} & (T extends object
  ? { readonly [Field in keyof T as Field extends RowFact ? `data.${Field}` : Field]: T[Field] }
  : {
      /** The data, where it is no object. */
      readonly data: T;
    });

type RowFact = "stream" | "id" | "timestamp" | "sequence";

/** A stream of a time series: a {@link GroupStream} that can be cut into buckets. */
export class SeriesStream<T = TextRecord, I = InputOf<T>> extends GroupStream<T, I> {
  /** Count, least, greatest, mean, sum, first and last value of each interval, in time order; read as it goes. */
  buckets(options: BucketOptions<T>): AsyncIterable<Bucket> {
    return bucketsOf((start, stop) => this.range(start, stop), options);
  }
}

/** The class behind {@link TimeSeries}, without the attributes. */
export class SeriesOverStreams<K extends string, T, I> extends Group<K, SeriesStream<T, I>> {
  readonly #consumer: (name: string) => TimeSeries<K, T, I>;

  /** @internal */
  constructor(
    redis: RedisLike,
    name: string,
    keys: GroupKeys<K>,
    options: MemberOptions & PayloadOptions<T, I> = {},
  ) {
    assertOptions("timeSeries", options, ["consumer", "codec", "schema"]);
    const { consumer, ...payload } = options;
    super(redis, name, keys, consumer, (key, member) => new SeriesStream<T, I>(redis, key, member, payload));
    this.#consumer = (other) =>
      new SeriesOverStreams<K, T, I>(redis, name, keys, { ...payload, consumer: other }) as TimeSeries<
        K,
        T,
        I
      >;
  }

  /**
   * New entries of all streams for this consumer, in time order. Sends `XREADGROUP` over a wire.
   *
   * @returns messages ordered by milliseconds, sequence and key; `[]` where none came within `block`.
   * @throws NoSuchGroupError where the group is missing on a stream.
   */
  async read(options: GroupReadOptions = {}): Promise<GroupMessage<T>[]> {
    const messages = await readAll<T>(this as never, options);
    return [...messages.values()].flat().sort(compareMessages);
  }

  /**
   * A part of all streams, merged in time order and read page by page when it is asked for. Sends `XRANGE`.
   *
   * @param start - First id or `Date`, included. Default: the first.
   * @param stop - Last id or `Date`, included. Default: the last.
   * @param count - Most entries, of all streams together. Default: all.
   * @returns a {@link Range} ordered by milliseconds, sequence and key.
   */
  range(start?: IdLike, stop?: IdLike, count?: number): Range<Message<T>> {
    return new Range(rangeQuery(start, stop, count), (query) => this.#merged(query));
  }

  /** Count, least, greatest, mean, sum, first and last value of each interval over all streams, in time order. */
  buckets(options: BucketOptions<T>): AsyncIterable<Bucket> {
    return bucketsOf((start, stop) => this.range(start, stop), options);
  }

  /**
   * Flat rows for a data frame or a plot: stream, id, timestamp, sequence, then the fields of the data.
   *
   * A field with one of those names becomes `data.<name>`; data that is no object becomes `data`. Values stay as they
   * are: texts of the `text` codec stay texts.
   */
  rows(messages: Iterable<Message<T>>): Row<T>[] {
    return Array.from(messages, toRow);
  }

  /** The same series under another consumer. */
  consumer(name: string): TimeSeries<K, T, I> {
    assertName("consumer", name);
    return this.#consumer(name);
  }

  /** Merge the streams' pages: at each step the earliest of the streams' heads. */
  async *#merged(query: RangeQuery): AsyncGenerator<Message<T>[]> {
    const sign = query.isReverse ? -1 : 1;
    const heads: { message: Message<T>; rest: AsyncIterator<Message<T>> }[] = [];
    const iterators = this.keys.map((key) => {
      const range = this.streams[key].range(query.start, query.stop, finite(query.count));
      return (query.isReverse ? range.reverse() : range)[Symbol.asyncIterator]();
    });
    try {
      const firsts = await Promise.all(iterators.map((rest) => rest.next()));
      firsts.forEach((first, i) => {
        if (!first.done) heads.push({ message: first.value, rest: iterators[i]! });
      });
      let page: Message<T>[] = [];
      for (let left = query.count; left > 0 && heads.length > 0; left--) {
        let at = 0;
        for (let i = 1; i < heads.length; i++) {
          if (sign * compareMessages(heads[i]!.message, heads[at]!.message) < 0) at = i;
        }
        const head = heads[at]!;
        page.push(head.message);
        const next = await head.rest.next();
        if (next.done) heads.splice(at, 1);
        else head.message = next.value;
        if (page.length === PAGE) {
          yield page;
          page = [];
        }
      }
      if (page.length > 0) yield page;
    } finally {
      await Promise.all(iterators.map((rest) => rest.return?.()));
    }
  }
}

/**
 * A consumer group that speaks `Date` and reads flat, in time order; each stream is an attribute by its camelCase key.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const ts = db.timeSeries("demo", ["s1", "s2"]);
 * await ts.s1.add({ temp: "7.1" }, { id: new Date(2018, 0, 1) });
 * for await (const m of ts.range(new Date(2018, 0, 1))) console.log(m.stream, m.timestamp, m.data.temp);
 * for await (const day of ts.buckets({ every: { days: 1 }, value: "temp" })) console.log(day.start, day.mean);
 * ```
 */
export type TimeSeries<K extends string = string, T = TextRecord, I = InputOf<T>> = SeriesOverStreams<
  K,
  T,
  I
> &
  Attributes<K, SeriesStream<T, I>, SeriesOverStreams<K, T, I>>;

/** Makes a {@link TimeSeries}; nothing is sent. */
export interface TimeSeriesConstructor {
  /** Its prototype, for `instanceof`. */
  readonly prototype: SeriesOverStreams<string, unknown, unknown>;
  /** A series whose payloads a schema judges and types. */
  new <const Keys extends GroupKeys, T, I>(
    redis: RedisLike,
    name: string,
    keys: Keys,
    options: MemberOptions & SchemaOptions<T, I>,
  ): TimeSeries<KeyOf<Keys>, T, I>;
  /** A series over one key, a list of keys, or a map of key to start id. */
  new <const Keys extends GroupKeys, T = TextRecord, I = InputOf<T>>(
    redis: RedisLike,
    name: string,
    keys: Keys,
    options?: MemberOptions & PayloadOptions<T, I>,
  ): TimeSeries<KeyOf<Keys>, T, I>;
}

/** The class of time series. */
export const TimeSeries: TimeSeriesConstructor = SeriesOverStreams as never;

printable(
  SeriesOverStreams,
  ({ name, consumerName, keys }) => `<TimeSeries ${name} ${consumerName} [${keys.join(", ")}]>`,
);

/** Order of messages in a series: milliseconds, sequence, key. */
function compareMessages(a: Message<unknown>, b: Message<unknown>): number {
  return orderOf(a.id, b.id) || (a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : 0);
}

function bucketsOf<T>(
  range: (start?: IdLike, stop?: IdLike) => Range<Message<T>>,
  options: BucketOptions<T>,
): AsyncIterable<Bucket> {
  assertOptions("buckets", options, ["start", "stop", "every", "value", "empty"]);
  const { start, stop, every, value, empty = false } = options ?? {};
  assertOptionalBoolean("empty", empty);
  if (typeof value !== "string" && typeof value !== "function") {
    throw new InvalidArgumentError("value", "a field's name or a function of the message", value);
  }
  const grid = calendar("every", every);
  const messages = range(start, stop);
  return {
    async *[Symbol.asyncIterator]() {
      let index: number | null = null;
      let tally = new Tally();
      for await (const page of messages.pages()) {
        for (const message of page) {
          const number = numberOf(message, value);
          if (number === null) continue;
          const here = grid.index(millisecondsOf(message.id));
          if (index !== null && here !== index) {
            yield tally.bucket(grid, index);
            tally = new Tally();
            if (empty)
              for (let between = index + 1; between < here; between++) yield tally.bucket(grid, between);
          }
          index = here;
          tally.add(number);
        }
      }
      if (index !== null) yield tally.bucket(grid, index);
    },
  };
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

const FACTS = Object.freeze({ __proto__: null, stream: true, id: true, timestamp: true, sequence: true });

function toRow<T>({ stream, id, timestamp, sequence, data }: Message<T>): Row<T> {
  const row: Record<string, unknown> = { stream, id, timestamp, sequence };
  if (data === null || typeof data !== "object") return { ...row, data } as never;
  for (const [name, value] of Object.entries(data)) setOwn(row, name in FACTS ? `data.${name}` : name, value);
  return row as never;
}

function finite(count: number): number | undefined {
  return Number.isFinite(count) ? count : undefined;
}
