/**
 * Child process of the works that are fed from outside.
 *
 * Arguments: url, key. Says `ready`; each order that it is sent makes it add so many messages: at a steady rate, each
 * with the time at which it was sent (`process.hrtime` is the machine's monotonic clock, the same in all of its
 * processes), or as fast as the server takes them, by a script that adds 1,000. Ends when its parent lets go of it.
 */
import { setTimeout as wait } from "node:timers/promises";
import { Redis } from "ioredis";
import { payloads } from "./payload.ts";
import { bullMqAdder } from "./peers/bullmq.ts";
import { append } from "./server.ts";

/** What it is sent. */
export interface Order {
  /** How many messages. */
  readonly count: number;
  /** Messages a second; as many as it can without it. */
  readonly rate?: number;
  /** Entries of a stream, or jobs of a queue of BullMQ. */
  readonly medium: "stream" | "queue";
}

const BYTES = 100;

const [url = "", key = ""] = process.argv.slice(2);
const body = "x".repeat(80);
const items = payloads(1_000, BYTES);
const redis = new Redis(url);
redis.on("error", (error) => console.error(`feeder: ${error.message}`));

type Add = (sent: string) => Promise<unknown>;

const addEntry: Add = (sent) => redis.xadd(key, "*", "sent", sent, "body", body);
let addJob: Add | undefined;

async function openQueue(): Promise<Add> {
  const add = await bullMqAdder(url, key);
  return (sent) => add({ sent, body });
}

async function feed({ count, rate, medium }: Order): Promise<void> {
  if (rate === undefined) return append(redis, key, items, count);
  if (medium === "queue") addJob ??= await openQueue();
  const add = medium === "queue" ? addJob! : addEntry;
  const replies: Promise<unknown>[] = [];
  const started = performance.now();
  for (let sent = 0; sent < count; ) {
    const due = Math.min(count, Math.ceil(((performance.now() - started) * rate) / 1_000));
    for (; sent < due; sent++) replies.push(add(`${process.hrtime.bigint()}`));
    await wait(1);
  }
  await Promise.all(replies);
}

process.on("disconnect", () => process.exit());
process.on("message", (order) => void feed(order as Order));
await redis.ping();
process.send?.("ready");
