import type { ClusterDatabase, Database } from "../../../src/index.ts";
import type { Address } from "../../../src/testing/index.ts";
import { BUILT } from "../build.ts";
import type { Data } from "../handling.ts";
import type { Payload, Tally } from "../payload.ts";
import { addByMany, addOne, BLOCK, OURS, PAGE, type Peer, type Received, sizeOf, type Task } from "./peer.ts";

type Library = typeof import("../../../src/index.ts");

/**
 * Opens this library: every work as the guides show it.
 *
 * @param to - one server's URL, or the nodes of a cluster
 */
export async function openWalrus(to: string | readonly Address[]): Promise<Peer> {
  const { ClusterDatabase, Database } = (await import(BUILT)) as Library;
  return new WalrusPeer(typeof to === "string" ? new Database(to) : new ClusterDatabase([...to]));
}

class WalrusPeer implements Peer {
  readonly name: string = OURS;
  readonly #db: Database | ClusterDatabase;

  constructor(db: Database | ClusterDatabase) {
    this.#db = db;
  }

  addOne(key: string, items: readonly Payload[]): Promise<Tally> {
    const stream = this.#db.Stream(key);
    return addOne(items, (item) => stream.add(item));
  }

  async addMany(key: string, items: readonly Payload[]): Promise<Tally> {
    const ids = await this.#db.Stream(key).addMany(items);
    let characters = 0;
    for (const item of items) characters += sizeOf(item);
    return { messages: ids.length, characters };
  }

  async addByMany(key: string, items: readonly Payload[], callers: number): Promise<Tally> {
    await using producer = this.#db.producer(key);
    return await addByMany(items, callers, (item) => producer.push(item));
  }

  async scan(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const { data } of this.#db.Stream(key).range()) {
      messages++;
      characters += sizeOf(data);
    }
    return { messages, characters };
  }

  async pages(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const page of this.#db.Stream(key).range().pages()) {
      for (const { data } of page) {
        messages++;
        characters += sizeOf(data);
      }
    }
    return { messages, characters };
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
        characters += sizeOf(data);
      }
      await cg.streams[key]!.ack(...batch);
    }
  }

  async readGroups(keys: readonly string[], group: string): Promise<Tally> {
    const acks: Promise<void>[] = [];
    let characters = 0;
    for await (const message of this.#db.consumer(this.#db.consumerGroup(group, keys), { buffer: PAGE })) {
      const { data } = message;
      characters += sizeOf(data);
      acks.push(message.ack());
    }
    await Promise.all(acks);
    return { messages: acks.length, characters };
  }

  async consume({ key, group, handle, handling }: Task): Promise<void> {
    const acks: Promise<void>[] = [];
    const cg = this.#db.consumerGroup(group, [key]);
    for await (const message of this.#db.consumer(cg, { buffer: PAGE, follow: true })) {
      handle(message.data);
      acks.push(message.ack());
      if (handling.isFinished) break;
    }
    await Promise.all(acks);
  }

  async work({ key, group, handle, handling, concurrency = 1 }: Task): Promise<void> {
    const cg = this.#db.consumerGroup(group, [key]);
    await using worker = this.#db.worker(cg, ({ data }) => handle(data), { concurrency, prefetch: PAGE });
    const running = worker.run();
    await Promise.race([handling.finished, running]);
    await worker.stop();
    await running;
  }

  async app({ key, group, handle, handling }: Task): Promise<void> {
    await using app = this.#db.app({ name: "bench", prefetch: PAGE });
    app.use((_message, _context, next) => next());
    app.use((_message, _context, next) => next());
    app.subscriber<Data>(key, { group }, ({ data }) => handle(data));
    await app.start();
    await handling.finished;
  }

  async tail(key: string, take: (data: Data) => boolean, signal: AbortSignal): Promise<void> {
    for await (const { data } of this.#db.consumer(key, { from: "earliest", follow: true, signal })) {
      if (!take(data)) return;
    }
  }

  reader(key: string): (lastId: string) => Promise<Received[]> {
    const stream = this.#db.Stream(key);
    return (lastId) => stream.read({ block: BLOCK, lastId, count: PAGE });
  }

  async hold(key: string, count: number): Promise<Received[]> {
    const held: Received[] = [];
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
