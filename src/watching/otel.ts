/**
 * OpenTelemetry: the trace of a message from its sender to its handler, through retries and dead letters, and the counts of
 * workers, producers and groups. Needs `@opentelemetry/api`, an optional peer, and an SDK that the application sets up.
 *
 * ```ts
 * import { Database } from "walrus-streams";
 * import { instrument, traceHandler, traceHeaders } from "walrus-streams/otel";
 *
 * await using db = new Database();
 * await db.Stream("orders").add({ sku: "a-1" }, { headers: traceHeaders() });
 * const billing = db.consumerGroup("billing", ["orders"]);
 * await using worker = db.worker(billing, traceHandler(async (order) => console.log(order.data.sku)));
 * using _counts = instrument(worker);
 * using _lag = instrument(billing);
 * await worker.run();
 * ```
 *
 * @module walrus-streams/otel
 */
export { traceHeaders } from "./otel/context.ts";
export type { Traced } from "./otel/conventions.ts";
export { type Handled, type TraceOptions, traceHandler } from "./otel/handler.ts";
export { type Instrumented, type InstrumentOptions, instrument } from "./otel/instruments.ts";
export { otel } from "./otel/middleware.ts";
export type { TelemetryOptions } from "./otel/telemetry.ts";
