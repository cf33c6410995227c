import { context, propagation, type SpanContext, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { beforeEach, describe, expect, test } from "vitest";
import { App } from "../../src/flow/app/app.ts";
import { otel } from "../../src/watching/otel.ts";
import { Ground } from "../flow/harness.ts";
import { Sdk, under } from "./harness.ts";

const ground = new Ground();
const sdk = new Sdk();

beforeEach(() => sdk.reset());

/** An app that is traced. */
function traced(name = "shop"): App {
  return new App(ground.db, { name, log: false }).use(otel()) as App;
}

function isChildOf(span: ReadableSpan, parent: SpanContext | ReadableSpan): void {
  const { traceId, spanId } = "spanContext" in parent ? parent.spanContext() : parent;
  expect(span.spanContext().traceId).toBe(traceId);
  expect(span.parentSpanContext?.spanId).toBe(spanId);
}

describe("otel – publishing", () => {
  test("a PRODUCER span in what is active, by the conventions, and its context in the headers", async () => {
    const app = traced();
    let id = "";
    const web = await under("web", async () => {
      id = await app.publish(
        { n: 1 },
        { stream: ground.key, correlationId: "c-1", headers: { region: "eu" } },
      );
    });
    const [span, ...others] = sdk.spans(`send ${ground.key}`);
    expect(others).toEqual([]);
    isChildOf(span!, web);
    expect(span).toMatchObject({
      kind: SpanKind.PRODUCER,
      status: { code: SpanStatusCode.UNSET },
      links: [],
    });
    expect(span!.attributes).toEqual({
      "messaging.system": "redis",
      "messaging.operation.name": "send",
      "messaging.operation.type": "send",
      "messaging.destination.name": ground.key,
      "messaging.message.conversation_id": "c-1",
      "messaging.message.id": id,
    });
    const { headers } = (await ground.db.Stream(ground.key).first())!;
    const { traceId, spanId } = span!.spanContext();
    expect(headers).toMatchObject({
      traceparent: `00-${traceId}-${spanId}-01`,
      region: "eu",
      "correlation-id": "c-1",
    });
    expect(
      await sdk.points("messaging.client.operation.duration", { "messaging.destination.name": ground.key }),
    ).toMatchObject([{ value: { count: 1 }, attributes: { "messaging.operation.name": "send" } }]);
    await app.stop();
  });

  test("headers that name a span – stay, and are linked to", async () => {
    const app = traced();
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await app.publish({ n: 1 }, { stream: ground.key, headers: { traceparent } });
    const [span] = sdk.spans(`send ${ground.key}`);
    expect(span!.kind).toBe(SpanKind.CLIENT);
    expect(span!.links.map((link) => link.context.spanId)).toEqual(["b7ad6b7169203331"]);
    expect((await ground.db.Stream(ground.key).first())!.headers.traceparent).toBe(traceparent);
    await app.stop();
  });

  test("it fails – the error is recorded and goes on", async () => {
    const app = traced();
    await ground.db.set(ground.key, "no stream");
    await expect(app.publish({ n: 1 }, { stream: ground.key })).rejects.toThrow(/WRONGTYPE/);
    const [span] = sdk.spans(`send ${ground.key}`);
    expect(span!.status.code).toBe(SpanStatusCode.ERROR);
    expect(span!.attributes["error.type"]).toBe("WrongTypeError");
    await app.stop();
  });
});

describe("otel – handling", () => {
  test("two services – one trace from the order to what becomes of the payment", async () => {
    const payments = `${ground.key}:payments`;
    const shop = traced("shop");
    const bank = traced("bank");
    const tenants: unknown[] = [];
    shop.subscriber(ground.key, { group: "billing", publishTo: payments }, () => ({ paid: 7 }));
    bank.subscriber(payments, { group: "bank" }, async (_, { signal }) => {
      expect(signal.aborted).toBe(false);
      tenants.push(propagation.getActiveBaggage()?.getEntry("tenant")?.value);
    });
    await using one = await shop.test();
    await using other = await bank.test();
    const web = await under("web", () => {
      const baggage = propagation.createBaggage({ tenant: { value: "7" } });
      return context.with(propagation.setBaggage(context.active(), baggage), () =>
        shop.publish({ total: 7 }, { stream: ground.key }),
      );
    });
    await one.handled(1);
    await other.handled(1);
    const names = [`send ${ground.key}`, `process ${ground.key}`, `send ${payments}`, `process ${payments}`];
    const spans = await Promise.all(names.map(async (name) => (await sdk.ended(name))[0]!));
    isChildOf(spans[0]!, web);
    for (let i = 1; i < spans.length; i++) isChildOf(spans[i]!, spans[i - 1]!);
    expect(tenants).toEqual(["7"]);
  });

  test("context.publish – within the handler's span", async () => {
    const app = traced();
    const next = `${ground.key}:next`;
    app.subscriber(ground.key, { group: "g" }, (_, it) => it.publish({ n: 2 }, { stream: next }));
    await using t = await app.test();
    await app.publish({ n: 1 }, { stream: ground.key });
    await t.handled(1);
    isChildOf(sdk.spans(`send ${next}`)[0]!, sdk.spans(`process ${ground.key}`)[0]!);
  });

  test("a request – the reply is sent within the trace, without the name of its stream", async () => {
    const app = traced();
    app.subscriber(ground.key, { group: "g" }, () => ({ price: 7 }));
    await using _ = await app.test();
    const web = await under("web", () => app.request({ sku: "a" }, { stream: ground.key }));
    const [reply] = await sdk.ended("send");
    expect(reply!.attributes["messaging.destination.temporary"]).toBe(true);
    expect(reply!.attributes["messaging.destination.name"]).toMatch(/^shop:replies:/);
    expect(reply!.spanContext().traceId).toBe(web.traceId);
    const points = await sdk.points("messaging.client.operation.duration");
    expect(points.map(({ attributes }) => attributes["messaging.destination.name"])).not.toContain(
      reply!.attributes["messaging.destination.name"],
    );
  });

  test("a handler that fails – its span says so at each delivery", async () => {
    const app = traced();
    app.subscriber(ground.key, { group: "g", retry: { delay: 10, maxDeliveries: 2 } }, () => {
      throw new TypeError("no");
    });
    await using _ = await app.test();
    await app.publish({ n: 1 }, { stream: ground.key });
    const spans = await sdk.ended(`process ${ground.key}`, 2);
    expect(spans.map(({ attributes }) => attributes["error.type"])).toEqual(["TypeError", "TypeError"]);
  });

  test("a batch – one span with a link to each sender", async () => {
    const app = traced();
    app.subscriber(ground.key, { group: "g", batch: { size: 2, wait: 5000 } }, () => {});
    await using t = await app.test();
    await app.publish({ n: 1 }, { stream: ground.key });
    await app.publish({ n: 2 }, { stream: ground.key });
    await t.handled(2);
    const [span, ...others] = sdk.spans(`process ${ground.key}`);
    expect(others).toEqual([]);
    expect(span!.attributes["messaging.batch.message_count"]).toBe(2);
    const senders = sdk.spans(`send ${ground.key}`).map((sender) => sender.spanContext().spanId);
    expect(span!.links.map((link) => link.context.spanId)).toEqual(senders);
  });

  test("without a group – likewise", async () => {
    const app = traced();
    app.subscriber(ground.key, {}, () => {});
    await using t = await app.test();
    await app.publish({ n: 1 }, { stream: ground.key });
    await t.handled(1);
    const [span] = sdk.spans(`process ${ground.key}`);
    isChildOf(span!, sdk.spans(`send ${ground.key}`)[0]!);
    expect(span!.attributes).not.toHaveProperty("messaging.consumer.group.name");
  });
});
