import type { RedisLike } from "../connection/driver.ts";
import { ConsumerGroup } from "../containers/consumer-group.ts";
import type { GroupKeys, MemberOptions } from "../containers/group.ts";
import { Stream } from "../containers/stream.ts";
import { TimeSeries } from "../containers/time-series.ts";
import type { PayloadOptions, SchemaOptions, TextInput, TextRecord } from "../wire/codec.ts";

/** Makes a {@link Stream} of a database. */
export interface StreamFactory {
  /** A stream whose payloads a schema judges and types. Nothing is sent. */
  <T, I>(key: string, options: SchemaOptions<T, I>): Stream<T, I>;
  /** A stream. Nothing is sent. */
  <T = TextRecord, I = TextInput>(key: string, options?: PayloadOptions<T, I>): Stream<T, I>;
}

/** Makes a {@link ConsumerGroup} of a database. */
export interface ConsumerGroupFactory {
  /** A group whose payloads a schema judges and types. Nothing is sent. */
  <const K extends string, T, I>(
    name: string,
    keys: GroupKeys<K>,
    options: MemberOptions & SchemaOptions<T, I>,
  ): ConsumerGroup<K, T, I>;
  /** A group over a key, a list of keys, or a map of key to start id. Nothing is sent. */
  <const K extends string, T = TextRecord, I = TextInput>(
    name: string,
    keys: GroupKeys<K>,
    options?: MemberOptions & PayloadOptions<T, I>,
  ): ConsumerGroup<K, T, I>;
}

/** Makes a {@link TimeSeries} of a database. */
export interface TimeSeriesFactory {
  /** A series whose payloads a schema judges and types. Nothing is sent. */
  <const K extends string, T, I>(
    name: string,
    keys: GroupKeys<K>,
    options: MemberOptions & SchemaOptions<T, I>,
  ): TimeSeries<K, T, I>;
  /** A series over a key, a list of keys, or a map of key to start id. Nothing is sent. */
  <const K extends string, T = TextRecord, I = TextInput>(
    name: string,
    keys: GroupKeys<K>,
    options?: MemberOptions & PayloadOptions<T, I>,
  ): TimeSeries<K, T, I>;
}

/** What a database makes, whether it is one server or a cluster. */
export interface Factories {
  /** Make a stream; `db.stream`, in small, is ioredis's socket. */
  readonly Stream: StreamFactory;
  /** Make a consumer group. */
  readonly consumerGroup: ConsumerGroupFactory;
  /** Make a time series. */
  readonly timeSeries: TimeSeriesFactory;
}

/** Give a class of connections the factories. */
export function defineFactories(prototype: RedisLike): void {
  const factories = {
    Stream(this: RedisLike, key: string, options?: PayloadOptions<unknown, unknown>) {
      return new Stream(this, key, options);
    },
    consumerGroup(this: RedisLike, name: string, keys: GroupKeys<string>, options?: MemberOptions) {
      return new ConsumerGroup(this, name, keys, options);
    },
    timeSeries(this: RedisLike, name: string, keys: GroupKeys<string>, options?: MemberOptions) {
      return new TimeSeries(this, name, keys, options);
    },
  };
  for (const [name, value] of Object.entries(factories)) {
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  }
}
