import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  trace,
} from "@opentelemetry/api";

/** What travels beside a payload. */
export type Headers = Readonly<Record<string, string>>;

/**
 * Headers with the current trace context and baggage, by the global propagator: for W3C's, `traceparent`, `tracestate` and
 * `baggage`. Give them to whatever adds an entry by hand; {@link otel} does it for an app.
 *
 * @param headers - Headers of your own; of the same name, those of the context win.
 * @returns a new object, empty where there is nothing to tell.
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { traceHeaders } from "walrus-streams/otel";
 *
 * await using db = new Database();
 * await db.Stream("orders").add({ sku: "a-1" }, { headers: traceHeaders({ region: "eu" }) });
 * ```
 * @see https://www.w3.org/TR/trace-context/
 */
export function traceHeaders(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return injected(context.active(), headers);
}

/** Headers with a context. */
export function injected(from: Context, headers: Headers): Record<string, string> {
  const carrier = { ...headers };
  propagation.inject(from, carrier);
  return carrier;
}

/**
 * The context that headers carry, and nothing else: what is active where a handler is called is an accident, since a worker
 * may call it from the end of another message's handler.
 */
export function extracted(headers: Headers): Context {
  return propagation.extract(ROOT_CONTEXT, headers);
}

/** The span that headers name; `null` where they name none. */
export function senderOf(headers: Headers): SpanContext | null {
  const sender = trace.getSpanContext(extracted(headers));
  return sender !== undefined && trace.isSpanContextValid(sender) ? sender : null;
}
