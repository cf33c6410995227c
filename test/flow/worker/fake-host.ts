import { Counters } from "../../../src/flow/worker/counters.ts";
import { Crew, type CrewHost } from "../../../src/flow/worker/crew.ts";
import type { BatchHandler, Handler, HandlerContext } from "../../../src/flow/worker/handler.ts";
import { type WorkerOptions, type WorkerSettings, workerSettings } from "../../../src/flow/worker/options.ts";
import { Task } from "../../../src/flow/worker/task.ts";
import { type Delivery, GroupMessage } from "../../../src/wire/message.ts";

/** What the messages of these tests carry: a number and a key. */
export interface Item {
  readonly n: number;
  readonly key?: string;
}

/** Settles nothing: what a crew does with a message is the host's business. */
const DELIVERY: Delivery = {
  ...{ group: "g", consumer: "c", ack: async () => {}, retry: async () => true },
  ...{ reject: async () => true, extend: async () => true },
};

/** A task for a message, of the stream "s" where none is named. */
export function task(n: number, key?: string, stream = "s"): Task<Item> {
  const data = key === undefined ? { n } : { n, key };
  return new Task(new GroupMessage(stream, `${n}-0`, data, {}, 1, DELIVERY), performance.now());
}

/** A host with a queue in memory, and the crew that works for it. */
export class FakeHost implements CrewHost<Item> {
  readonly settings: WorkerSettings<Item>;
  readonly counters: Counters = new Counters();
  readonly handler: Handler<Item> | BatchHandler<Item>;
  readonly crew: Crew<Item>;
  readonly queue: Task<Item>[] = [];
  /** What has ended, in order. */
  readonly ended: { readonly n: number; readonly error: Error | null }[] = [];
  readonly acknowledged: number[] = [];
  isOpen = true;
  /** What may not be this worker's any more. */
  doubted: Task<Item> | null = null;
  /** Whether an acknowledgement is answered. */
  answer: Promise<void> = Promise.resolve();

  constructor(
    handler: ((input: never, context: HandlerContext) => unknown) | Handler<Item>,
    options: WorkerOptions<Item> = {},
  ) {
    this.handler = handler as Handler<Item>;
    this.settings = workerSettings(options);
    this.crew = new Crew(this);
  }

  /** Queue tasks and start; resolves when a crew that gave way on a busy machine has gone on. */
  async give(...tasks: Task<Item>[]): Promise<void> {
    this.queue.push(...tasks);
    this.crew.start();
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** The numbers that ended, in order. */
  get numbers(): number[] {
    return this.ended.map(({ n }) => n);
  }

  held(): Task<Item>[] {
    return this.queue;
  }

  next(): Task<Item> | null {
    return this.queue.shift() ?? null;
  }

  holds(task: Task<Item>): boolean {
    return task !== this.doubted;
  }

  isAsking(): boolean {
    return false;
  }

  isReading(): boolean {
    return this.isOpen;
  }

  async acknowledge(message: GroupMessage<Item>): Promise<null> {
    this.acknowledged.push(message.data.n);
    await this.answer;
    return null;
  }

  finished({ message }: Task<Item>, error: Error | null): void {
    this.ended.push({ n: message.data.n, error });
  }
}
