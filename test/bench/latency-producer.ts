/**
 * Child process of the latency work: adds messages at a steady rate, each with the time at which it was sent.
 * `process.hrtime` is the machine's monotonic clock, the same in all of its processes.
 *
 * Arguments: url, key, messages a second. Says `ready`; each order that it is sent makes it add so many messages.
 * Ends when its parent lets go of it.
 */
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "ioredis";
import { bullMqAdder } from "./peers/bullmq.ts";

/** What it is sent. */
export interface Order {
  /** How many messages. */
  readonly count: number;
  /** Entries of a stream, or jobs of a queue of BullMQ. */
  readonly medium: "stream" | "queue";
}

const [url = "", key = "", rate = "1000"] = process.argv.slice(2);
const body = "x".repeat(80);
const redis = new Redis(url);
redis.on("error", (error) => console.error(`latency producer: ${error.message}`));

type Add = (sent: string) => Promise<unknown>;

const addEntry: Add = (sent) => redis.xadd(key, "*", "sent", sent, "body", body);
let addJob: Add | undefined;

async function openQueue(): Promise<Add> {
  const add = await bullMqAdder(url, key);
  return (sent) => add({ sent, body });
}

async function produce({ count, medium }: Order): Promise<void> {
  if (medium === "queue") addJob ??= await openQueue();
  const add = medium === "queue" ? addJob! : addEntry;
  const replies: Promise<unknown>[] = [];
  const started = performance.now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - started) * Number(rate)) / 1_000));
    for (; sent < due; sent++) replies.push(add(`${process.hrtime.bigint()}`));
    await wait(1);
  }
  await Promise.all(replies);
}

process.on("disconnect", () => process.exit());
process.on("message", (order) => void produce(order as Order));
await redis.ping();
process.send?.("ready");
