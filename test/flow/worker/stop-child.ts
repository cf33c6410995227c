import { Database } from "../../../src/index.ts";

/** A worker that stops on signals: says what it handles, and `done`; a message "wait" takes until the drain is over. */
const [, , port, key, stopOn] = process.argv;
const db = new Database({ host: "127.0.0.1", port: Number(port) });
await db.ping();
/** Timers that keep this process alive. */
const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
const before = timers();
const worker = db.worker(
  db.consumerGroup("g", key!),
  ({ data }, { signal }) => {
    process.stdout.write(`${data.n}\n`);
    if (data.n !== "wait") return;
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
  },
  { drain: 300, stopOn: JSON.parse(stopOn!) as boolean | NodeJS.Signals[] },
);
await worker.run();
const more = timers() - before;
const left = process.listenerCount("SIGTERM") + process.listenerCount("SIGINT");
await db.close();
process.stdout.write(`done ${left} ${more}\n`);
