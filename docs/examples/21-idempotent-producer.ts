// A producer: many pushes share a write, and one with a key is stored once however often it is repeated.
import { compareIds, Database, json } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
await using payments = db.producer("example:payments", {
  codec: json<{ order: number; total: number }>(),
  maxlen: 100_000,
  window: { seconds: 10 }, // how long a key is remembered
});

// A thousand callers at once: one round trip for all that come while another is under way.
const pushes = Array.from({ length: 1000 }, (_, order) => payments.push({ order, total: 7 }));
const ids = await Promise.all(pushes);
console.log("pushed:", ids.length, "in order:", ids.join() === ids.toSorted(compareIds).join());

// The same order three times, as after a timeout or a double click: one entry, and its id each time.
const push = () => payments.push({ order: 7, total: 9 }, { idempotencyKey: "order 7" });
const same = await Promise.all([push(), push(), push()]);
console.log("one id:", new Set(same).size === 1);

// A file that is loaded again from the start stores nothing twice.
const lines = [1, 2, 3].map((order) => ({ order, total: order * 10 }));
const load = () => payments.pushMany(lines, { idempotencyKey: ({ order }) => `file line ${order}` });
const [first, second] = [await load(), await load()];
console.log("loaded:", first.join() === second.join());

console.log("stored:", await db.Stream("example:payments").length(), payments.metrics().failed, "failed");
const keys = await db.keys("{example:payments}:once:*"); // they expire by themselves, after the window
await db.del("example:payments", ...keys);
