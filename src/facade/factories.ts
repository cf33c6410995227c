import type { RedisLike } from "../connection/driver.ts";
import { ConsumerGroup } from "../containers/consumer-group.ts";
import type { MemberOptions } from "../containers/group.ts";
import type { GroupKeys, KeyOf } from "../containers/group-keys.ts";
import { Stream } from "../containers/stream.ts";
import { TimeSeries } from "../containers/time-series.ts";
import { App } from "../flow/app/app.ts";
import type { AppOptions } from "../flow/app/options.ts";
import { Consumer, type ConsumerOptions } from "../flow/consumer.ts";
import { DeadLetters } from "../flow/dead-letters.ts";
import { Producer } from "../flow/producer.ts";
import type { ProducerOptions } from "../flow/producer-options.ts";
import type { GroupSource } from "../flow/source.ts";
import type { BatchHandler, Handler } from "../flow/worker/handler.ts";
import type { BatchOptions, WorkerOptions } from "../flow/worker/options.ts";
import { Worker } from "../flow/worker/worker.ts";
import type { InputOf, PayloadOptions, SchemaOptions, TextRecord } from "../wire/codec.ts";
import type { GroupMessage } from "../wire/message.ts";

/** Makes a {@link Stream} of a database. */
export interface StreamFactory {
  /** A stream whose payloads a schema judges and types. Nothing is sent. */
  <T, I>(key: string, options: SchemaOptions<T, I>): Stream<T, I>;
  /** A stream. Nothing is sent. */
  <T = TextRecord, I = InputOf<T>>(key: string, options?: PayloadOptions<T, I>): Stream<T, I>;
}

/** Makes a {@link ConsumerGroup} of a database. */
export interface ConsumerGroupFactory {
  /** A group whose payloads a schema judges and types. Nothing is sent. */
  <const Keys extends GroupKeys, T, I>(
    name: string,
    keys: Keys,
    options: MemberOptions & SchemaOptions<T, I>,
  ): ConsumerGroup<KeyOf<Keys>, T, I>;
  /** A group over a key, a list of keys, or a map of key to start id. Nothing is sent. */
  <const Keys extends GroupKeys, T = TextRecord, I = InputOf<T>>(
    name: string,
    keys: Keys,
    options?: MemberOptions & PayloadOptions<T, I>,
  ): ConsumerGroup<KeyOf<Keys>, T, I>;
}

/** Makes a {@link TimeSeries} of a database. */
export interface TimeSeriesFactory {
  /** A series whose payloads a schema judges and types. Nothing is sent. */
  <const Keys extends GroupKeys, T, I>(
    name: string,
    keys: Keys,
    options: MemberOptions & SchemaOptions<T, I>,
  ): TimeSeries<KeyOf<Keys>, T, I>;
  /** A series over a key, a list of keys, or a map of key to start id. Nothing is sent. */
  <const Keys extends GroupKeys, T = TextRecord, I = InputOf<T>>(
    name: string,
    keys: Keys,
    options?: MemberOptions & PayloadOptions<T, I>,
  ): TimeSeries<KeyOf<Keys>, T, I>;
}

/** What a stream's or a group's payloads are read as. */
type PayloadOf<S> = S extends GroupSource<infer T> ? T : S extends Stream<infer T, never> ? T : never;

/** Makes a {@link Consumer} of a database. */
export interface ConsumerFactory {
  /** A consumer of a group, a time series, or one of their streams: new entries for its consumer. */
  <S extends GroupSource<unknown>>(
    source: S,
    options?: ConsumerOptions,
  ): Consumer<PayloadOf<S>, GroupMessage<PayloadOf<S>>>;
  /** A consumer of a stream, or of streams of this database. */
  <S extends Stream<unknown, never>>(
    source: S | readonly S[],
    options?: ConsumerOptions,
  ): Consumer<PayloadOf<S>>;
  /** A consumer of streams whose payloads a schema judges and types. */
  <T, I>(keys: string | readonly string[], options: ConsumerOptions & SchemaOptions<T, I>): Consumer<T>;
  /** A consumer of streams by their keys. */
  <T = TextRecord, I = InputOf<T>>(
    keys: string | readonly string[],
    options?: ConsumerOptions & PayloadOptions<T, I>,
  ): Consumer<T>;
}

/** Makes a {@link Worker} of a database. */
export interface WorkerFactory {
  /** A worker that hands messages over in arrays. Nothing is sent before it runs. */
  <S extends GroupSource<unknown>>(
    group: S,
    handler: BatchHandler<PayloadOf<S>>,
    options: WorkerOptions<PayloadOf<S>> & { readonly batch: BatchOptions },
  ): Worker<PayloadOf<S>>;
  /** A worker of a group, a time series, or one of their streams. Nothing is sent before it runs. */
  <S extends GroupSource<unknown>>(
    group: S,
    handler: Handler<PayloadOf<S>>,
    options?: WorkerOptions<PayloadOf<S>> & { readonly batch?: undefined },
  ): Worker<PayloadOf<S>>;
}

/** Makes a {@link Producer} of a database. */
export interface ProducerFactory {
  /** A producer whose payloads a schema judges and types. Nothing is sent. */
  <T, I>(key: string, options: ProducerOptions & SchemaOptions<T, I>): Producer<T, I>;
  /** A producer for a stream. Nothing is sent. */
  <T = TextRecord, I = InputOf<T>>(
    key: string,
    options?: ProducerOptions & PayloadOptions<T, I>,
  ): Producer<T, I>;
}

/** Makes {@link DeadLetters} of a database. */
export interface DeadLettersFactory {
  /** The dead letters under a key, whose payloads a schema judges and types. Nothing is sent. */
  <T, I>(key: string, options: SchemaOptions<T, I>): DeadLetters<T>;
  /** The dead letters under a key, such as `deadLetterKey("orders")`. Nothing is sent. */
  <T = TextRecord>(key: string, options?: PayloadOptions<T, never>): DeadLetters<T>;
}

/**
 * Makes an {@link App} of a database; `Streams` maps names of streams to the types of their data.
 */
export type AppFactory = <Streams extends object = object>(options: AppOptions) => App<Streams>;

/** What a database makes, whether it is one server or a cluster. */
export interface Factories {
  /** Make a stream; `db.stream`, in small, is ioredis's socket. */
  readonly Stream: StreamFactory;
  /** Make a consumer group. */
  readonly consumerGroup: ConsumerGroupFactory;
  /** Make a time series. */
  readonly timeSeries: TimeSeriesFactory;
  /** Make a consumer: an async iterator over streams or a group. */
  readonly consumer: ConsumerFactory;
  /** Make a producer: pushes share their writes, and may be idempotent. */
  readonly producer: ProducerFactory;
  /** Make a worker: it runs a handler for a group's entries. */
  readonly worker: WorkerFactory;
  /** Open dead letters: list them, move them back, remove them. */
  readonly deadLetters: DeadLettersFactory;
  /** Make an app: subscribers and publishers with one life. */
  readonly app: AppFactory;
}

/** Give a class of connections the factories. */
export function defineFactories(prototype: RedisLike): void {
  const factories = {
    Stream(this: RedisLike, key: string, options?: PayloadOptions<unknown, unknown>) {
      return new Stream(this, key, options);
    },
    consumerGroup(this: RedisLike, name: string, keys: GroupKeys, options?: MemberOptions) {
      return new ConsumerGroup(this, name, keys, options);
    },
    timeSeries(this: RedisLike, name: string, keys: GroupKeys, options?: MemberOptions) {
      return new TimeSeries(this, name, keys, options);
    },
    consumer(
      this: RedisLike,
      source: string | readonly string[] | Stream | readonly Stream[] | GroupSource<unknown>,
      options: ConsumerOptions & PayloadOptions<unknown, unknown> = {},
    ) {
      const keys: readonly unknown[] = Array.isArray(source) ? source : [source];
      if (keys.length === 0 || keys.some((key) => typeof key !== "string"))
        return new Consumer(source as Stream, options);
      const { codec, schema, ...rest } = options;
      const payload = { codec, schema } as PayloadOptions<unknown, unknown>;
      return new Consumer(
        keys.map((key) => new Stream(this, key as string, payload)),
        rest,
      );
    },
    producer(this: RedisLike, key: string, options?: ProducerOptions & PayloadOptions<unknown, unknown>) {
      return new Producer(this, key, options);
    },
    worker(this: RedisLike, group: GroupSource<unknown>, handler: Handler<unknown>, options?: WorkerOptions) {
      return new Worker(group, handler, options);
    },
    deadLetters(this: RedisLike, key: string, options?: PayloadOptions<unknown, never>) {
      return new DeadLetters(this, key, options);
    },
    app(this: RedisLike, options: AppOptions) {
      return new App(this, options);
    },
  };
  for (const [name, value] of Object.entries(factories)) {
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  }
}
