import { Client } from "../../connection/client.ts";
import type { RedisLike } from "../../connection/driver.ts";
import { Stream } from "../../containers/stream.ts";
import { ClosedError, DecodeError } from "../../ground/errors.ts";
import { errorOf } from "../../ground/thrown.ts";
import type { Message } from "../../wire/message.ts";
import { Consumer } from "../consumer.ts";
import { within } from "../pause.ts";
import { pinned } from "../source.ts";
import { Changes } from "../worker/changes.ts";
import { Counters, type WorkerMetrics } from "../worker/counters.ts";
import { Call } from "../worker/handler.ts";
import { content } from "./content.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Logger } from "./log.ts";
import type { Subscriber } from "./subscription.ts";
import { type Level, persist, report, type Unit } from "./unit.ts";

/** What a reader of every message needs of its app. */
export interface FanOutHost {
  readonly redis: RedisLike;
  readonly log: Logger;
  readonly subscriber: Subscriber;
  readonly dispatch: Dispatch;
}

/** What handlers that heed their signal may take to end, in milliseconds. */
const MOMENT = 1000;

/** Runs a subscriber without a group: every message from the start on, once, in this instance. */
export class FanOut implements Unit {
  readonly streams: readonly string[];
  readonly group = null;
  readonly #host: FanOutHost;
  readonly #settings: Subscriber["fanOut"];
  readonly #counters = new Counters();
  readonly #calls = new Set<Call>();
  #consumer: Consumer<unknown> | null = null;
  #reported: Promise<void> = Promise.resolve();
  #running: Promise<void> | null = null;
  #isRunning = false;
  #isStopped = false;
  /** A call has ended, or it stops. */
  readonly #changes = new Changes();

  /** Nothing is sent before it is opened. */
  constructor(host: FanOutHost) {
    this.#host = host;
    this.streams = host.subscriber.streams;
    this.#settings = host.subscriber.fanOut;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  async open(signal: AbortSignal): Promise<void> {
    const { redis, log } = this.#host;
    const { from, prefetch } = this.#settings;
    const starts = new Map(this.streams.map((key) => [key, from!]));
    const positions = await persist(() => pinned(Client.of(redis), starts, signal), signal, log);
    const streams = this.streams.map((key) => new Stream(redis, key, { codec: content }));
    const options = { from: Object.fromEntries(positions), buffer: prefetch, follow: true };
    this.#consumer = new Consumer<unknown>(streams, options);
    this.#reported = report(this.#consumer.status(), { streams: this.streams }, log);
  }

  run(): Promise<void> {
    this.#running ??= this.#work(this.#consumer!);
    return this.#running;
  }

  async stop(): Promise<void> {
    const { drain } = this.#settings;
    this.#isStopped = true;
    await this.#consumer?.close();
    this.#changes.tell();
    await within(drain, this.#idle());
    for (const call of this.#calls)
      call.abort(new ClosedError("the app stops, and the time to drain is over"));
    await within(MOMENT, this.#idle());
    await this.#running?.catch(() => {});
    await this.#reported;
  }

  async leave(): Promise<void> {}

  metrics(): WorkerMetrics {
    return this.#counters.snapshot();
  }

  /** There is nothing to be behind with; it is asked all the same whether the server answers. */
  levels(): Promise<Level[]> {
    return Promise.all(
      this.streams.map(async (stream) => {
        await new Stream(this.#host.redis, stream).exists();
        return { stream, lag: null, pending: null };
      }),
    );
  }

  async #work(consumer: Consumer<unknown>): Promise<void> {
    const { dispatch } = this.#host;
    this.#isRunning = true;
    try {
      for (;;) {
        const message = await this.#next(consumer);
        if (message === null) return;
        this.#counters.in.add(1);
        if (message instanceof DecodeError) this.#failed(message, null);
        else if (this.#isTaken(message)) {
          this.#call(message, dispatch);
          if (this.#isFull) await this.#changes.until(() => !this.#isFull);
        }
      }
    } finally {
      this.#isRunning = false;
    }
  }

  async #next(consumer: Consumer<unknown>): Promise<Message<unknown> | DecodeError | null> {
    try {
      return await consumer.getMessage();
    } catch (error) {
      if (error instanceof DecodeError) return error;
      throw error;
    }
  }

  #isTaken(message: Message<unknown>): boolean {
    try {
      return this.#host.dispatch.isTaken(message);
    } catch (thrown) {
      this.#failed(errorOf(thrown), message);
      return false;
    }
  }

  #call(message: Message<unknown>, dispatch: Dispatch): void {
    const begun = performance.now();
    const call = new Call((error) => {
      this.#calls.delete(call);
      this.#counters.inFlight--;
      this.#counters.times.add(performance.now() - begun);
      if (error === null) this.#counters.out.add(1);
      else this.#failed(error, message);
      this.#changes.tell();
    });
    this.#calls.add(call);
    this.#counters.inFlight++;
    call.run(dispatch.one, message, this.#settings.timeout);
  }

  #failed(error: Error, message: Message<unknown> | null): void {
    const { log, dispatch } = this.#host;
    this.#counters.failed++;
    this.#counters.lastError = error;
    const { stream, id } = message ?? (error as DecodeError);
    log.error({ stream, id, error }, "a message failed");
    if (message !== null) dispatch.failed(message, error);
  }

  /** Whether no other call may begin before one has ended. */
  get #isFull(): boolean {
    return this.#calls.size >= this.#settings.concurrency && !this.#isStopped;
  }

  #idle(): Promise<void> {
    return this.#changes.until(() => this.#calls.size === 0);
  }
}
