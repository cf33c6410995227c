// An app under test: a real server, no sleeps. `handled` and `published` wait for what is expected, and not longer.
import assert from "node:assert/strict";
import { type Database as Connection, Database } from "walrus-streams";
import { startServer } from "walrus-streams/testing";
import { z } from "zod";

// The service. It is given the database, so that its test may give it another one.
function billing(db: Connection) {
  const app = db.app({ name: "billing", log: false, retry: { maxDeliveries: 2, delay: 10 } });
  const schema = z.object({ total: z.number() });
  app.subscriber("orders", { group: "billing", schema, publishTo: "payments" }, ({ data }, { attempt }) => {
    if (data.total > 100 && attempt === 1) throw new Error("the bank is busy");
    return { paid: data.total };
  });
  return app;
}

// Its test.
await using server = await startServer();
await using db = new Database(server.url);
const app = billing(db);
await using t = await app.test();

await app.publish({ total: 7 }, { stream: "orders", correlationId: "small" });
await app.publish({ total: 700 }, { stream: "orders", correlationId: "big" });
const payments = await t.published(2, { stream: "payments" });
assert.deepEqual(
  payments.map(({ value, headers }) => [value, headers["correlation-id"]]),
  [
    [{ paid: 7 }, "small"],
    [{ paid: 700 }, "big"],
  ],
);
const [small, big] = await t.handled(2);
assert.ok(small && big && small.headers["correlation-id"] === "small");
console.log("handled:", small.data, big.data);

// What fails is not handled: it is among the dead letters.
await app.publish({ total: "much" }, { stream: "orders" });
const [bad] = await db.Stream("{orders}:dead").read({ block: 5000 });
const letter = await db.deadLetters("{orders}:dead").get(bad!.id);
console.log("dead:", letter?.error?.name);

// What waits for too much is told so when the app stops.
const third = t.handled(3);
await t.stop();
await third.catch((error: Error) => console.log(error.message));
