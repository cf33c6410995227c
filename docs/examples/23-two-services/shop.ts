// The shop: it asks for a price, places the order, and hears of the payment.
import { SpanStatusCode, trace } from "@opentelemetry/api";
import { Database } from "walrus-streams";
import { otel } from "walrus-streams/otel";
import { endWithDriver, log, tell } from "./link.ts";
import { Order, Payment, type Quote } from "./messages.ts";
import { setUpTracing } from "./tracing.ts";

const SKUS = ["apple", "pear", "plum"];
const [count = 0] = process.argv.slice(2).map(Number);

setUpTracing("shop");
const tracer = trace.getTracer("shop");
await using db = new Database(process.env.REDIS_URL!);
await using app = db.app({ name: "shop", log });
app.use(otel());

app.subscriber("payments", { group: "shop", schema: Payment, concurrency: 10 }, ({ data }) => {
  tell({ type: "paid", order: data.order });
});
const orders = app.publisher("orders", { schema: Order });

/** One trace: the question, the order, and whatever comes of them in either service. */
async function checkOut(number: number): Promise<void> {
  await tracer.startActiveSpan(`check out ${number}`, async (span) => {
    try {
      const sku = SKUS[number % SKUS.length]!;
      const { data: quote } = await app.request<Quote>(
        { sku },
        { stream: "quotes", timeout: { seconds: 15 } },
      );
      // Placed once, should it be published again.
      await orders.publish({ number, sku, total: quote.price }, { idempotencyKey: `order ${number}` });
    } catch (error) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: String(error) });
      throw error;
    } finally {
      span.end();
    }
  });
}

endWithDriver(app);
const over = app.run(); // until SIGTERM
await app.start();
await Promise.all(Array.from({ length: count }, (_, i) => checkOut(i + 1)));
// One more, by somebody who does not look at the schema.
await app.publish({ number: count + 1, sku: "apple", total: "a lot" }, { stream: "orders" });
tell({ type: "ordered", orders: count + 1 });
await over;
if (process.connected) process.disconnect();
