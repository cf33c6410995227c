import type { RedisLike } from "../connection/driver.ts";
import { assertName, assertOptions } from "../ground/assert.ts";
import { printable, showable, shownList, tableOf } from "../ground/display.ts";
import { legible } from "../ground/table.ts";
import {
  type InputOf,
  type PayloadOptions,
  type SchemaOptions,
  setOwn,
  type TextRecord,
} from "../wire/codec.ts";
import { type IdLike, orderOf } from "../wire/id.ts";
import type { GroupMessage, Message } from "../wire/message.ts";
import type { Attributes } from "./attributes.ts";
import { type BucketOptions, type Buckets, bucketsOf } from "./buckets.ts";
import { Group, type MemberOptions, readAll } from "./group.ts";
import type { GroupKeys, KeyOf } from "./group-keys.ts";
import { GroupStream } from "./group-stream.ts";
import { glanceAt, PAGE, Range, type RangeQuery, rangeQuery } from "./range.ts";
import type { GroupReadOptions } from "./read.ts";

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
  buckets(options: BucketOptions<T>): Buckets {
    return bucketsOf(this.key, (start, stop) => this.range(start, stop), options);
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
    return shownList([...messages.values()].flat().sort(compareMessages), `Read from ${this.name}`);
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
    return new Range(rangeQuery(start, stop, count), (query) => this.#merged(query), this.name);
  }

  /** Count, least, greatest, mean, sum, first and last value of each interval over all streams, in time order. */
  buckets(options: BucketOptions<T>): Buckets {
    return bucketsOf(this.name, (start, stop) => this.range(start, stop), options);
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

printable(SeriesOverStreams, ({ name, consumerName, keys }) =>
  legible(`<TimeSeries ${name} ${consumerName} [${keys.join(", ")}]>`),
);
// Each stream's length and ends, then both ends of all of them, merged.
showable(SeriesOverStreams, async (series) => {
  const ends = await Promise.all(
    series.keys.map(async (key) => {
      const stream = series.streams[key]!;
      const [length, first, last] = await Promise.all([stream.length(), stream.first(), stream.last()]);
      return { stream: key, length, first: first?.timestamp, last: last?.timestamp };
    }),
  );
  const { tables } = await glanceAt(`Time series ${series.name}`, {
    length: async () => ends.reduce((sum, stream) => sum + stream.length, 0),
    range: (start, stop, count) => series.range(start, stop, count),
  });
  return { tables: [tableOf(`Streams of ${series.name}`, ends), ...tables] };
});

/** Order of messages in a series: milliseconds, sequence, key. */
function compareMessages(a: Message<unknown>, b: Message<unknown>): number {
  return orderOf(a.id, b.id) || (a.stream < b.stream ? -1 : a.stream > b.stream ? 1 : 0);
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
