import { deadLetterKey } from "../../containers/beside.ts";
import { type Deliveries, waitOf } from "../../containers/deliveries.ts";
import { assertName } from "../../ground/assert.ts";
import { toMilliseconds } from "../../ground/duration.ts";
import { DecodeError, NoSuchGroupError, RejectError, RetryError } from "../../ground/errors.ts";
import { errorOf } from "../../ground/thrown.ts";
import { Turn } from "../../ground/turn.ts";
import { type Delivery, type GroupMessage, isSettled, markSettled } from "../../wire/message.ts";
import { REDRIVE_GROUP } from "../dead-letter.ts";
import { isPassing, pause } from "../pause.ts";
import type { Counters } from "./counters.ts";
import type { DeadEntry, WorkerEvent, WorkerSettings } from "./options.ts";

/** What settling needs of its worker. */
export interface SettleHost<T> {
  readonly settings: WorkerSettings<T>;
  readonly counters: Counters;
  /** Aborted when nothing is waited for any more. */
  readonly over: AbortSignal;
  /** What a stream has delivered to this worker. */
  deliveriesOf(key: string): Deliveries;
  /** Tell the listeners. */
  emit(make: () => WorkerEvent): void;
  /** The connection is gone; it is tried again. */
  lost(error: Error): void;
  /** The server knows what became of a message, or it is given up; it comes back after `waits` ms, `null` if not. */
  settled(message: GroupMessage<T>, waits: number | null): void;
  /** Messages were given back, or come back when their lease is over. */
  released(messages: readonly GroupMessage<T>[]): void;
  /** A verb of a message could not be carried out. */
  reopened(message: GroupMessage<T>): void;
}

/**
 * Decides what becomes of messages, and tells the server: acknowledged, to be retried, or dead.
 *
 * While the server is away it tries again; the entries stay this worker's meanwhile. What the server refuses for good
 * stays pending, and comes back when the lease is over.
 */
export class Settling<T> {
  readonly #host: SettleHost<T>;
  /** Acknowledgements, by stream. */
  readonly #acks = new Map<string, Turn<GroupMessage<T>, Error | null>>();

  /** Nothing is sent before a message is settled. */
  constructor(host: SettleHost<T>) {
    this.#host = host;
  }

  /**
   * Acknowledge a message: one `XACK` for each stream and turn of the event loop. Resolves when the server has
   * it, or with the error for which it is given up.
   */
  ack(message: GroupMessage<T>): Promise<Error | null> {
    const { stream } = message;
    let turn = this.#acks.get(stream);
    if (turn === undefined) {
      turn = new Turn((messages) => this.#send(stream, messages));
      this.#acks.set(stream, turn);
    }
    return turn.add(message);
  }

  /** The delivery of a message has failed: have it retried, or bury it. */
  async fail(message: GroupMessage<T>, error: Error): Promise<void> {
    const { counters, settings } = this.#host;
    counters.failed++;
    counters.lastError = error;
    // What the handler has said of the message itself holds; acknowledged first, there is nothing left to say.
    if (isSettled(message) || settings.ack === "first") {
      this.#failed(message, error, null);
      return;
    }
    markSettled(message);
    if (settings.ack === "always") {
      this.#failed(message, error, null);
      await this.ack(message);
      return;
    }
    const delay = this.#delayAfter(message, error);
    this.#failed(message, error, delay);
    const done = delay === null ? this.#bury(message, error) : this.#wait(message, delay);
    await done.catch(() => this.#host.settled(message, null));
  }

  /** A verb of the message: deliver it again. */
  async retry(message: GroupMessage<T>, delay: number | null): Promise<boolean> {
    const error = new RetryError(delay === null ? {} : { delay });
    const after = this.#delayAfter(message, error);
    return this.#reopening(message, after === null ? this.#bury(message, error) : this.#wait(message, after));
  }

  /** A verb of the message: send it to the dead letters. */
  async reject(message: GroupMessage<T>, reason: string): Promise<boolean> {
    const error = new RejectError(reason);
    this.#host.counters.lastError = error;
    return this.#reopening(message, this.#bury(message, error, true));
  }

  /** Give messages back: they are due at once, and this delivery does not count. */
  async release(messages: readonly GroupMessage<T>[]): Promise<void> {
    const keys = new Set(messages.map(({ stream }) => stream));
    await Promise.all(
      [...keys].map(async (key) => {
        const own = messages.filter(({ stream }) => stream === key);
        // Where it fails, they come back when their lease is over.
        const moved = await this.#host
          .deliveriesOf(key)
          .wait(own, 0, false)
          .catch(() => []);
        this.#host.counters.released += moved.length;
        this.#host.released(own);
      }),
    );
  }

  /** An entry's deliveries are over before this one began: its workers died of it. */
  async exhausted(message: GroupMessage<T>, error: Error): Promise<void> {
    markSettled(message);
    // This delivery counts on the server, but no handler was called for it.
    const done = this.#bury(message, error, false, message.deliveries - 1);
    await done.catch(() => this.#host.settled(message, null));
  }

  /** An entry does not decode: bury it as it is stored. */
  async refuse(error: DecodeError, deliveries: number): Promise<void> {
    const { counters } = this.#host;
    const entry = { stream: error.stream, id: error.id, deliveries };
    counters.failed++;
    counters.lastError = error;
    this.#failed(entry, error, null);
    await this.#buryEntry(entry, error, false).catch(() => {});
  }

  /** Milliseconds until a failed message comes back; `null` where it does not. */
  #delayAfter(entry: DeadEntry, error: Error): number | null {
    const { retry, lease } = this.#host.settings;
    const { deliveries } = entry;
    if (error instanceof RejectError || deliveries >= retry.maxDeliveries) return null;
    // It reads no better the next time; a DecodeError of another entry is the handler's own affair.
    if (error instanceof DecodeError && error.id === entry.id && error.stream === entry.stream) return null;
    try {
      const own = error instanceof RetryError ? error.delay : null;
      const delay = own === null ? retry.next(deliveries, error) : toMilliseconds("delay", own);
      return delay === null ? null : waitOf(delay);
    } catch (thrown) {
      // The user's schedule failed: nothing is given up for that.
      this.#host.counters.lastError = errorOf(thrown);
      return waitOf(lease);
    }
  }

  async #wait(message: GroupMessage<T>, delay: number): Promise<boolean> {
    const isMoved = await this.#waitEntry(message, delay);
    this.#host.settled(message, isMoved ? delay : null);
    return isMoved;
  }

  async #bury(
    message: GroupMessage<T>,
    error: Error,
    isVerb = false,
    count: number = message.deliveries,
  ): Promise<boolean> {
    const isMoved = await this.#buryEntry(message, error, isVerb, count);
    this.#host.settled(message, null);
    return isMoved;
  }

  async #waitEntry(entry: DeadEntry, delay: number): Promise<boolean> {
    const deliveries = this.#host.deliveriesOf(entry.stream);
    const moved = await this.#persist(entry, [], () => deliveries.wait([entry], delay, true));
    if (moved.length > 0) this.#host.counters.retried++;
    return moved.length > 0;
  }

  /** Move an entry to its dead letters; where that cannot be done, it is kept for another lease. */
  async #buryEntry(
    entry: DeadEntry,
    error: Error,
    isVerb: boolean,
    count: number = entry.deliveries,
  ): Promise<boolean> {
    const { settings, counters } = this.#host;
    const deliveries = this.#host.deliveriesOf(entry.stream);
    try {
      const key = this.#deadLetterOf(entry, error);
      const act = (): Promise<number> => deliveries.bury(entry, key === false ? null : key, error, count);
      const moved = await this.#persist(entry, 0, act);
      if (moved === 1) {
        counters.deadLettered++;
        const { stream, id } = entry;
        const deadLetter = key === false ? null : key;
        const facts = { stream, id, deliveries: count, error, deadLetter };
        this.#host.emit(() => ({ type: "deadLettered", ...facts }));
      }
      return moved !== 0;
    } catch (refusal) {
      if (!isVerb) await this.#waitEntry(entry, waitOf(settings.lease));
      throw refusal;
    }
  }

  #deadLetterOf(entry: DeadEntry, error: Error): string | false {
    const { deadLetter } = this.#host.settings;
    if (deadLetter === null) return deadLetterKey(entry.stream);
    if (typeof deadLetter !== "function") return deadLetter;
    try {
      const key = deadLetter(entry, error);
      if (key !== false) assertName("key that deadLetter gives", key);
      return key;
    } catch (thrown) {
      throw this.#unsettled(entry, errorOf(thrown));
    }
  }

  /** Until the server answers; `none` where the group is gone, or nothing is waited for any more. */
  async #persist<R>(entry: DeadEntry, none: R, act: () => Promise<R>): Promise<R> {
    for (let failures = 0; ; failures++) {
      try {
        return await act();
      } catch (error) {
        if (error instanceof NoSuchGroupError || this.#host.over.aborted) return none;
        if (!isPassing(error)) throw this.#unsettled(entry, errorOf(error));
        this.#host.lost(error);
        await pause(failures, this.#host.over);
      }
    }
  }

  /** Where a verb could not be carried out, the message is open again. */
  async #reopening(message: GroupMessage<T>, done: Promise<boolean>): Promise<boolean> {
    try {
      return await done;
    } catch (error) {
      markSettled(message, false);
      this.#host.reopened(message);
      throw error;
    }
  }

  /** Acknowledge, until the server has it; what it refuses for good comes back when the lease is over. */
  async #send(key: string, messages: readonly GroupMessage<T>[]): Promise<Error | null> {
    const { counters, over } = this.#host;
    const ids = messages.map(({ id }) => id);
    let refusal: Error | null = null;
    try {
      await this.#persist(messages[0]!, 0, () => this.#host.deliveriesOf(key).ackNow(ids));
      if (!over.aborted) counters.out.add(messages.length);
    } catch (error) {
      refusal = errorOf(error);
    }
    for (const message of messages) this.#host.settled(message, null);
    return refusal;
  }

  #failed({ stream, id, deliveries }: DeadEntry, error: Error, retryIn: number | null): void {
    this.#host.emit(() => ({ type: "failed", stream, id, deliveries, error, retryIn }));
  }

  #unsettled({ stream, id, deliveries }: DeadEntry, error: Error): Error {
    this.#host.counters.lastError = error;
    this.#host.emit(() => ({ type: "unsettled", stream, id, deliveries, error }));
    return error;
  }
}

/** The verbs of messages that a worker hands out. */
export function deliveryOf(
  group: string,
  consumer: string,
  settling: Settling<unknown>,
  extend: Delivery["extend"],
): Delivery {
  return {
    group,
    consumer,
    async ack(message) {
      const refusal = await settling.ack(message);
      if (refusal !== null) throw refusal;
    },
    retry: (message, delay) => settling.retry(message, delay),
    reject: (message, reason) => settling.reject(message, reason),
    extend,
  };
}

/** Whether a redriven entry is for another group of its stream: this one has handled it. */
export function isForOthers({ headers, group }: GroupMessage<unknown>): boolean {
  const only = headers[REDRIVE_GROUP];
  return only !== undefined && only !== group;
}
