import type { Data } from "../handling.ts";
import type { Payload } from "../payload.ts";
import { addMany, addOne, type Peer, type Queue, type Task } from "./peer.ts";

interface RedisLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  setMaxListeners(count: number): unknown;
  disconnect(): void;
}
interface Options {
  readonly connection: RedisLike;
  readonly concurrency?: number;
  readonly removeOnComplete?: { readonly count: number };
}

/** What the bench calls of BullMQ. */
interface QueueLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  waitUntilReady(): Promise<unknown>;
  add(name: string, data: Data): Promise<unknown>;
  addBulk(
    jobs: readonly { readonly name: string; readonly data: Data }[],
  ): Promise<readonly { id?: string }[]>;
  getJobCountByTypes(...types: string[]): Promise<number>;
  obliterate(options: { readonly force: boolean }): Promise<void>;
  close(): Promise<void>;
}
interface WorkerLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "failed", listener: (job: unknown, error: Error) => void): unknown;
  /** Waits for the jobs that it has begun. */
  close(): Promise<void>;
}
interface BullMq {
  readonly Queue: new (name: string, options: Options) => QueueLike;
  readonly Worker: new (
    name: string,
    process: (job: { readonly data: Data }) => Promise<void>,
    options: Options,
  ) => WorkerLike;
}

/** Everything that is not over; a job that is done is removed. */
const UNFINISHED = ["active", "waiting", "delayed", "prioritized", "paused", "failed"];

/** On ioredis 5.11, where BullMQ is at least as fast as on ioredis 6, iovalkey or node-redis. */
const DRIVER = "ioredis5";

/** Opens BullMQ. */
export async function openBullMq(name: string, module: string, url: string): Promise<Peer> {
  const [bullmq, redis] = await Promise.all([import(module) as Promise<BullMq>, connect(url)]);
  redis.on("error", (error) => console.error(`${name}: ${error.message}`));
  redis.setMaxListeners(0); // each worker that was leaves some of its own
  return new BullMqPeer(name, bullmq, redis);
}

/** What adds one job to a queue, on a connection of its own. */
export async function bullMqAdder(url: string, key: string): Promise<(data: Data) => Promise<unknown>> {
  const module: string = "bullmq";
  const { Queue } = (await import(module)) as BullMq;
  const queue = new Queue(queueName(key), { connection: await connect(url) });
  queue.on("error", (error) => console.error(`BullMQ: ${error.message}`));
  await queue.waitUntilReady();
  return (data) => queue.add("message", data);
}

async function connect(url: string): Promise<RedisLike> {
  const { Redis } = (await import(DRIVER)) as { Redis: new (url: string, options: object) => RedisLike };
  return new Redis(url, { maxRetriesPerRequest: null });
}

/** A queue's name must have no colon. */
function queueName(key: string): string {
  return key.replaceAll(":", "-");
}

/** A queue and its worker, as the guide of BullMQ shows them; what is done is removed, which is faster. */
class BullMqPeer implements Peer {
  readonly name: string;
  readonly queue: Queue;
  readonly #bullmq: BullMq;
  readonly #redis: RedisLike;
  readonly #queues: Map<string, QueueLike> = new Map();

  constructor(name: string, bullmq: BullMq, redis: RedisLike) {
    this.name = name;
    this.#bullmq = bullmq;
    this.#redis = redis;
    this.queue = {
      addOne: (key, items) => {
        const queue = this.#of(key);
        return addOne(items, (data) => queue.add("message", data));
      },
      addMany: (key, items) => {
        const queue = this.#of(key);
        return addMany(items, (batch) => addBulk(queue, batch));
      },
      unfinished: (key) => this.#of(key).getJobCountByTypes(...UNFINISHED),
      clear: (key) => this.#of(key).obliterate({ force: true }),
    };
  }

  #of(key: string): QueueLike {
    const known = this.#queues.get(key);
    if (known) return known;
    const queue = new this.#bullmq.Queue(queueName(key), { connection: this.#redis });
    queue.on("error", (error) => console.error(`${this.name}: ${error.message}`));
    this.#queues.set(key, queue);
    return queue;
  }

  async work({ key, handle, handling, concurrency = 1 }: Task): Promise<void> {
    const worker = new this.#bullmq.Worker(queueName(key), async ({ data }) => handle(data), {
      connection: this.#redis,
      concurrency,
      removeOnComplete: { count: 0 },
    });
    const failed = new Promise<never>((_, reject) => {
      worker.on("error", reject);
      worker.on("failed", (_job, error) => reject(error));
    });
    try {
      await Promise.race([handling.finished, failed]);
    } finally {
      await worker.close();
    }
  }

  async close(): Promise<void> {
    for (const queue of this.#queues.values()) await queue.close();
    this.#redis.disconnect();
  }
}

/** Add jobs in one round trip; their ids. */
async function addBulk(queue: QueueLike, items: readonly Payload[]): Promise<(string | undefined)[]> {
  const jobs = await queue.addBulk(items.map((data) => ({ name: "message", data })));
  return jobs.map(({ id }) => id);
}
