import type { Data } from "../handling.ts";
import type { Payload, Tally } from "../payload.ts";
import { addByMany, addMany, addOne, BLOCK, PAGE, type Peer, type Task } from "./peer.ts";

interface RedisLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  disconnect(): void;
}
interface Delivery {
  readonly payload: Data;
  markAsRead(): Promise<boolean>;
}
/** What the bench calls of redis-streams-broker. */
interface BrokerLike {
  publish(payload: Payload, maximumApproximateMessages: number): Promise<string>;
  joinConsumerGroup(
    group: string,
    readFrom: string,
  ): Promise<{
    subscribe(
      consumer: string,
      handler: (deliveries: readonly Delivery[]) => Promise<number>,
      pollSpan: number,
      payloadsToFetch: number,
    ): Promise<string>;
  }>;
}
type Broker = new (redis: RedisLike, key: string) => BrokerLike;

/** On ioredis 5.11, whose decoder is faster; the broker's own tests run on ioredis 4. */
const DRIVER = "ioredis5";
/** To `publish`: the stream is not cut; by default it is, at 100 entries. */
const UNCUT = -1;
/** From a handler: no further read. */
const ENOUGH = -1;

/** Opens redis-streams-broker. */
export async function openBroker(name: string, module: string, url: string): Promise<Peer> {
  const { StreamChannelBroker } = ((await import(module)) as { default: { StreamChannelBroker: Broker } })
    .default;
  const { Redis } = (await import(DRIVER)) as { Redis: new (url: string) => RedisLike };
  const redis = new Redis(url);
  redis.on("error", (error) => console.error(`${name}: ${error.message}`));
  return new BrokerPeer(name, StreamChannelBroker, redis);
}

/** It has no call for many at once: `publish` and `markAsRead` are called together, and ioredis pipelines them. */
class BrokerPeer implements Peer {
  readonly name: string;
  readonly #Broker: Broker;
  readonly #redis: RedisLike;
  readonly #brokers: Map<string, BrokerLike> = new Map();

  constructor(name: string, Broker: Broker, redis: RedisLike) {
    this.name = name;
    this.#Broker = Broker;
    this.#redis = redis;
  }

  /** One for each stream: each leaves listeners on the connection. */
  #of(key: string): BrokerLike {
    const broker = this.#brokers.get(key) ?? new this.#Broker(this.#redis, key);
    this.#brokers.set(key, broker);
    return broker;
  }

  addOne(key: string, items: readonly Payload[]): Promise<Tally> {
    const broker = this.#of(key);
    return addOne(items, (item) => broker.publish(item, UNCUT));
  }

  addMany(key: string, items: readonly Payload[]): Promise<Tally> {
    const broker = this.#of(key);
    return addMany(items, (batch) => Promise.all(batch.map((item) => broker.publish(item, UNCUT))));
  }

  addByMany(key: string, items: readonly Payload[], callers: number): Promise<Tally> {
    const broker = this.#of(key);
    return addByMany(items, callers, (item) => broker.publish(item, UNCUT));
  }

  consume(task: Task): Promise<void> {
    return this.work(task);
  }

  async work({ key, group, handle, handling, concurrency = 1 }: Task): Promise<void> {
    const joined = await this.#of(key).joinConsumerGroup(group, "0-0");
    const acknowledged = new Promise<void>((resolve, reject) => {
      const handler = async (deliveries: readonly Delivery[]): Promise<number> => {
        try {
          if (concurrency > 1) await Promise.all(deliveries.map(({ payload }) => handle(payload)));
          else {
            for (const { payload } of deliveries) {
              const pending = handle(payload);
              if (pending !== undefined) await pending;
            }
          }
          await Promise.all(deliveries.map((delivery) => delivery.markAsRead()));
        } catch (error) {
          reject(error);
          return ENOUGH;
        }
        if (!handling.isFinished) return count;
        resolve();
        return ENOUGH;
      };
      const count = concurrency === 1 ? PAGE : concurrency;
      joined.subscribe("c1", handler, BLOCK, count).catch(reject);
    });
    await Promise.all([handling.finished, acknowledged]);
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}
