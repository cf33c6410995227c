/**
 * High-level containers for Redis Streams on ioredis.
 *
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database("redis://localhost:6379");
 * const id = await db.Stream("a").add({ message: "hello, streams" });
 * for await (const m of db.Stream("a").range()) console.log(m.id, m.timestamp, m.data.message);
 * ```
 *
 * In the order in which data flows.
 *
 * @module walrus-streams
 */
export type { Duration, Time } from "./ground/duration.ts";
export type { DecodeIssue, ReplyErrorOptions, WalrusErrorOptions } from "./ground/errors.ts";
export { ClosedError, ConnectionLostError, DecodeError, GroupExistsError, HandlerTimeoutError, InvalidArgumentError, LeaseLostError, NoSuchGroupError, NoSuchStreamError, ProtocolError } from "./ground/errors.ts";
export { RejectError, ReplyError, RequestFailedError, RequestTimeoutError, RetryError, SettledError, UnhandledError, WalrusError, WrongTypeError } from "./ground/errors.ts";
export { compareIds, type IdLike, type IdPosition, nextId, type ParsedId, parseId, previousId, toId } from "./wire/id.ts";
export { type AnyCodec, bytes, type Codec, type FlatFields, type InputOf, json, type Pair, type PairInput, type PayloadOptions, pairs, type RawField, type SchemaOptions, structured, type TextInput, type TextRecord, text } from "./wire/codec.ts";
export { type Delivered, type Delivery, GroupMessage, type GroupMessageJson, Message, type MessageJson } from "./wire/message.ts";
export type { RedisLike } from "./connection/driver.ts";
export { Container } from "./containers/container.ts";
export { LazyList, Range, type RangeQuery } from "./containers/range.ts";
export type { ConsumerInfo, FullConsumer, FullGroup, FullPending, FullStreamInfo, GroupInfo, StreamInfo } from "./containers/info.ts";
export type { AddManyOptions } from "./containers/batch.ts";
export type { TrimOptions } from "./containers/trim.ts";
export type { GroupReadOptions, ReadOptions } from "./containers/read.ts";
export { type AddOptions, Stream } from "./containers/stream.ts";
export { type PendingConsumer, PendingEntry, type PendingOptions, type PendingSummary } from "./containers/pending.ts";
export { type Autoclaimed, type AutoclaimOptions, type ClaimOptions, GroupStream, type Membership } from "./containers/group-stream.ts";
export { type AttributeName, type Attributes, attributeName } from "./containers/attributes.ts";
export type { GroupKeys, KeyOf } from "./containers/group-keys.ts";
export type { TimesSummary } from "./ground/meter.ts";
export { deadLetterKey } from "./containers/beside.ts";
export type { GroupStats, GroupStreamStats, Health, HealthIssue, HealthLimits } from "./containers/group-stats.ts";
export { Group, type GroupConsumer, type MemberOptions } from "./containers/group.ts";
export { ConsumerGroup, type ConsumerGroupConstructor, type GroupOverStreams } from "./containers/consumer-group.ts";
export { type Bucket, type BucketOptions, Buckets } from "./containers/buckets.ts";
export { type Row, type SeriesOverStreams, SeriesStream, TimeSeries, type TimeSeriesConstructor } from "./containers/time-series.ts";
export type { From, GroupSource } from "./flow/source.ts";
export { Producer } from "./flow/producer.ts";
export type { ProducerMetrics, ProducerOptions, PushManyOptions, PushOptions, StreamProducerMetrics } from "./flow/producer-options.ts";
export { Consumer, type ConsumerEvent, type ConsumerOptions } from "./flow/consumer.ts";
export { type BatchHandler, type BatchResult, type Handler, type HandlerContext, type RetryFunction, type RetryOptions, type AckPolicy, type BatchOptions, type DeadEntry, type DeadLetterFunction, type WorkerEvent, type WorkerOptions, type WorkerMetrics, type NamedWorkerMetrics, Worker } from "./flow/worker/worker.ts";
export { DeadLetter, type DeadLetterCause, type DeadLetterJson, type DeadLetterOrigin } from "./flow/dead-letter.ts";
export { type DeadLetterSelection, DeadLetters, type PurgeOptions, type RedriveOptions } from "./flow/dead-letters.ts";
export { App, type AppHealth, type AppOptions, type AsyncApiChannel, type AsyncApiDocument, type AsyncApiOperation, type AsyncApiOptions, type AsyncApiReference, type BatchSubscriber, type BatchSubscriberOptions, type ConsumeMiddleware, content, type Context } from "./flow/app/app.ts";
export type { FanOutSubscriber, FanOutSubscriberOptions, GroupSubscriber, GroupSubscriberOptions, Hook, Host, JsonSchema, Logger, MessageOptions, Middleware, Next, NextPublish, Publication, Published } from "./flow/app/app.ts";
export { Publisher, type PublisherOptions, type PublishMiddleware, type PublishOptions, type PublishTarget, type RequestOptions, Router, type RouterOptions, type SharedSubscriberOptions, type SubscriberDefaults, type SubscriberHealth, type Subscription, type TestApp } from "./flow/app/app.ts";
export { Undecodable, type WitnessOptions } from "./flow/app/app.ts";
export type { AppFactory, ConsumerFactory, ConsumerGroupFactory, DeadLettersFactory, Factories, ProducerFactory, StreamFactory, TimeSeriesFactory, WorkerFactory } from "./facade/factories.ts";
export type { EntrySizeOption } from "./connection/entry-size.ts";
export { Database, type DatabaseArguments, type DatabaseOptions } from "./facade/database.ts";
export { ClusterDatabase, type ClusterDatabaseOptions } from "./facade/cluster-database.ts";
