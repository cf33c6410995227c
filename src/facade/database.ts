import { Redis, type RedisOptions } from "ioredis";
import { Client } from "../connection/client.ts";
import { redact } from "../connection/driver.ts";
import { type EntrySizeOption, maxEntrySizeOf } from "../connection/entry-size.ts";
import { printable } from "../ground/display.ts";
import {
  type AppFactory,
  type ConsumerFactory,
  type ConsumerGroupFactory,
  type DeadLettersFactory,
  defineFactories,
  type Factories,
  type ProducerFactory,
  type StreamFactory,
  type TimeSeriesFactory,
  type WorkerFactory,
} from "./factories.ts";

/** Options of a {@link Database}: those of ioredis, and one of its own. */
export type DatabaseOptions = Omit<RedisOptions, "replyMapping"> & EntrySizeOption;

/** What a {@link Database} is made from: options, a URL, a socket's path, a port, or a port and a host. */
export type DatabaseArguments =
  | [options?: DatabaseOptions]
  | [url: string, options?: DatabaseOptions]
  | [port: number, options?: DatabaseOptions]
  | [port: number, host: string, options?: DatabaseOptions];

/**
 * A connection to Redis or Valkey that makes containers: an ioredis `Redis`, so every command works on it too.
 *
 * Takes all that the constructor of `Redis` takes: a URL, a port, host and options, a socket path, Sentinels.
 * Dedicated connections for blocking reads, scans and batches are opened beside it when they are needed.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database("redis://localhost:6379");
 * const id = await db.Stream("a").add({ message: "hello, streams" });
 * console.log(id, await db.ping());
 * ```
 * @see https://github.com/redis/ioredis
 */
export class Database extends Redis implements Factories {
  /** Make a stream: `db.Stream("a")`. */
  declare readonly Stream: StreamFactory;
  /** Make a consumer group: `db.consumerGroup("cg", ["stream-a", "stream-b"])`. */
  declare readonly consumerGroup: ConsumerGroupFactory;
  /** Make a time series: `db.timeSeries("demo", ["s1", "s2"])`. */
  declare readonly timeSeries: TimeSeriesFactory;
  /** Make a consumer: `for await (const m of db.consumer(["a", "b"], { follow: true }))`. */
  declare readonly consumer: ConsumerFactory;
  /** Make a producer: `await db.producer("orders").push({ sku: "a-1" })`. */
  declare readonly producer: ProducerFactory;
  /** Make a worker: `await db.worker(group, async (message) => { ... }).run()`. */
  declare readonly worker: WorkerFactory;
  /** Open dead letters: `await db.deadLetters("{orders}:dead").redrive()`. */
  declare readonly deadLetters: DeadLettersFactory;
  /** Make an app: `const app = db.app({ name: "billing" })`. */
  declare readonly app: AppFactory;

  static {
    defineFactories(Database.prototype);
  }

  /**
   * Connect, unless `lazyConnect` is set.
   *
   * @throws InvalidArgumentError for a `maxEntrySize` that cannot be used.
   */
  constructor(...args: DatabaseArguments) {
    for (const arg of args) if (typeof arg === "object" && arg !== null) maxEntrySizeOf(arg);
    super(...(args as [DatabaseOptions]));
  }

  /** As ioredis has it, without the password that it leaves in the error of a refused login. @internal */
  override silentEmit(event: string, fact?: unknown): boolean {
    return super.silentEmit(event, event === "error" ? redact(fact) : fact);
  }

  /** Where it leads; never the password among its options. */
  toJSON(): string {
    const { host, port, path, sentinels, name, db } = this.options;
    const server = sentinels ? `master ${name}` : (path ?? `${host}:${port}`);
    return `<Database ${server}/${db} ${this.status}>`;
  }

  /** As ioredis has it; the wires end too, also where it is connecting again and would tell nobody. */
  override disconnect(reconnect = false): void {
    super.disconnect(reconnect);
    if (!reconnect) Client.of(this).close();
  }

  /**
   * End it: wires at once, the connection when its replies are in, at most a second later.
   *
   * Never waits for a blocked read: that rejects with {@link ClosedError}. Closing again does nothing.
   */
  close(): Promise<void> {
    return Client.of(this).end();
  }

  /** The same as {@link Database.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

printable(Database, (db) => db.toJSON());
