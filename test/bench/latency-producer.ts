/**
 * Child process of the latency work: adds messages at a steady rate, each with the time at which it was sent.
 * `process.hrtime` is the machine's monotonic clock, the same in all of its processes.
 *
 * Arguments: url, key, messages a second. Says `ready`; each number that it is sent makes it add so many messages.
 * Ends when its parent lets go of it.
 */
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "ioredis";

const [url = "", key = "", rate = "1000"] = process.argv.slice(2);
const body = "x".repeat(80);
const redis = new Redis(url);
redis.on("error", (error) => console.error(`latency producer: ${error.message}`));

async function produce(total: number): Promise<void> {
  const replies: Promise<unknown>[] = [];
  const started = performance.now();
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.ceil(((performance.now() - started) * Number(rate)) / 1_000));
    for (; sent < due; sent++) {
      replies.push(redis.xadd(key, "*", "sent", `${process.hrtime.bigint()}`, "body", body));
    }
    await wait(1);
  }
  await Promise.all(replies);
}

process.on("disconnect", () => process.exit());
process.on("message", (total) => void produce(Number(total)));
await redis.ping();
process.send?.("ready");
