// A group member that resumes after a crash: what it had been given and not acknowledged comes first.
import { Database } from "walrus-streams";

const url = process.env.REDIS_URL ?? "redis://localhost:6379";
await using db = new Database(url);
const key = "example:resume-jobs";
await db.consumerGroup("workers", [key]).create();
await db.Stream(key).addMany(Array.from({ length: 6 }, (_, i) => ({ job: i + 1 })));

/** One life of the member: it does so many jobs, and then its process is gone. */
async function live(jobs: number): Promise<void> {
  // A connection of its own and the same name in each life: that is how the group knows it again.
  await using own = new Database(url);
  const group = own.consumerGroup("workers", [key], { consumer: "ann" });

  // `backlog` drains what is pending for "ann" before anything new.
  let done = 0;
  for await (const message of own.consumer(group, { backlog: true })) {
    if (done === jobs) {
      console.log("crashed at job", message.data.job);
      break; // No acknowledgement: the job, and what was read ahead, stay pending.
    }
    console.log("did job", message.data.job, "delivery", message.deliveries);
    await group.streams[key].ack(message);
    done++;
  }
}

await live(2);
console.log("pending after the crash:", (await db.consumerGroup("workers", [key]).stats()).pending);
await live(10);
console.log("pending at the end:", (await db.consumerGroup("workers", [key]).stats()).pending);

await db.Stream(key).clear();
