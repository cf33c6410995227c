import type { Redis } from "ioredis";
import { z } from "zod";
import { App } from "../../src/flow/app/app.ts";
import type { Context } from "../../src/flow/app/context.ts";
import type { Publisher } from "../../src/flow/app/publisher.ts";
import type { Subscription } from "../../src/flow/app/subscription.ts";
import type { GroupMessage, Message } from "../../src/index.ts";
import type { Equal, Expect } from "./equal.ts";

interface Order {
  readonly total: number;
}

interface Streams {
  orders: Order;
  refunds: { readonly order: string };
}

const schema = z.object({ total: z.coerce.number() });

/** Never called: what is checked is its types. */
export async function apps(redis: Redis): Promise<void> {
  const app = new App(redis, { name: "a", concurrency: 5, log: console, retry: { maxDeliveries: 3 } });
  const typed = new App<Streams>(redis, { name: "a" });
  const subscription = app.subscriber("a", { group: "g", schema }, (message, context) => {
    type Checks = [
      Expect<Equal<typeof message, GroupMessage<{ total: number }>>>,
      Expect<Equal<typeof context, Context>>,
    ];
    void (null as Checks | null);
    return message.deliveries;
  });
  app.subscriber(["a", "b"], { group: "g", schema, batch: { size: 10 } }, (messages) => {
    type Checks = [Expect<Equal<typeof messages, GroupMessage<{ total: number }>[]>>];
    void (null as Checks | null);
    return messages.slice(1);
  });
  app.subscriber("a", { schema }, async (message) => {
    type Checks = [Expect<Equal<typeof message, Message<{ total: number }>>>];
    void (null as Checks | null);
  });
  app.subscriber("a", { group: "g" }, (message) => {
    type Checks = [Expect<Equal<typeof message.data, unknown>>];
    void (null as Checks | null);
  });
  app.subscriber<Order>("a", { group: "g" }, (message) => {
    type Checks = [Expect<Equal<typeof message.data, Order>>];
    void (null as Checks | null);
  });
  typed.subscriber("orders", { group: "g" }, (message) => {
    type Checks = [Expect<Equal<typeof message.data, Order>>];
    void (null as Checks | null);
  });
  typed.subscriber(["orders", "refunds"], { group: "g" }, (message) => {
    type Checks = [Expect<Equal<typeof message.data, Streams["orders" | "refunds"]>>];
    void (null as Checks | null);
  });
  typed.subscriber("others", {}, (message) => {
    type Checks = [Expect<Equal<typeof message.data, unknown>>];
    void (null as Checks | null);
  });
  const payments = app.publisher("payments", { schema, maxlen: 5, headers: { a: "1" } });
  const orders = typed.publisher("orders");
  const stated = app.publisher<Order>("orders");
  const any = app.router({ prefix: "eu:", lease: { minutes: 1 } }).publisher("orders");
  const id = await payments.publish({ total: 7 }, { headers: { a: "2" }, correlationId: "c", replyTo: "r" });
  const reply = await app.request({ sku: "a" }, { stream: "quotes", timeout: { seconds: 2 } });
  const priced = await app.request<Order>({ sku: "a" }, { stream: "quotes", signal: AbortSignal.timeout(5) });
  await app.publish(new Map(), { stream: "a", maxlen: 100, idempotencyKey: "k" });
  await typed.publish({ total: 7 }, { stream: "orders" });
  await typed.publish("anything", { stream: "others" });
  app.subscriber("a", { group: "g", publishTo: payments }, () => ({ total: 7 }));
  app.use((_message, _context, next) => next());
  app.use({ publish: (value, options, next) => next(value, { ...options, maxlen: 5 }) });
  app.use({
    async consume(message, context, next) {
      const result = await next();
      context.log.info({ id: message.id }, "handled");
      return result;
    },
  });
  const code = await app
    .onStartup(() => {})
    .onShutdown(async () => {})
    .run();
  await using test = await app.test();
  const handled = await test.handled(1, { stream: "a" });
  const published = await test.published(1);
  const health = await app.health();
  // @ts-expect-error the map says what an order is
  typed.publish({ sum: 7 }, { stream: "orders" });
  // @ts-expect-error and what a publisher takes
  orders.publish({ sum: 7 });
  // @ts-expect-error not what the schema takes
  stated.publish({ total: "7" });
  // @ts-expect-error no stream
  app.publish({}, {});
  // @ts-expect-error no name
  new App(redis, {});
  // @ts-expect-error a batch is no default: handlers would be of another kind
  new App(redis, { name: "a", batch: { size: 1 } });
  // @ts-expect-error retries are of groups
  app.subscriber("a", { retry: { maxDeliveries: 3 } }, () => {});
  // @ts-expect-error no such option
  app.subscriber("a", { group: "g", conurrency: 3 }, () => {});
  // @ts-expect-error a batch's results are what is done
  app.subscriber("a", { group: "g", batch: { size: 1 }, publishTo: "b" }, () => {});
  // @ts-expect-error no logger
  new App(redis, { name: "a", log: { info: () => {} } });
  type Checks = [
    Expect<Equal<typeof subscription, Subscription>>,
    Expect<Equal<typeof orders, Publisher<Order>>>,
    Expect<Equal<typeof stated, Publisher<Order>>>,
    Expect<Equal<typeof any, Publisher<unknown>>>,
    Expect<Equal<typeof id, string>>,
    Expect<Equal<typeof reply, Message<unknown>>>,
    Expect<Equal<typeof priced, Message<Order>>>,
    Expect<Equal<typeof code, number>>,
    Expect<Equal<typeof handled, Message<unknown>[]>>,
    Expect<Equal<(typeof published)[number]["value"], unknown>>,
    Expect<Equal<typeof health.ready, boolean>>,
  ];
  void (null as Checks | null);
}
