import { type Attributes, type Meter, metrics } from "@opentelemetry/api";
import { Group } from "../../containers/group.ts";
import type { GroupStream } from "../../containers/group-stream.ts";
import { Producer } from "../../flow/producer.ts";
import { Worker } from "../../flow/worker/worker.ts";
import { assertOptions } from "../../ground/assert.ts";
import { type Time, toMilliseconds } from "../../ground/duration.ts";
import { InvalidArgumentError } from "../../ground/errors.ts";
import { Board } from "./board.ts";
import { DESTINATION, GROUP, REDIS, SCOPE, SYSTEM } from "./conventions.ts";
import { PRODUCER_FIGURES, WORKER_FIGURES } from "./figures.ts";
import { watchGroup } from "./gauges.ts";

/** What can be instrumented: a worker, a producer, a consumer group or a time series. */
export type Instrumented =
  | Pick<Worker<never>, "group" | "streams" | "metrics">
  | Pick<Producer, "key" | "metrics">
  | Group<string, GroupStream<unknown, never>>;

/** Options of {@link instrument}. */
export interface InstrumentOptions {
  /** Makes the instruments. @defaultValue `metrics.getMeter("walrus-streams")`, of the provider that is set now */
  readonly meter?: Meter | undefined;
  /** How long a group's figures are good for: a scrape within it sends nothing. @defaultValue 10 s */
  readonly every?: Time | undefined;
}

/**
 * Report what a worker, a producer or a group does to OpenTelemetry, whenever the SDK asks; call it once the SDK is set up.
 *
 * | of | instrument | unit |
 * |---|---|---|
 * | a worker | counter `messaging.client.consumed.messages` | `{message}` |
 * | | counters `walrus.worker.acked`, `failed`, `retried`, `reclaimed`, `dead_lettered`, `released` | `{message}` |
 * | | up-down counter `walrus.worker.in_flight` | `{message}` |
 * | a producer | counter `messaging.client.sent.messages`; with `error.type` those that failed | `{message}` |
 * | a group, each stream | gauges `walrus.group.lag`, `pending`, `dead_letters` | `{message}` |
 * | | gauge `walrus.group.oldest_pending_age` | `s` |
 *
 * Their attributes are `messaging.system`, `messaging.destination.name` (of a worker of one stream) and
 * `messaging.consumer.group.name`. Workers and producers with the same attributes are added up, and what they counted stays in
 * the sum when they are gone. A group is asked by {@link Group.stats}, at a scrape, and a scrape waits a second at most.
 *
 * Durations are taken by {@link traceHandler} and {@link otel}.
 *
 * @returns what ends it: `using`, or `[Symbol.dispose]()`. A worker or producer is not held; a group is, until then.
 * @throws InvalidArgumentError for anything else.
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { instrument } from "walrus-streams/otel";
 *
 * await using db = new Database();
 * const billing = db.consumerGroup("billing", ["orders"]);
 * await using worker = db.worker(billing, async (order) => console.log(order.id));
 * using _counts = instrument(worker);
 * using _lag = instrument(billing, { every: { seconds: 30 } });
 * await worker.run();
 * ```
 * @see https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/
 */
export function instrument(subject: Instrumented, options: InstrumentOptions = {}): Disposable {
  assertOptions("instrument", options, ["meter", "every"]);
  const { meter = metrics.getMeter(SCOPE), every = 10_000 } = options;
  let end: (() => void) | null = register(subject, meter, toMilliseconds("every", every));
  return {
    [Symbol.dispose]() {
      end?.();
      end = null;
    },
  };
}

function register(subject: Instrumented, meter: Meter, every: number): () => void {
  if (subject instanceof Worker) {
    const { group, streams } = subject;
    const [stream] = streams.length === 1 ? streams : [];
    return Board.of(meter, WORKER_FIGURES).add(subject, facts(stream, group));
  }
  if (subject instanceof Producer) return Board.of(meter, PRODUCER_FIGURES).add(subject, facts(subject.key));
  if (subject instanceof Group) return watchGroup(meter, subject, facts(undefined, subject.name), every);
  throw new InvalidArgumentError("subject", "a Worker, a Producer, a ConsumerGroup or a TimeSeries", subject);
}

function facts(stream: string | undefined, group?: string): Attributes {
  return {
    [SYSTEM]: REDIS,
    ...(stream === undefined ? {} : { [DESTINATION]: stream }),
    ...(group === undefined ? {} : { [GROUP]: group }),
  };
}
