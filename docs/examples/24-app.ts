// An app: subscribers and publishers with one life. Orders come in, payments go out, and quotes are asked for.
import { Database, RejectError, RequestFailedError } from "walrus-streams";
import { z } from "zod";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
await using app = db.app({ name: "example:shop", log: false });

app.use(async (message, context, next) => {
  const result = await next();
  console.log("handled", message.stream, "for", context.correlationId);
  return result;
});

// A group shares its messages out. What the handler returns is published, then the order is acknowledged.
const Order = z.object({ sku: z.string(), total: z.number() });
const payments = app.publisher("example:payments", { schema: z.object({ paid: z.number() }) });
app.subscriber("example:orders", { group: "billing", schema: Order, publishTo: payments }, ({ data }) => ({
  paid: data.total,
}));

// Without a group, every instance of the app sees every message.
const settled = new Promise<void>((resolve) => {
  app.subscriber("example:payments", {}, ({ data }) => {
    console.log("paid:", data);
    resolve();
  });
});

// A request: what the handler returns goes to who asked.
app.subscriber<{ sku: string }>("example:quotes", { group: "pricing" }, ({ data: { sku } }) => {
  if (sku !== "apple") throw new RejectError(`there is no ${sku}`);
  return { price: 2 };
});

app.onStartup(() => console.log("starts"));
app.onShutdown(() => console.log("has stopped"));
await app.start(); // a service calls run(), which ends on SIGTERM

const correlationId = "order-1";
const asked = { stream: "example:quotes", timeout: { seconds: 2 }, correlationId };
const quote = await app.request<{ price: number }>({ sku: "apple" }, asked);
await app.publish({ sku: "apple", total: 3 * quote.data.price }, { stream: "example:orders", correlationId });
await settled;
try {
  await app.request({ sku: "moon" }, asked);
} catch (error) {
  if (error instanceof RequestFailedError) console.log("refused:", error.remote.message);
}
const { ready, subscribers } = await app.health();
console.log("ready:", ready, "subscribers:", subscribers.map(({ stream }) => stream).join(" "));
await app.stop();

await db.del("example:orders", "example:payments", "example:quotes", "{example:quotes}:dead");
// What was published by a group's handlers is remembered for five minutes, so that none is published twice.
const names = await db.keys("{example:*}:once:*");
if (names.length > 0) await db.del(...names);
