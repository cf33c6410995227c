import { setImmediate as turn } from "node:timers/promises";
import { Database } from "../../src/index.ts";

/** Reads `argv[3]` messages by a loop that is slower than the server, and prints the heap after a collection, in bytes. */
const [, , url, count] = process.argv;
const db = new Database(url!);
const heaps: number[] = [];
let seen = 0;
const consumer = db.consumer("a", { from: "earliest", follow: true, buffer: 1000 });
for await (const message of consumer) {
  if (message.data.n !== String(++seen)) throw new Error(`message ${seen} is ${message.data.n}`);
  if (seen % 100 === 0) await turn();
  if (seen % (Number(count) / 10) === 0) {
    globalThis.gc!();
    heaps.push(process.memoryUsage().heapUsed);
  }
  if (seen === Number(count)) break;
}
await db.close();
console.log(JSON.stringify(heaps));
