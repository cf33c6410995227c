// A batch worker: the handler gets arrays, and says which messages are done. The others come back.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const group = db.consumerGroup("loaders", ["example:rows"]);
await group.exampleRows.addMany(Array.from({ length: 10 }, (_, i) => ({ row: i + 1 })));

// A table that refuses row 4 at its first try.
const table = new Map<string, number>();
await using worker = db.worker(
  group,
  async (rows) => {
    const done = rows.filter(({ data, deliveries }) => data.row !== "4" || deliveries > 1);
    for (const { data, deliveries } of done) table.set(data.row!, deliveries);
    console.log(`${rows.length} rows, ${done.length} done`);
    return done; // nothing at all would mean: all of them
  },
  { batch: { size: 8, wait: 20 }, retry: { delay: 50 } },
);

// `runOnce` ends when nothing is left but what waits for its retry; called again, it takes that up when it is due.
do await worker.runOnce();
while ((await group.stats()).pending > 0);
console.log("rows:", table.size, "row 4 at delivery", table.get("4"));

await group.exampleRows.clear();
