// OpenTelemetry's SDK, as a service sets it up. In place of a collector, each span goes to the driver as it ends.
import { context, propagation, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { ExportResultCode, W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, SimpleSpanProcessor, type SpanExporter } from "@opentelemetry/sdk-trace-base";
import { tell } from "./link.ts";

/** What the driver is told of a span. */
export interface SpanFacts {
  readonly service: string;
  readonly name: string;
  readonly trace: string;
  readonly id: string;
  /** The span it is a part of, which may be another service's. */
  readonly parent: string | null;
  readonly isFailed: boolean;
}

export function setUpTracing(service: string): void {
  const exporter: SpanExporter = {
    export(spans, done) {
      for (const span of spans) {
        const { traceId, spanId } = span.spanContext();
        const parent = span.parentSpanContext?.spanId ?? null;
        const isFailed = span.status.code === SpanStatusCode.ERROR;
        tell({
          type: "span",
          span: { service, name: span.name, trace: traceId, id: spanId, parent, isFailed },
        });
      }
      done({ code: ExportResultCode.SUCCESS });
    },
    async shutdown() {},
  };
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
}
