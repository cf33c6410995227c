import type {
  AddManyOptions,
  AddOptions,
  AppOptions,
  AsyncApiOptions,
  AutoclaimOptions,
  BatchOptions,
  BatchSubscriberOptions,
  BucketOptions,
  ClaimOptions,
  ConsumerGroup,
  ConsumerOptions,
  FanOutSubscriberOptions,
  GroupMessage,
  GroupReadOptions,
  GroupSubscriberOptions,
  MemberOptions,
  MessageOptions,
  PayloadOptions,
  PendingOptions,
  ProducerOptions,
  PublisherOptions,
  PublishOptions,
  PurgeOptions,
  PushManyOptions,
  PushOptions,
  ReadOptions,
  RedriveOptions,
  RequestOptions,
  RetryError,
  RetryOptions,
  RouterOptions,
  TrimOptions,
  WitnessOptions,
  WorkerOptions,
} from "../../src/index.ts";
import type { InstrumentOptions, TelemetryOptions, TraceOptions } from "../../src/watching/otel.ts";
import type { Equal, Expect } from "./equal.ts";

/** Names of the options that may be absent, but not `undefined`. */
type Refused<O> = O extends unknown
  ? {
      [K in keyof O]-?: object extends Pick<O, K>
        ? { readonly [P in K]: undefined } extends Pick<O, K>
          ? never
          : K
        : never;
    }[keyof O]
  : never;

type Order = { readonly sku: string };
type RetryErrorOptions = NonNullable<ConstructorParameters<typeof RetryError>[0]>;
type VerbOptions = NonNullable<Parameters<GroupMessage<Order>["retry"]>[0]>;
type HealthLimits = NonNullable<Parameters<ConsumerGroup<"a", Order>["health"]>[0]>;

/** What somebody may give whose own options are optional: `{ timeout: own.timeout }` is as if it were absent. */
export type Checks = [
  Expect<Equal<Refused<AddManyOptions<Order> | AddOptions | TrimOptions>, never>>,
  Expect<Equal<Refused<AppOptions | RouterOptions | AsyncApiOptions | WitnessOptions>, never>>,
  Expect<Equal<Refused<GroupSubscriberOptions<Order> | BatchSubscriberOptions<Order>>, never>>,
  Expect<Equal<Refused<FanOutSubscriberOptions<Order>>, never>>,
  Expect<Equal<Refused<MessageOptions | PublishOptions | PublisherOptions<Order> | RequestOptions>, never>>,
  Expect<Equal<Refused<AutoclaimOptions | ClaimOptions | PendingOptions | MemberOptions>, never>>,
  Expect<Equal<Refused<BucketOptions<Order> | HealthLimits>, never>>,
  Expect<Equal<Refused<ConsumerOptions | ReadOptions | GroupReadOptions>, never>>,
  Expect<Equal<Refused<PayloadOptions<Order, Order>>, never>>,
  Expect<Equal<Refused<ProducerOptions | PushOptions | PushManyOptions<Order>>, never>>,
  Expect<Equal<Refused<RedriveOptions | PurgeOptions>, never>>,
  Expect<Equal<Refused<WorkerOptions<Order> | BatchOptions | RetryOptions>, never>>,
  Expect<Equal<Refused<RetryErrorOptions | VerbOptions>, never>>,
  Expect<Equal<Refused<InstrumentOptions | TelemetryOptions | TraceOptions>, never>>,
  // The rule itself: it finds what refuses `undefined`, and leaves what must be given.
  Expect<Equal<Refused<{ readonly a?: number; readonly b?: number | undefined; readonly c: 1 }>, "a">>,
];
