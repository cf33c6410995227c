import { assertOptionalBoolean, assertOptions } from "../../ground/assert.ts";
import { InvalidArgumentError } from "../../ground/errors.ts";
import type { Traced } from "./conventions.ts";
import { Telemetry, type TelemetryOptions } from "./telemetry.ts";

/** What a traced handler is given first: a message, or an array of them. */
export type Handled = Traced | readonly Traced[];

/** Options of {@link traceHandler} and {@link otel}. */
export interface TraceOptions extends TelemetryOptions {
  /**
   * Whether the span of a single message goes on in its sender's trace, as its child; if not, it begins a trace of its
   * own. It has a link to the sender in both cases; a batch's span has only links. @defaultValue true
   */
  readonly continueTrace?: boolean | undefined;
}

/**
 * A worker's handler under a span of the kind CONSUMER, `process <stream>`, for each call.
 *
 * The context that travelled in the message's headers, baggage included, is active while the handler runs. What it throws
 * is recorded, the span's status is then ERROR. It ends with the handler, or when the handler's signal is aborted: nobody
 * waits for it then. Its duration goes to the histogram `messaging.process.duration`.
 *
 * Works for single messages and batches, with a worker and without: any function whose first argument they are.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { traceHandler } from "walrus-streams/otel";
 *
 * await using db = new Database();
 * const billing = db.consumerGroup("billing", ["orders"]);
 * await using worker = db.worker(billing, traceHandler(async (order) => console.log(order.id, order.data)));
 * await worker.run();
 * ```
 * @see https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export function traceHandler<M extends Handled, A extends readonly unknown[], R>(
  handler: (input: M, ...rest: A) => R,
  options: TraceOptions = {},
): (input: M, ...rest: A) => R {
  if (typeof handler !== "function") throw new InvalidArgumentError("handler", "a function", handler);
  const { telemetry, continueTrace } = tracing("traceHandler", options);
  return (input, ...rest) =>
    telemetry.process(
      input,
      continueTrace,
      () => signalOf(rest[0]),
      () => handler(input, ...rest),
    );
}

/** The options of a tracer of handlers, checked and with their defaults. */
export function tracing(
  where: string,
  options: TraceOptions,
): { readonly telemetry: Telemetry; readonly continueTrace: boolean } {
  assertOptions(where, options, ["tracer", "meter", "continueTrace"]);
  const { continueTrace = true } = options;
  assertOptionalBoolean("continueTrace", continueTrace);
  return { telemetry: new Telemetry(options), continueTrace };
}

/** The signal of a handler's context, where it has one. */
export function signalOf(context: unknown): AbortSignal | undefined {
  const signal = (context as { readonly signal?: unknown } | null | undefined)?.signal;
  return signal instanceof AbortSignal ? signal : undefined;
}
