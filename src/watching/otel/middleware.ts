import { REQUEST_ID } from "../../flow/app/headers.ts";
import type { Middleware } from "../../flow/app/middleware.ts";
import { signalOf, type TraceOptions, tracing } from "./handler.ts";

/**
 * Middleware that traces an app: each publication is a PRODUCER span, `send <stream>`, each handled message or batch a
 * CONSUMER span, `process <stream>`, in one trace by the headers `traceparent`, `tracestate` and `baggage`.
 *
 * The span of a reply is `send`, without the stream of the one who asked. Spans and durations are those of
 * {@link traceHandler}; a publication's duration goes to the histogram `messaging.client.operation.duration`. A publication
 * whose headers name a span already keeps them, and has a link to it. Use it first, so that it is outermost: what middleware before it puts in the active context is not there in the handler.
 *
 * @example
 * ```ts
 * import { otel } from "walrus-streams/otel";
 *
 * const tracing = otel(); // app.use(tracing)
 * const id = await tracing.publish({ total: 7 }, { stream: "orders" }, async (_, options) => {
 *   console.log(options?.headers?.traceparent);
 *   return "1-0";
 * });
 * console.log(id);
 * ```
 * @see https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export function otel(options: TraceOptions = {}): Required<Middleware> {
  const { telemetry, continueTrace } = tracing("otel", options);
  return {
    consume: (message, context, next) => {
      // One message of a batch of one is as a single message is.
      const { messages } = context;
      const input = messages.length > 1 ? messages : message;
      return telemetry.process(input, continueTrace, () => signalOf(context), next);
    },
    publish: (value, options, next) => {
      const { stream, headers = {}, correlationId, replyTo } = options;
      // The stream of one requester's replies is gone when that is: its name is no name of a span or series.
      const isTemporary = headers[REQUEST_ID] !== undefined && replyTo === undefined;
      return telemetry.send({ stream, headers, correlationId, isTemporary }, (carried) =>
        next(value, Object.keys(carried).length === 0 ? options : { ...options, headers: carried }),
      );
    },
  };
}
