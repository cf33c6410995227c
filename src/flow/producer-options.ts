import { TRIM, type TrimOptions } from "../containers/trim.ts";
import { millisecondsWithin, type Time } from "../ground/duration.ts";
import type { IdLike } from "../wire/id.ts";

/** Options of a producer, beside those of its payloads; the bounds are kept at each push. */
export interface ProducerOptions extends TrimOptions {
  /** How long the first push of a batch waits for others to share its write; a full batch does not. @defaultValue 0 */
  readonly linger?: Time | undefined;
  /** How long an idempotency key is remembered, from its first push on. @defaultValue 5 minutes */
  readonly window?: Time | undefined;
}

/** Options of {@link Producer.push}. */
export interface PushOptions {
  /** The entry's id. @defaultValue `"*"` */
  readonly id?: IdLike | undefined;
  /** What travels beside the data. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * A name of this push: another one of that name, within the window and by whomever, gives the first one's id. It is
   * kept beside the stream, as `{<key>}:once:<name>`.
   */
  readonly idempotencyKey?: string | undefined;
}

/** Options of {@link Producer.pushMany}. */
export interface PushManyOptions<I> {
  /** What travels beside every value. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Gives each value's idempotency key. */
  readonly idempotencyKey?: ((value: I, index: number) => string) | undefined;
}

/** What {@link Producer.metrics} gives. */
export interface ProducerMetrics {
  /** Entries that were pushed and have their ids, repeats included. */
  readonly pushed: number;
  /** Calls that were rejected: pushes, and `pushMany` as one each. */
  readonly failed: number;
  /** Entries a second over the last 60 seconds, or since it was made where that is less. */
  readonly rate: number;
  /** Entries a second since it was made. */
  readonly averageRate: number;
  /** Milliseconds since it was made. */
  readonly uptime: number;
}

/** Units of those metrics that are no counts, as a notebook shows them. */
export const UNITS: Readonly<Record<string, string>> = {
  rate: "entries/s, last 60 s",
  averageRate: "entries/s",
  uptime: "ms",
};

/** What {@link Producer.allMetrics} gives of one producer. */
export interface StreamProducerMetrics extends ProducerMetrics {
  /** The stream's key, without `keyPrefix`. */
  readonly stream: string;
}

/** Names of the options, to refuse a misspelt one. */
export const OPTIONS: readonly string[] = ["codec", "schema", "linger", "window", ...TRIM];
/** Milliseconds for which an idempotency key is remembered, as in SQS. */
const WINDOW = 5 * 60_000;

/** The options that are times, in milliseconds. */
export function times({ linger = 0, window = WINDOW }: ProducerOptions): { linger: number; window: number } {
  return {
    linger: millisecondsWithin("linger", linger, 0),
    window: millisecondsWithin("window", window, 1, Number.MAX_SAFE_INTEGER),
  };
}
