import { context, propagation, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { beforeEach, describe, expect, test } from "vitest";
import { DeadLetters } from "../../src/flow/dead-letters.ts";
import { Producer } from "../../src/flow/producer.ts";
import { deadLetterKey, RejectError } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { traceHandler, traceHeaders } from "../../src/watching/otel.ts";
import { within } from "../connection/harness.ts";
import { Ground } from "../flow/harness.ts";
import { Sdk, under } from "./harness.ts";

const ground = new Ground();
const sdk = new Sdk();

beforeEach(() => sdk.reset());

/** Add an entry under a span; that span. */
function add(data: Record<string, string> = { n: "1" }): ReturnType<typeof under> {
  const stream = ground.db.Stream(ground.key);
  return under("web", () => stream.add(data, { headers: traceHeaders() }));
}

const group = () => ground.db.consumerGroup("g", [ground.key]);
const process = () => `process ${ground.key}`;

describe("traceHeaders", () => {
  test("nothing is active – only the headers given, in a new object", () => {
    const own = { region: "eu" };
    expect(traceHeaders()).toEqual({});
    expect(traceHeaders(own)).toEqual(own);
    expect(traceHeaders(own)).not.toBe(own);
  });

  test("a span and baggage – W3C's headers beside one's own, which lose where both have one", async () => {
    let headers: Record<string, string> = {};
    const span = await under("web", async () => {
      const baggage = propagation.createBaggage({ tenant: { value: "é 1" } });
      const active = propagation.setBaggage(context.active(), baggage);
      headers = context.with(active, () => traceHeaders({ region: "eu", traceparent: "old" }));
    });
    expect(headers).toEqual({
      region: "eu",
      traceparent: `00-${span.traceId}-${span.spanId}-01`,
      baggage: "tenant=%C3%A9%201",
    });
  });

  test("Producer.push – the context arrives", async () => {
    await using producer = new Producer(ground.db, ground.key);
    const span = await under("web", () => producer.push({ n: 1 }, { headers: traceHeaders() }));
    const message = await ground.db.Stream(ground.key).first();
    expect(message!.headers.traceparent).toBe(`00-${span.traceId}-${span.spanId}-01`);
  });
});

describe("traceHandler", () => {
  test("a message – a CONSUMER span in the sender's trace, by the conventions", async () => {
    const sender = await add();
    const handled: { id: string; consumer: string }[] = [];
    await using worker = ground.db.worker(
      group(),
      traceHandler(async (message, { signal }) => {
        expect(signal.aborted).toBe(false);
        handled.push({ id: message.id, consumer: message.consumer });
        expect(message.data.n).toBe("1");
      }),
    );
    await worker.runOnce();
    expect(worker.metrics()).toMatchObject({ acked: 1, failed: 0 });
    const [span, ...others] = sdk.spans(process());
    expect(others).toEqual([]);
    expect(span).toMatchObject({
      kind: SpanKind.CONSUMER,
      status: { code: SpanStatusCode.UNSET },
      events: [],
    });
    expect(span!.spanContext().traceId).toBe(sender.traceId);
    expect(span!.parentSpanContext).toMatchObject({ spanId: sender.spanId, isRemote: true });
    expect(span!.links.map((link) => [link.context.spanId, link.attributes])).toEqual([
      [sender.spanId, { "messaging.destination.name": ground.key, "messaging.message.id": handled[0]!.id }],
    ]);
    expect(span!.attributes).toEqual({
      "messaging.system": "redis",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": ground.key,
      "messaging.consumer.group.name": "g",
      "messaging.message.id": handled[0]!.id,
      "messaging.client.id": handled[0]!.consumer,
      "messaging.redis.message.delivery_count": 1,
    });
  });

  test("what the handler does – is in its span, with the sender's baggage", async () => {
    const stream = ground.db.Stream(ground.key);
    await under("web", () => {
      const baggage = propagation.createBaggage({ tenant: { value: "7" } });
      return context.with(propagation.setBaggage(context.active(), baggage), () =>
        stream.add({ n: 1 }, { headers: traceHeaders() }),
      );
    });
    const tenants: unknown[] = [];
    await using worker = ground.db.worker(
      group(),
      traceHandler(async () => {
        await ground.db.ping();
        tenants.push(propagation.getActiveBaggage()?.getEntry("tenant")?.value);
        await under("inside", () => ground.db.ping());
      }),
    );
    await worker.runOnce();
    expect(tenants).toEqual(["7"]);
    expect(sdk.spans("inside")[0]!.parentSpanContext!.spanId).toBe(
      sdk.spans(process())[0]!.spanContext().spanId,
    );
  });

  test("continueTrace: false – a trace of its own, with a link to the sender", async () => {
    const sender = await add();
    await using worker = ground.db.worker(
      group(),
      traceHandler(() => {}, { continueTrace: false }),
    );
    await worker.runOnce();
    const [span] = sdk.spans(process());
    expect(span!.parentSpanContext).toBeUndefined();
    expect(span!.spanContext().traceId).not.toBe(sender.traceId);
    expect(span!.links.map((link) => link.context.spanId)).toEqual([sender.spanId]);
  });

  test("a message without a context – a root, whatever is active where the worker was woken", async () => {
    const handled: string[] = [];
    await using worker = ground.db.worker(
      group(),
      traceHandler(({ data }) => {
        handled.push(data.n!);
      }),
    );
    await ground.db.Stream(ground.key).add({ n: "1" });
    await under("accident", async () => {
      await worker.pause();
      void worker.run();
      worker.resume();
      await sdk.ended(process());
    });
    expect(handled).toEqual(["1"]);
    expect(sdk.spans(process())[0]!.parentSpanContext).toBeUndefined();
    expect(sdk.spans(process())[0]!.links).toEqual([]);
  });

  test("malformed traceparent – the message is handled, under a root", async () => {
    await ground.db
      .Stream(ground.key)
      .add({ n: 1 }, { headers: { traceparent: "00-nonsense", baggage: ";;=" } });
    await using worker = ground.db.worker(
      group(),
      traceHandler(() => {}),
    );
    await worker.runOnce();
    expect(worker.metrics().acked).toBe(1);
    expect(sdk.spans(process())[0]!.parentSpanContext).toBeUndefined();
  });

  test("it throws – the error is recorded and goes on; the next delivery is a span of its own", async () => {
    class OutOfStock extends Error {}
    const sender = await add();
    let calls = 0;
    await using worker = ground.db.worker(
      group(),
      traceHandler(async () => {
        if (++calls === 1) throw new OutOfStock("none left");
      }),
      { retry: { delay: 10, jitter: 0 } },
    );
    void worker.run();
    const [first, second] = await sdk.ended(process(), 2);
    expect(first!.status).toEqual({ code: SpanStatusCode.ERROR, message: "none left" });
    expect(first!.attributes).toMatchObject({
      "error.type": "OutOfStock",
      "messaging.redis.message.delivery_count": 1,
    });
    expect(first!.events[0]).toMatchObject({ name: "exception" });
    expect(first!.events[0]!.attributes).toMatchObject({ "exception.message": "none left" });
    expect(second!.status.code).toBe(SpanStatusCode.UNSET);
    expect(second!.attributes["messaging.redis.message.delivery_count"]).toBe(2);
    expect(second!.parentSpanContext!.spanId).toBe(sender.spanId);
    await waitFor(() => worker.metrics().acked === 1, { what: "acknowledged" });
    expect(worker.metrics()).toMatchObject({ failed: 1, retried: 1 });
  });

  test("it throws at once, and no error – likewise", async () => {
    await add();
    await using worker = ground.db.worker(
      group(),
      traceHandler(() => {
        throw "nothing";
      }),
      { retry: { maxDeliveries: 1 } },
    );
    await worker.runOnce();
    expect(sdk.spans(process())[0]!.attributes["error.type"]).toBe("NonError");
    expect(worker.metrics().deadLettered).toBe(1);
  });

  test("a handler past its timeout – its span ends then, though the handler does not", async () => {
    await add();
    let settle = () => {};
    const handler = traceHandler(() => new Promise<void>((resolve) => (settle = resolve)));
    await using worker = ground.db.worker(group(), handler, { timeout: 20, retry: { maxDeliveries: 1 } });
    await within(10_000, worker.runOnce());
    const [span] = sdk.spans(process());
    expect(span!.attributes["error.type"]).toBe("HandlerTimeoutError");
    settle();
    await ground.db.ping();
    expect(sdk.spans(process())).toEqual([span]);
  });

  test("a batch – one span, a link to each sender, no sender's child", async () => {
    const senders = [await add({ n: "1" }), await add({ n: "2" })];
    await ground.db.Stream(ground.key).add({ n: "3" });
    const sizes: number[] = [];
    await using worker = ground.db.worker(
      group(),
      traceHandler(async (messages) => {
        sizes.push(messages.length);
        return messages.slice(0, 2);
      }),
      { batch: { size: 3 }, retry: { maxDeliveries: 1 } },
    );
    await worker.runOnce();
    expect(sizes).toEqual([3]);
    expect(worker.metrics()).toMatchObject({ acked: 2, deadLettered: 1 });
    const [span, ...others] = sdk.spans(process());
    expect(others).toEqual([]);
    expect(span!.kind).toBe(SpanKind.CONSUMER);
    expect(span!.parentSpanContext).toBeUndefined();
    expect(span!.links.map((link) => link.context.spanId)).toEqual(senders.map(({ spanId }) => spanId));
    expect(span!.attributes).toEqual({
      "messaging.system": "redis",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": ground.key,
      "messaging.consumer.group.name": "g",
      "messaging.batch.message_count": 3,
    });
  });

  test("a batch of several streams – no destination, but in the links", async () => {
    const keys = [`${ground.key}a`, `${ground.key}b`];
    for (const key of keys) {
      await under("web", () => ground.db.Stream(key).add({ n: 1 }, { headers: traceHeaders() }));
    }
    const messages = await Promise.all(keys.map(async (key) => (await ground.db.Stream(key).first())!));
    expect(traceHandler((batch: typeof messages) => batch.length)(messages)).toBe(2);
    const [span] = sdk.spans("process");
    expect(span!.attributes).not.toHaveProperty("messaging.destination.name");
    expect(span!.links.map((link) => link.attributes!["messaging.destination.name"])).toEqual(keys);
  });

  test("without a worker – any function of a message; what it returns comes back", async () => {
    const sender = await add();
    await using consumer = ground.db.consumer(ground.key, { from: "earliest" });
    const double = traceHandler(
      (
        message: {
          stream: string;
          id: string;
          headers: Record<string, string>;
          data: Record<string, string>;
        },
        factor: number,
      ) => Number(message.data.n) * factor,
    );
    for await (const message of consumer) expect(double(message, 2)).toBe(2);
    expect(sdk.spans(process())[0]!.spanContext().traceId).toBe(sender.traceId);
  });

  test("dead letter and redrive – the context survives both, and the trace goes on", async () => {
    const sender = await add();
    const failing = traceHandler(() => {
      throw new RejectError("no such sku");
    });
    await using worker = ground.db.worker(group(), failing);
    await worker.runOnce();
    const dead = new DeadLetters(ground.db, deadLetterKey(ground.key));
    const [letter] = await dead.range();
    expect(letter!.headers.traceparent).toBe(`00-${sender.traceId}-${sender.spanId}-01`);
    expect(await dead.redrive()).toBe(1);
    await using second = ground.db.worker(
      group(),
      traceHandler(() => {}),
    );
    await second.runOnce();
    expect(second.metrics().acked).toBe(1);
    const spans = sdk.spans(process());
    expect(spans.map(({ attributes }) => attributes["error.type"])).toEqual(["RejectError", undefined]);
    for (const span of spans) expect(span.parentSpanContext!.spanId).toBe(sender.spanId);
    expect(spans[1]!.attributes["messaging.message.id"]).not.toBe(
      spans[0]!.attributes["messaging.message.id"],
    );
  });

  test("a tracer of one's own – has the spans", async () => {
    await add();
    const names: string[] = [];
    const tracer = trace.getTracer("mine");
    const own = {
      startSpan: (...call: Parameters<typeof tracer.startSpan>) => {
        names.push(call[0]);
        return tracer.startSpan(...call);
      },
      startActiveSpan: tracer.startActiveSpan.bind(tracer),
    };
    await using worker = ground.db.worker(
      group(),
      traceHandler(() => {}, { tracer: own }),
    );
    await worker.runOnce();
    expect(names).toEqual([process()]);
  });

  test("an option or handler that is none – is refused", () => {
    expect(() => traceHandler(null as never)).toThrow(/^handler must be a function/);
    expect(() => traceHandler(() => {}, { parent: true } as never)).toThrow(/continueTrace/);
    expect(() => traceHandler(() => {}, { continueTrace: 1 as never })).toThrow(/true or false/);
  });
});
