import { afterAll, beforeAll, beforeEach } from "vitest";
import type { Consumer, ConsumerEvent, Database, Message } from "../../src/index.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { open, Watch, within } from "../connection/harness.ts";

/** What the tests of one file share: a server, a watch on it, and for each test a database and keys of its own. */
export class Ground {
  server!: Server;
  watch!: Watch;
  db!: Database;
  key!: string;
  #tests = 0;

  /** @param args - Of the server's command line. */
  constructor(args: readonly string[] = ["--hz", "100"]) {
    beforeAll(async () => {
      this.server = await startServer({ args });
      this.watch = new Watch(this.server);
    });
    afterAll(async () => {
      this.watch?.redis.disconnect();
      await this.server?.stop();
    });
    beforeEach(async () => {
      this.key = `s${this.#tests++}`;
      this.db = open(this.server.options);
      await this.db.ping();
      return async () => {
        await within(1500, this.db.close());
        await this.watch.gone();
      };
    });
  }
}

/** Add numbered entries with the ids `1-0`, `2-0`, ... by one command each, in one pipeline. */
export async function fill(watch: Watch, key: string, count: number, from = 1): Promise<void> {
  const pipeline = watch.redis.pipeline();
  for (let n = from; n < from + count; n++) pipeline.xadd(key, `${n}-0`, "n", n);
  await pipeline.exec();
}

/** The numbers of the next so many messages; an error where one does not come in time. */
export async function take(
  consumer: Consumer<Record<string, string>, Message<Record<string, string>>>,
  count: number,
  ms = 5000,
): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    const message = await within(ms, consumer.getMessage());
    if (message === null) break;
    numbers.push(Number(message.data.n));
  }
  return numbers;
}

/** The numbers of all messages until the iteration ends. */
export async function all(
  consumer: Consumer<Record<string, string>, Message<Record<string, string>>>,
): Promise<number[]> {
  const numbers: number[] = [];
  for await (const message of consumer) numbers.push(Number(message.data.n));
  return numbers;
}

/** `from`, `from + 1`, ... `to`. */
export function upTo(to: number, from = 1): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** What a consumer tells from now on. */
export class Log {
  readonly events: ConsumerEvent[] = [];
  /** Settles when the consumer is closed. */
  readonly ended: Promise<void>;

  constructor(consumer: Pick<Consumer<unknown>, "status">) {
    const status = consumer.status();
    this.ended = (async () => {
      for await (const event of status) this.events.push(event);
    })();
  }

  /** What kinds of events came, in order. */
  get types(): string[] {
    return this.events.map(({ type }) => type);
  }

  /** Waits for an event of a kind. */
  async had<K extends ConsumerEvent["type"]>(
    type: K,
    timeout = 10_000,
  ): Promise<Extract<ConsumerEvent, { type: K }>> {
    const event = await waitFor(() => this.events.find((one) => one.type === type), { what: type, timeout });
    return event as Extract<ConsumerEvent, { type: K }>;
  }
}
