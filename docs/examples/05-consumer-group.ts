// A consumer group over two streams: its consumers share the entries, each is worked on once, then acknowledged.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const billing = db.consumerGroup("billing", ["example:orders-eu", "example:orders-us"]);

// Made on every stream, from the first entry; `false` where it was there already.
console.log("created:", await billing.create());

// Each stream is a typed attribute by its camelCase key; `billing.streams[key]` always works.
await billing.exampleOrdersEu.addMany([{ total: 1 }, { total: 2 }, { total: 3 }]);
await billing.exampleOrdersUs.add({ total: 10 });

// Two consumers of the same group.
const ann = billing.consumer("ann");
const ben = billing.consumer("ben");
const forAnn = await ann.read({ count: 2 }); // at most two of each stream
const forBen = await ben.read({ count: 2 }); // the rest
for (const [key, messages] of Object.entries(forAnn)) console.log(`ann: ${messages.length} of ${key}`);
for (const [key, messages] of Object.entries(forBen)) console.log(`ben: ${messages.length} of ${key}`);

// A message acknowledges itself; acks of one turn of the event loop travel as one command.
await Promise.all(
  Object.values(forAnn)
    .flat()
    .map((message) => message.ack()),
);
const { length, lag, pending } = await billing.stats();
console.log({ length, lag, pending }); // Ben's one is pending still

// A group goes with its stream; `destroy` alone would leave the streams.
await billing.destroy();
await db.del(...billing.keys);
