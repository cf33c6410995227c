import {
  type Attributes,
  type Context,
  context,
  type Histogram,
  type Link,
  type Meter,
  type MeterProvider,
  metrics,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { CORRELATION_ID } from "../../flow/app/headers.ts";
import { isThenable } from "../../ground/thenable.ts";
import { errorOf } from "../../ground/thrown.ts";
import { extracted, type Headers, injected, senderOf } from "./context.ts";
import {
  BATCH_COUNT,
  CONVERSATION_ID,
  DESTINATION,
  ERROR_TYPE,
  errorType,
  MESSAGE_ID,
  messageFacts,
  OPERATION_NAME,
  OPERATION_TYPE,
  REDIS,
  SCOPE,
  SECONDS,
  SYSTEM,
  sharedFacts,
  TEMPORARY,
  type Traced,
} from "./conventions.ts";

/** Where spans and durations go. */
export interface TelemetryOptions {
  /** Makes the spans. @defaultValue `trace.getTracer("walrus-streams")`, of whatever provider is set when a span begins */
  readonly tracer?: Tracer | undefined;
  /** Makes the histograms. @defaultValue `metrics.getMeter("walrus-streams")`, of whatever provider is set when one is needed */
  readonly meter?: Meter | undefined;
}

/** A message that is to be sent. */
export interface Outgoing {
  /** Key of the stream. */
  readonly stream: string;
  /** What travels beside the value. */
  readonly headers: Headers;
  /** Which conversation it belongs to. */
  readonly correlationId: string | undefined;
  /** Whether the stream is soon gone. */
  readonly isTemporary: boolean;
}

/** An operation that is under way. */
interface Operation {
  /** What is active while it runs. */
  readonly active: Context;
  /** Told once how it ends: with an error where that is not `null`; later calls do nothing. */
  end(error: Error | null, result?: unknown): void;
}

/** Runs operations on messages, each under a span and with its duration taken. */
export class Telemetry {
  readonly #tracer: Tracer;
  readonly #sends: Duration;
  readonly #processes: Duration;

  /** Nothing is made before the first operation. */
  constructor({ tracer = trace.getTracer(SCOPE), meter }: TelemetryOptions = {}) {
    this.#tracer = tracer;
    this.#sends = new Duration(meter, "messaging.client.operation.duration", "Duration of sending messages.");
    this.#processes = new Duration(meter, "messaging.process.duration", "Duration of handling messages.");
  }

  /**
   * Send a message under a span, whose context is put in the headers.
   *
   * Headers that name a span already were given a context by the sender: they stay, and the span has a link to it.
   *
   * @param call - Sends with the headers it is given, and gives the message's id.
   */
  send<R>(outgoing: Outgoing, call: (headers: Headers) => R): R {
    const { stream, headers, isTemporary } = outgoing;
    const conversation = outgoing.correlationId ?? headers[CORRELATION_ID];
    const sender = senderOf(headers);
    const facts = operationFacts("send", isTemporary ? {} : { [DESTINATION]: stream });
    const operation = this.#begin(isTemporary ? "send" : `send ${stream}`, {
      kind: sender === null ? SpanKind.PRODUCER : SpanKind.CLIENT,
      attributes: {
        ...facts,
        ...(isTemporary ? { [DESTINATION]: stream, [TEMPORARY]: true } : {}),
        ...(conversation === undefined ? {} : { [CONVERSATION_ID]: conversation }),
      },
      links: sender === null ? [] : [{ context: sender }],
      ...{ parent: context.active(), duration: this.#sends, facts },
    });
    const carried = sender === null ? injected(operation.active, headers) : headers;
    return run(operation, () => call(carried));
  }

  /**
   * Handle a message or a batch under a span that has a link to each message's sender.
   *
   * @param isChild - Whether the span of a single message is in its sender's trace, as its child.
   * @param signal - Gives the signal that is aborted where nobody waits for the handler any more.
   */
  process<R>(
    input: Traced | readonly Traced[],
    isChild: boolean,
    signal: () => AbortSignal | undefined,
    call: () => R,
  ): R {
    const single = Array.isArray(input) ? null : (input as Traced);
    const messages = single === null ? (input as readonly Traced[]) : [single];
    const facts = operationFacts("process", sharedFacts(messages));
    const stream = facts[DESTINATION];
    const own: Attributes = single === null ? { [BATCH_COUNT]: messages.length } : messageFacts(single);
    const from = single === null ? ROOT_CONTEXT : extracted(single.headers);
    const operation = this.#begin(stream === undefined ? "process" : `process ${stream}`, {
      kind: SpanKind.CONSUMER,
      attributes: { ...facts, ...own },
      links: messages.flatMap((message) => linkTo(message)),
      ...{ parent: isChild ? from : trace.deleteSpan(from), duration: this.#processes, facts },
    });
    return run(operation, call, signal);
  }

  #begin(
    name: string,
    plan: {
      readonly kind: SpanKind;
      readonly attributes: Attributes;
      readonly links: Link[];
      readonly parent: Context;
      readonly duration: Duration;
      /** The attributes of the duration: fewer, since each combination is a series of its own. */
      readonly facts: Attributes;
    },
  ): Operation {
    const { kind, attributes, links, parent, duration, facts } = plan;
    const begun = performance.now();
    const span = this.#tracer.startSpan(name, { kind, attributes, links }, parent);
    const active = trace.setSpan(parent, span);
    let isEnded = false;
    return {
      active,
      end(error, result) {
        if (isEnded) return;
        isEnded = true;
        const type = error === null ? {} : { [ERROR_TYPE]: errorType(error) };
        if (error !== null) {
          span.recordException(error);
          span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
          span.setAttributes(type);
        } else if (kind !== SpanKind.CONSUMER && typeof result === "string")
          span.setAttribute(MESSAGE_ID, result);
        span.end();
        duration.add(performance.now() - begun, { ...facts, ...type }, active);
      },
    };
  }
}

/** A histogram of seconds, made when it is first needed, and again where another provider is set meanwhile. */
class Duration {
  readonly #meter: Meter | undefined;
  readonly #name: string;
  readonly #description: string;
  #provider: MeterProvider | null = null;
  #histogram: Histogram | null = null;

  constructor(meter: Meter | undefined, name: string, description: string) {
    this.#meter = meter;
    this.#name = name;
    this.#description = description;
  }

  add(milliseconds: number, attributes: Attributes, active: Context): void {
    const provider = this.#meter === undefined ? metrics.getMeterProvider() : null;
    if (this.#histogram === null || provider !== this.#provider) {
      const meter = this.#meter ?? metrics.getMeter(SCOPE);
      const advice = { explicitBucketBoundaries: [...SECONDS] };
      this.#histogram = meter.createHistogram(this.#name, {
        description: this.#description,
        unit: "s",
        advice,
      });
      this.#provider = provider;
    }
    this.#histogram.record(milliseconds / 1000, attributes, active);
  }
}

/** Run what an operation is, with its context active, and end it when that has settled or its signal is aborted. */
function run<R>(operation: Operation, call: () => R, signal?: () => AbortSignal | undefined): R {
  let result: R;
  try {
    result = context.with(operation.active, call);
    if (!isThenable(result)) {
      operation.end(null, result);
      return result;
    }
  } catch (thrown) {
    operation.end(errorOf(thrown));
    throw thrown;
  }
  const abort = signal?.();
  const onAbort = (): void => operation.end(errorOf(abort!.reason));
  abort?.addEventListener("abort", onAbort, { once: true });
  if (abort?.aborted) onAbort();
  return result.then(
    (value) => {
      abort?.removeEventListener("abort", onAbort);
      operation.end(null, value);
      return value;
    },
    (thrown) => {
      abort?.removeEventListener("abort", onAbort);
      operation.end(errorOf(thrown));
      throw thrown;
    },
  ) as R;
}

function operationFacts(operation: "send" | "process", shared: Attributes): Attributes {
  return { [SYSTEM]: REDIS, [OPERATION_NAME]: operation, [OPERATION_TYPE]: operation, ...shared };
}

function linkTo(message: Traced): Link[] {
  const sender = senderOf(message.headers);
  return sender === null
    ? []
    : [{ context: sender, attributes: { [DESTINATION]: message.stream, [MESSAGE_ID]: message.id } }];
}
