// A consumer that died: what it had read and not acknowledged is pending, and another one takes it over.
import { Database, nextId } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const group = db.consumerGroup("workers", ["example:jobs"]);
await group.create();
const jobs = group.exampleJobs;
await jobs.addMany(["a", "b", "c", "d"].map((job) => ({ job })));

// Ann reads all four, does one and is never seen again.
const [first] = await group.consumer("ann").exampleJobs.read();
await first!.ack();

// What is pending, since when, with whom: all of it, page by page.
for await (const { consumer, deliveries } of jobs.pending()) {
  console.log(`with ${consumer}, delivered ${deliveries} time`); // an entry has its id and idle time, too
}
console.log("in short:", (await jobs.pendingSummary()).consumers);

// Ben takes what has been idle for too long; here 20 ms are enough.
await new Promise((resolve) => setTimeout(resolve, 30));
const ben = group.consumer("ben").exampleJobs;
const idle = await ben.pending({ consumer: "ann", idle: 20, count: 1 });
const [taken] = await ben.claim(idle, { minIdle: 20 }); // only if it is still that idle: nobody else took it
console.log(`${taken?.consumer} has job ${taken?.data.job}, delivery ${taken?.deliveries}`);

// Or without looking first: claim whatever is that idle, here from the entry after it on.
const { messages, next } = await ben.autoclaim({ minIdle: 20, start: nextId(taken!.id) });
console.log("and", messages.map(({ data }) => data.job).join(" "), "next:", next);

// Done: acknowledge by message, entry or id; then nothing is pending and Ann can go.
console.log("acknowledged:", await ben.ack(taken!, ...messages));
console.log("lost with ann:", await jobs.deleteConsumer("ann"));
await jobs.clear();
