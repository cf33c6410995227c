/**
 * Child process of the idle work, started with `--expose-gc`: consumers that follow streams to which nothing comes.
 *
 * Arguments: url, prefix of the keys, how many. Says `ready` before the first consumer; a message then makes it open
 * them all, the next one makes it tell what they hold, and the last one makes it close them and end.
 */
import { once } from "node:events";
import { BUILT } from "./build.ts";

/** What the probe tells, for all consumers together. */
export interface IdleFigures {
  /** `heapUsed + external` above what stood before, in bytes. */
  readonly heap: number;
}

type Library = typeof import("../../src/index.ts");

const [url = "", prefix = "", count = "0"] = process.argv.slice(2);
const word = (): Promise<unknown> => once(process, "message");
const settled = (): NodeJS.MemoryUsage => {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return process.memoryUsage();
};

const { Database } = (await import(BUILT)) as Library;
const db = new Database(url);
const open = async (key: string) => {
  const consumer = db.consumer(key, { follow: true });
  return { consumer, next: consumer.getMessage() };
};

// What is loaded on first use is not what a consumer costs.
const first = await open(`${prefix}first`);
await new Promise((resolve) => setTimeout(resolve, 200));
await first.consumer.close();
await first.next;

const before = settled();
process.send?.("ready");
await word();

const consumers = await Promise.all(Array.from({ length: Number(count) }, (_, i) => open(`${prefix}${i}`)));
await word();

const after = settled();
const heap = after.heapUsed + after.external - before.heapUsed - before.external;
process.send?.({ heap } satisfies IdleFigures);
await word();

await Promise.all(consumers.map(({ consumer }) => consumer.close()));
const given = await Promise.all(consumers.map(({ next }) => next));
await db.close();
if (given.some((message) => message !== null)) throw new Error("an idle consumer was given a message");
process.disconnect?.();
