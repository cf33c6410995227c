import { Group } from "../../containers/group.ts";
import { GroupStream } from "../../containers/group-stream.ts";
import type { Reading } from "../../containers/read.ts";
import { figuresPicture, printable, showable, shown } from "../../ground/display.ts";
import { ClosedError, InvalidArgumentError } from "../../ground/errors.ts";
import { Events } from "../../ground/events.ts";
import { Roll } from "../../ground/roll.ts";
import type { GroupMessage } from "../../wire/message.ts";
import { type GroupSource, readingOf } from "../source.ts";
import { Counters, UNITS, type WorkerMetrics } from "./counters.ts";
import type { BatchHandler, Handler } from "./handler.ts";
import {
  assertDeadLetter,
  type BatchOptions,
  type WorkerEvent,
  type WorkerOptions,
  type WorkerSettings,
  workerSettings,
} from "./options.ts";
import { Session } from "./session.ts";
import { stopOn } from "./stop-on.ts";

export type { WorkerMetrics } from "./counters.ts";
export type { BatchHandler, BatchResult, Handler, HandlerContext } from "./handler.ts";
export type {
  AckPolicy,
  BatchOptions,
  DeadEntry,
  DeadLetterFunction,
  WorkerEvent,
  WorkerOptions,
} from "./options.ts";
export type { RetryFunction, RetryOptions } from "./retry.ts";

/** What {@link Worker.allMetrics} gives of one worker. */
export interface NamedWorkerMetrics extends WorkerMetrics {
  /** Name of the group. */
  readonly group: string;
  /** Keys of the streams. */
  readonly streams: readonly string[];
}

/**
 * Runs a handler for the entries of a group, and loses none.
 *
 * At least once: an entry is acknowledged when its handler has succeeded. A running entry is nobody else's while its
 * lease is renewed; a failed one comes back after its delay, also where this worker dies; one that fails too often goes
 * to the dead letters. Acknowledgements are sent together, one `XACK` for each stream and turn of the event loop.
 *
 * It reads as the group's consumer. Where another living worker has that name it makes a name of its own,
 * `<name>~<random>`.
 *
 * @typeParam T - The payload of its messages.
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const billing = db.consumerGroup("billing", ["orders"]);
 * await using worker = db.worker(billing, async (order) => console.log(order.id, order.data), { concurrency: 10 });
 * await worker.run(); // until worker.stop()
 * ```
 * @see https://redis.io/docs/latest/develop/data-types/streams/#consumer-groups
 */
export class Worker<T> {
  static readonly #roll: Roll<Worker<never>> = new Roll();

  readonly #reading: Reading<GroupMessage<T>>;
  readonly #handler: Handler<T> | BatchHandler<T>;
  readonly #settings: WorkerSettings<T>;
  readonly #counters = new Counters();
  readonly #events = new Events<WorkerEvent>();
  /** The ids after which the group begins, by key; the first run pins `$`. */
  readonly #starts: Map<string, string>;
  #session: Session<T> | null = null;
  #running: Promise<void> | null = null;
  #isPaused = false;
  #isStopped = false;

  /** A worker that hands messages over in arrays. Nothing is sent before {@link Worker.run}. */
  constructor(
    group: GroupSource<T>,
    handler: BatchHandler<T>,
    options: WorkerOptions<T> & { readonly batch: BatchOptions },
  );
  /** A worker of a group, a time series, or one stream of them. Nothing is sent before {@link Worker.run}. */
  constructor(group: GroupSource<T>, handler: Handler<T>, options?: WorkerOptions<T>);
  constructor(group: GroupSource<T>, handler: Handler<T> | BatchHandler<T>, options: WorkerOptions<T> = {}) {
    if (typeof handler !== "function") throw new InvalidArgumentError("handler", "a function", handler);
    this.#settings = workerSettings(options);
    if (!(group instanceof Group || group instanceof GroupStream))
      throw new InvalidArgumentError("group", "a ConsumerGroup, a TimeSeries or one of their streams", group);
    this.#reading = readingOf<T, GroupMessage<T>>(group);
    const { keys, group: own } = this.#reading;
    this.#starts = new Map(keys.map((key) => [key, this.#settings.from ?? own!.startOf(key)]));
    this.#handler = handler;
    assertDeadLetter(this.#reading.client, this.#reading.keys, this.#settings.deadLetter);
  }

  /** What the living workers of this process count; those that are stopped or forgotten are not among them. */
  static allMetrics(): NamedWorkerMetrics[] {
    return Worker.#roll.all().map((worker) => ({
      group: worker.group,
      streams: worker.streams,
      ...worker.metrics(),
    }));
  }

  /** Name of its group. */
  get group(): string {
    return this.#reading.group!.name;
  }

  /** Keys of the streams it reads, without `keyPrefix`. */
  get streams(): readonly string[] {
    return this.#reading.keys;
  }

  /** Whether it runs, paused or not. */
  get isRunning(): boolean {
    return this.#session !== null;
  }

  /**
   * Work until {@link Worker.stop}, the `signal`, or a signal of the process where `stopOn` says so.
   *
   * While the server is away, or the group is gone, it tries again with growing pauses. Called again while it runs, it
   * gives the same promise.
   *
   * @returns when it has stopped.
   * @throws ClosedError where it was stopped before, or its database is closed; what the server refuses for good.
   */
  run(): Promise<void> {
    this.#running ??= this.#work(false).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /**
   * Handle what is there, new and due, until nothing is left; what waits for its retry is left waiting.
   *
   * @returns how many entries it was given.
   * @throws ClosedError where it was stopped; InvalidArgumentError while it runs; ConnectionLostError where the server
   * stays away.
   */
  async runOnce(): Promise<number> {
    if (this.#isStopped) throw stopped();
    if (this.#running !== null)
      throw new InvalidArgumentError("runOnce", "called while it does not run", "running");
    const before = this.#counters.in.count;
    this.#running = this.#work(true).finally(() => {
      this.#running = null;
    });
    await this.#running;
    return this.#counters.in.count - before;
  }

  /**
   * Stop: reading ends at once, what has not begun is given back for others without counting a delivery, running
   * handlers get the time to `drain` and are then aborted, and acknowledgements go out.
   *
   * What is not done by then comes back when its lease is over. Stopping again waits for the same end.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#session?.stop();
    await this.#running?.catch(() => {});
    this.#events.close();
    Worker.#roll.remove(this as never);
  }

  /** The same as {@link Worker.stop}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Begin nothing until {@link Worker.resume}; running handlers go on, what has not begun is given back for others.
   *
   * @returns when it is given back; running handlers are not waited for.
   */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#session?.pause();
  }

  /** Go on after {@link Worker.pause}. */
  resume(): void {
    this.#isPaused = false;
    this.#session?.resume();
  }

  /** What it has counted so far: entries, rates a second, times in milliseconds. */
  metrics(): WorkerMetrics {
    return shown(this.#counters.snapshot(), (metrics) => figuresPicture("Worker", metrics, UNITS));
  }

  /** What happens to it from now on: `for await (const event of worker.status())`; ends when it is stopped. */
  status(): AsyncIterableIterator<WorkerEvent> {
    return this.#events.listen();
  }

  async #work(isOnce: boolean): Promise<void> {
    if (this.#isStopped) throw stopped();
    // Many workers may share a signal, and many listeners on one make Node.js warn.
    const signal = this.#settings.signal && AbortSignal.any([this.#settings.signal]);
    const host = {
      ...{ reading: this.#reading, settings: this.#settings, handler: this.#handler },
      ...{ counters: this.#counters, events: this.#events, starts: this.#starts },
    };
    Worker.#roll.add(this as never);
    const onStop = (): void => void this.stop();
    signal?.addEventListener("abort", onStop, { once: true });
    const listenNoMore = stopOn(this.#settings.stopOn, onStop);
    try {
      if (signal?.aborted) onStop();
      for (let isNameLost = true; isNameLost && !this.#isStopped; ) {
        const session = new Session<T>(host, isOnce);
        this.#session = session;
        if (this.#isPaused) await session.pause();
        await session.run();
        isNameLost = session.isNameLost;
      }
    } finally {
      signal?.removeEventListener("abort", onStop);
      listenNoMore();
      this.#session = null;
      Worker.#roll.remove(this as never);
    }
  }
}

function stopped(): ClosedError {
  return new ClosedError("the worker is stopped");
}

printable(Worker, (worker) => `<Worker${worker.isRunning ? " running" : ""}>`);
showable(Worker, (worker) => {
  const caption = worker.isRunning ? "Worker, running" : "Worker, not running";
  return figuresPicture(caption, worker.metrics(), UNITS);
});
