// The payments service: it quotes prices, and charges orders. Its bank fails now and then.
import { setTimeout as delay } from "node:timers/promises";
import { Database, RejectError } from "walrus-streams";
import { otel } from "walrus-streams/otel";
import { endWithDriver, log, tell } from "./link.ts";
import { Order, Payment, Question, type Quote } from "./messages.ts";
import { setUpTracing } from "./tracing.ts";

const PRICES: Readonly<Record<string, number>> = { apple: 2, pear: 3, plum: 5 };
const [hangsAt] = process.argv.slice(2).map(Number);

setUpTracing("payments");
await using db = new Database(process.env.REDIS_URL!);
await using app = db.app({
  name: "payments",
  log,
  lease: { seconds: 2 }, // what a killed process held is taken up 2 to 3 s later
  retry: { maxDeliveries: 5, delay: 50 },
});
app.use(otel());

app.subscriber(
  "quotes",
  { group: "payments", schema: Question, concurrency: 10 },
  ({ data: { sku } }): Quote => {
    const price = PRICES[sku];
    if (price === undefined) throw new RejectError(`there is no ${sku}`);
    return { sku, price }; // goes to who asked
  },
);

const payments = app.publisher("payments", { schema: Payment, maxlen: 10_000 });
app.subscriber(
  "orders",
  { group: "payments", schema: Order, concurrency: 4, publishTo: payments },
  async ({ data: { number, total } }, { attempt, signal }): Promise<Payment> => {
    tell({ type: "charging", order: number });
    if (number % 5 === 0 && attempt === 1) throw new Error("the bank is busy"); // tried again 50 ms later
    await delay(number === hangsAt ? 60_000 : 10, null, { signal });
    return { order: number, paid: total }; // published once, however often the order is handled
  },
);

endWithDriver(app);
await app.run(); // until SIGTERM
if (process.connected) process.disconnect();
