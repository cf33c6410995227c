import { setTimeout as sleep } from "node:timers/promises";
import { Database, type Handler, type WorkerOptions } from "../../../src/index.ts";
import { Ledger } from "./ledger.ts";

/** What a worker in a process of its own is told: the one argument, as JSON. */
export interface Orders {
  readonly port: number;
  readonly key: string;
  readonly ledger: string;
  readonly name: string;
  /**
   * What the handler does: nothing, wait so many milliseconds, never end, end half a second after SIGTERM, or kill its
   * process for the entry "bad".
   */
  readonly does: "nothing" | "hang" | "outlast" | "die" | number;
  readonly consumer?: string;
  readonly options: Omit<WorkerOptions<Record<string, string>>, "batch">;
}

/** A worker of the group "g" until it is told to stop. It says `ready`, then what it has told, then `done`. */
const { port, key, ledger, name, does, consumer, options } = JSON.parse(process.argv[2]!) as Orders;

const say = (word: string): void => void process.stdout.write(`${word}\n`);
const db = new Database({ host: "127.0.0.1", port, retryStrategy: () => 50 });
db.on("error", () => {});
const group = db.consumerGroup("g", key, consumer === undefined ? {} : { consumer });
const handler: Handler<Record<string, string>> = new Ledger(ledger).handler(name, ({ data }) => {
  if (does === "die" && data.n === "bad") process.kill(process.pid, "SIGKILL");
  if (does === "hang") return new Promise(() => {});
  if (does === "outlast")
    return new Promise((resolve) => process.once("SIGTERM", () => setTimeout(resolve, 500)));
  return typeof does === "number" ? sleep(does) : undefined;
});
const settings: Omit<WorkerOptions<Record<string, string>>, "batch"> = { stopOn: true, ...options };
const worker = db.worker(group, handler, settings);
void (async () => {
  for await (const event of worker.status()) say(JSON.stringify(event));
})();
const running = worker.run();
say("ready");
await running;
await db.close();
say(JSON.stringify({ type: "metrics", ...worker.metrics() }));
say("done");
