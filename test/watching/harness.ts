import {
  type Attributes,
  context,
  metrics,
  propagation,
  type Span,
  type SpanContext,
  trace,
} from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  InstrumentType,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { waitFor } from "../../src/testing/index.ts";

/** Gauges as deltas, or the SDK repeats the last value of one that is not observed any more. */
class Exporter extends InMemoryMetricExporter {
  override selectAggregationTemporality(type: InstrumentType): AggregationTemporality {
    return type === InstrumentType.OBSERVABLE_GAUGE
      ? AggregationTemporality.DELTA
      : AggregationTemporality.CUMULATIVE;
  }
}

/** The SDK of OpenTelemetry with exporters that keep what they get, as an application sets it up. */
export class Sdk {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new Exporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({
    exporter: this.#metrics,
    exportIntervalMillis: 2 ** 31 - 1,
    exportTimeoutMillis: 5000,
  });

  constructor() {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(
      new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
    );
    trace.setGlobalTracerProvider(
      new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#spans)] }),
    );
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [this.#reader] }));
  }

  /** Forget the spans that have ended. */
  reset(): void {
    this.#spans.reset();
  }

  /** The spans that have ended, of that name where one is given. */
  spans(name?: string): ReadableSpan[] {
    return this.#spans.getFinishedSpans().filter((span) => name === undefined || span.name === name);
  }

  /** Waits until so many spans of a name have ended. */
  ended(name: string, count = 1): Promise<ReadableSpan[]> {
    return waitFor(
      () => {
        const spans = this.spans(name);
        return spans.length >= count ? spans : null;
      },
      { what: `${count} spans "${name}"`, timeout: 15_000 },
    );
  }

  /** Have the SDK ask all instruments; what it got, by name. */
  async scrape(): Promise<ReadonlyMap<string, MetricData>> {
    this.#metrics.reset();
    await this.#reader.forceFlush();
    const all = this.#metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
    return new Map(all.flatMap((scope) => scope.metrics).map((data) => [data.descriptor.name, data]));
  }

  /** The points of an instrument whose attributes are among others these. */
  async points(name: string, attributes: Attributes = {}): Promise<DataPoint<unknown>[]> {
    const data = (await this.scrape()).get(name);
    const points = (data?.dataPoints ?? []) as DataPoint<unknown>[];
    return points.filter((point) =>
      Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
    );
  }

  /** The values of those. */
  async values(name: string, attributes: Attributes = {}): Promise<unknown[]> {
    return (await this.points(name, attributes)).map(({ value }) => value);
  }
}

/** Do something under a span, and give that span's context. */
export async function under(name: string, act: () => Promise<unknown>): Promise<SpanContext> {
  return trace.getTracer("test").startActiveSpan(name, async (span: Span) => {
    try {
      await act();
    } finally {
      span.end();
    }
    return span.spanContext();
  });
}
