import { Cluster, type ClusterNode, type ClusterOptions } from "ioredis";
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

/** Options of a {@link ClusterDatabase}: those of ioredis, and one of its own. */
export type ClusterDatabaseOptions = Omit<ClusterOptions, "redisOptions"> &
  EntrySizeOption & {
    /** Options of the connection to each node. */
    readonly redisOptions?: Omit<NonNullable<ClusterOptions["redisOptions"]>, "replyMapping">;
  };

/**
 * A connection to a cluster that makes the same containers: an ioredis `Cluster`, so every command works on it too.
 *
 * A read over keys of several slots is one read for each slot, merged; reads go to masters only.
 *
 * @example
 * ```ts
 * import { ClusterDatabase } from "walrus-streams";
 *
 * await using db = new ClusterDatabase([{ host: "127.0.0.1", port: 7000 }]);
 * const cg = db.consumerGroup("cg", ["orders:eu", "orders:us"]);
 * await cg.create();
 * console.log(await cg.read({ count: 10, block: { seconds: 1 } }));
 * ```
 * @see https://github.com/redis/ioredis#cluster
 */
export class ClusterDatabase extends Cluster implements Factories {
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
    defineFactories(ClusterDatabase.prototype);
  }

  /**
   * Connect, unless `lazyConnect` is set.
   *
   * @throws InvalidArgumentError for a `maxEntrySize` that cannot be used.
   */
  constructor(startupNodes: ClusterNode[], options: ClusterDatabaseOptions = {}) {
    maxEntrySizeOf(options);
    super(startupNodes, options);
  }

  /** As ioredis has it, without the password that it leaves in the error of a refused login. */
  override emit(event: string | symbol, ...facts: unknown[]): boolean {
    return super.emit(event, ...facts.map((fact) => (fact instanceof Error ? redact(fact) : fact)));
  }

  /** How many nodes it knows; never the password among its options. */
  toJSON(): string {
    return `<ClusterDatabase ${this.nodes().length} nodes ${this.status}>`;
  }

  /** As ioredis has it; the wires end too, also where it is connecting again and would tell nobody. */
  override disconnect(reconnect = false): void {
    super.disconnect(reconnect);
    if (!reconnect) Client.of(this).close();
  }

  /**
   * End it: wires at once, the connections when their replies are in, at most a second later.
   *
   * Never waits for a blocked read: that rejects with {@link ClosedError}. Closing again does nothing.
   */
  close(): Promise<void> {
    return Client.of(this).end();
  }

  /** The same as {@link ClusterDatabase.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

printable(ClusterDatabase, (db) => db.toJSON());
