// Retries and dead letters: what fails too often is put aside, looked at, and sent back when the cause is mended.
import { Database, deadLetterKey, RejectError } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const group = db.consumerGroup("billing", ["example:orders"]);
const orders = group.exampleOrders;
await orders.addMany([{ total: 7 }, { total: "seven" }, { total: 9 }]);

let isBankOpen = false;
const worker = db.worker(
  group,
  async ({ data, deliveries, headers }) => {
    if (Number.isNaN(Number(data.total))) throw new RejectError("the total is no number"); // another try is of no use
    if (!isBankOpen) throw new Error(`the bank is closed, delivery ${deliveries}`);
    console.log("billed", data.total, "redrives", headers.redrives);
  },
  { retry: { maxDeliveries: 2, delay: 10, jitter: 0 } },
);
const over = worker.run();

// Each failure is an event, and so is a death.
let deaths = 0;
for await (const event of worker.status()) {
  if (event.type === "failed" && event.retryIn !== null) console.log("again in", event.retryIn, "ms");
  if (event.type === "deadLettered" && ++deaths === 3) break;
}

const dead = db.deadLetters(deadLetterKey("example:orders"));
for await (const { data, origin, error } of dead)
  console.log("dead:", data?.total, `${error?.message}, after ${origin?.deliveries}`);

// The bank opens. Look first, then send back all that only waited for it, and remove the rest.
isBankOpen = true;
console.log("would be sent back:", await dead.redrive({ dryRun: true }));
for (const { id, error } of await dead.range()) {
  if (error?.name === "RejectError") await dead.purge({ start: id, stop: id });
  else await dead.redrive({ start: id, stop: id });
}
while (worker.metrics().acked < 2) await new Promise((resolve) => setTimeout(resolve, 5));
await worker.stop();
await over;
console.log("dead letters:", await dead.length(), "pending:", (await group.stats()).pending);

await dead.clear();
await orders.clear();
