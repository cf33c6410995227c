import type { ClusterDatabase, Database } from "../../../src/index.ts";
import type { Address } from "../../../src/testing/index.ts";
import { BUILT } from "../build.ts";
import type { Payload, Tally } from "../payload.ts";
import { type Entry, OURS, PAGE, type Peer, type Task } from "./peer.ts";

type Library = typeof import("../../../src/index.ts");
/** What a database and a cluster have in common. */
type Connection = Pick<
  Database | ClusterDatabase,
  "Stream" | "consumerGroup" | "consumer" | "producer" | "worker" | "close"
>;

/** Opens this library: every work as the guides show it. */
export async function openWalrus(url: string): Promise<Peer> {
  const { Database } = (await import(BUILT)) as Library;
  return new WalrusPeer(new Database(url));
}

/** Opens this library on a cluster. */
export async function openWalrusCluster(nodes: Address[]): Promise<Peer> {
  const { ClusterDatabase } = (await import(BUILT)) as Library;
  return new WalrusPeer(new ClusterDatabase(nodes));
}

/** This library. */
class WalrusPeer implements Peer {
  readonly name: string = OURS;
  readonly #db: Connection;

  constructor(db: Connection) {
    this.#db = db;
  }

  async scan(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const { data } of this.#db.Stream(key).range()) {
      messages++;
      characters += data.user!.length + data.action!.length + data.body!.length;
    }
    return { messages, characters };
  }

  async scanByPages(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const page of this.#db.Stream(key).range().pages()) {
      for (const { data } of page) {
        messages++;
        characters += data.user!.length + data.action!.length + data.body!.length;
      }
    }
    return { messages, characters };
  }

  async addMany(key: string, items: readonly Payload[]): Promise<Tally> {
    const ids = await this.#db.Stream(key).addMany(items);
    let characters = 0;
    for (const { user, action, body } of items) characters += user.length + action.length + body.length;
    return { messages: ids.length, characters };
  }

  async readGroup(key: string, group: string): Promise<Tally> {
    const cg = this.#db.consumerGroup(group, [key]);
    let messages = 0;
    let characters = 0;
    for (;;) {
      const batch = (await cg.read({ count: PAGE }))[key];
      if (batch === undefined) return { messages, characters };
      for (const { data } of batch) {
        messages++;
        characters += data.user!.length + data.action!.length + data.body!.length;
      }
      await cg.streams[key]!.ack(...batch);
    }
  }

  async consume(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const { data } of this.#db.consumer(key, { from: "earliest", buffer: PAGE })) {
      messages++;
      characters += data.user!.length + data.action!.length + data.body!.length;
    }
    return { messages, characters };
  }

  async consumeGroup(keys: readonly string[], group: string): Promise<Tally> {
    const cg = this.#db.consumerGroup(group, keys);
    const acks: Promise<void>[] = [];
    let characters = 0;
    for await (const message of this.#db.consumer(cg, { buffer: PAGE })) {
      const { data } = message;
      characters += data.user!.length + data.action!.length + data.body!.length;
      acks.push(message.ack());
    }
    await Promise.all(acks);
    return { messages: acks.length, characters };
  }

  async work({ key, group, handle, handling, concurrency, prefetch }: Task): Promise<void> {
    const options = {
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(prefetch === undefined ? {} : { prefetch }),
    };
    const worker = this.#db.worker(this.#db.consumerGroup(group, [key]), handle, options);
    const running = worker.run();
    try {
      await Promise.race([handling.finished, running]);
    } finally {
      await worker.stop();
    }
    await running;
  }

  async pushMany(key: string, items: readonly Payload[]): Promise<Tally> {
    const producer = this.#db.producer(key);
    const ids = await producer.pushMany(items);
    await producer.close();
    let characters = 0;
    for (const { user, action, body } of items) characters += user.length + action.length + body.length;
    return { messages: ids.length, characters };
  }

  async pushEach(key: string, items: readonly Payload[], callers: number): Promise<Tally> {
    const producer = this.#db.producer(key);
    const ids: string[] = [];
    let next = 0;
    let characters = 0;
    const call = async (): Promise<void> => {
      while (next < items.length) {
        const item = items[next++]!;
        characters += item.user.length + item.action.length + item.body.length;
        ids.push(await producer.push(item));
      }
    };
    await Promise.all(Array.from({ length: callers }, call));
    await producer.close();
    return { messages: ids.length, characters };
  }

  async tail(key: string, take: (entry: Entry) => boolean, signal: AbortSignal): Promise<void> {
    for await (const message of this.#db.consumer(key, { from: "earliest", follow: true, signal })) {
      if (!take(message)) return;
    }
  }

  adder(key: string): (item: Payload) => Promise<string> {
    const stream = this.#db.Stream(key);
    return (item) => stream.add(item);
  }

  counter(key: string): () => Promise<number> {
    const stream = this.#db.Stream(key);
    return () => stream.length();
  }

  reader(key: string): (lastId: string) => Promise<Entry[]> {
    const stream = this.#db.Stream(key);
    return (lastId) => stream.read({ block: 5_000, lastId, count: PAGE });
  }

  async hold(key: string, count: number): Promise<Entry[]> {
    const held: Entry[] = [];
    for await (const message of this.#db.Stream(key).range()) {
      held.push(message);
      if (held.length === count) break;
    }
    return held;
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}
