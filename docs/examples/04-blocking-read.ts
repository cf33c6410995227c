// Waiting for entries: a blocked read has a connection of its own, so yours stays free.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const log = db.Stream("example:blocking");
const old = await log.add({ news: "old" });

// What comes after an id, waiting for it where there is nothing yet.
const waiting = log.read({ lastId: old, block: { seconds: 30 } });

// While it waits, the shared connection answers at once.
console.log("length while waiting:", await log.length());
setTimeout(() => log.add({ news: "fresh" }), 200);
for (const { data } of await waiting) console.log("woken by:", data.news);

// "$" is the last entry there is now. Nothing within `block` is an empty list, no error.
console.log("in vain:", await log.read({ lastId: "$", block: 50 }));

// `block: 0` waits for ever; a signal ends that.
const patience = AbortSignal.timeout(200);
try {
  await log.read({ lastId: "$", block: 0, signal: patience });
} catch (error) {
  console.log("given up:", error === patience.reason);
}

await log.clear();
