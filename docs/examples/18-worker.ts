// A worker: a handler for each entry of a group, many at once, and a clean stop.
import { Database, json } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const codec = json<{ to: string }>();
const group = db.consumerGroup("mailers", ["example:mails"], { codec });

// Two at once. The handler is awaited; what it returns does not matter, what it throws counts as failed.
let sent = 0;
let most = 0;
let running = 0;
const worker = db.worker(
  group,
  async ({ data }) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running--;
    console.log("mail to", data.to);
    if (++sent === 6) worker.stop();
  },
  { concurrency: 2 },
);

// It makes the group, and waits for entries. A service would stop on SIGTERM: `stopOn: true`.
const over = worker.run();
await group.exampleMails.addMany(["ann", "ben", "cleo", "dan", "eve", "fay"].map((to) => ({ to })));
await over;

const { read, acked, failed } = worker.metrics();
console.log({ read, acked, failed }, "at once:", most);
console.log("left pending:", (await group.stats()).pending);
await group.exampleMails.clear();
