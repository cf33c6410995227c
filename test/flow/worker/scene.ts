import { expect } from "vitest";
import { type Database, deadLetterKey, type Worker, type WorkerEvent } from "../../../src/index.ts";
import { type Server, type ServerOptions, startServer, waitFor } from "../../../src/testing/index.ts";
import { open, Watch } from "../../connection/harness.ts";
import { Ledger } from "./ledger.ts";

/** A server with the stream "s" and its group "g", a watch on it, and a ledger of what is handled. */
export class Scene {
  readonly server: Server;
  readonly watch: Watch;
  readonly ledger: Ledger = new Ledger();
  readonly key = "s";

  private constructor(server: Server) {
    this.server = server;
    this.watch = new Watch(server);
  }

  static async open(options: Omit<ServerOptions, "cluster" | "sentinel"> = {}): Promise<Scene> {
    const scene = new Scene(await startServer({ args: ["--hz", "100"], ...options }));
    await scene.watch.redis.xgroup("CREATE", scene.key, "g", "0", "MKSTREAM");
    return scene;
  }

  /** A database straight on the server, or by another port. */
  database(port: number = this.server.port): Database {
    return open({ host: "127.0.0.1", port });
  }

  /** Add numbered entries in one write. */
  async add(count: number, from = 1): Promise<void> {
    const pipeline = this.watch.redis.pipeline();
    for (let n = from; n < from + count; n++) pipeline.xadd(this.key, "*", "n", n);
    await pipeline.exec();
  }

  /** The ids in the stream. */
  async ids(): Promise<string[]> {
    return (await this.watch.redis.xrange(this.key, "-", "+")).map(([id]) => id);
  }

  /** How many entries are pending, waiting ones among them. */
  async pending(): Promise<number> {
    const [count] = (await this.watch.redis.xpending(this.key, "g")) as [number];
    return count;
  }

  /** The numbers in the dead letters. */
  async dead(): Promise<string[]> {
    const entries = await this.watch.redis.xrange(deadLetterKey(this.key), "-", "+");
    return entries.map(([, fields]) => fields[1]!);
  }

  /** Waits until so many numbers were begun, and nothing is pending. */
  async settled(numbers: number, timeout = 15_000): Promise<void> {
    await waitFor(() => this.ledger.counts().size >= numbers, { what: `${numbers} handled`, timeout });
    await waitFor(async () => (await this.pending()) === 0, { what: "nothing pending", timeout });
  }

  /** How many commands a second the server gets, over so many milliseconds that something else takes. */
  async commandsDuring(act: () => Promise<unknown>): Promise<{ count: number; seconds: number }> {
    const count = async () =>
      Number(/total_commands_processed:(\d+)/.exec(await this.watch.redis.info("stats"))![1]);
    const [before, start] = [await count(), performance.now()];
    await act();
    return { count: (await count()) - before, seconds: (performance.now() - start) / 1000 };
  }

  /** Whether nothing was handled by two at once. */
  isExclusive(): void {
    expect(this.ledger.overlaps()).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.watch.redis.disconnect();
    await this.server.stop();
    this.ledger[Symbol.dispose]();
  }
}

/** What a worker tells from now on. */
export function eventsOf(worker: Pick<Worker<never>, "status">): WorkerEvent[] {
  const events: WorkerEvent[] = [];
  const status = worker.status();
  void (async () => {
    for await (const event of status) events.push(event);
  })();
  return events;
}

/** Run a worker; its failure is to be met by who awaits the promise, or by nobody. */
export function run(worker: Pick<Worker<never>, "run">): Promise<void> {
  const running = worker.run();
  running.catch(() => {});
  return running;
}

/** Keep the event loop busy, as a handler that computes does. */
export function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}
