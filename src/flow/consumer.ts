import { patience, type Reading } from "../containers/read.ts";
import type { Stream } from "../containers/stream.ts";
import {
  assertInteger,
  assertName,
  assertOptionalBoolean,
  assertOptions,
  assertSignal,
} from "../ground/assert.ts";
import { printable } from "../ground/display.ts";
import { ClosedError, DecodeError, InvalidArgumentError, type NoSuchGroupError } from "../ground/errors.ts";
import { Events } from "../ground/events.ts";
import type { Message } from "../wire/message.ts";
import type { MessageList } from "../wire/message-list.ts";
import { Buffers } from "./buffers.ts";
import { type ConsumerEvent, type ConsumerOptions, OPTIONS } from "./consumer-options.ts";
import { createGroup, recreateGroup } from "./create-group.ts";
import { Lane, type LaneHost } from "./lane.ts";
import { isPassing, pause } from "./pause.ts";
import { type From, type GroupSource, pinned, positionOf, positionsOf, readingOf } from "./source.ts";

export type { ConsumerEvent, ConsumerOptions } from "./consumer-options.ts";

/** A call that waits for a message. */
interface Waiter<M> {
  resolve(message: M | null): void;
  reject(error: unknown): void;
  /** When it has waited long enough, by `performance.now()`. */
  readonly until: number;
}

/**
 * An async iterator over streams or a group, which reads ahead on a wire of its own.
 *
 * `for await` ends when nothing is held and nothing arrives within `block`; with `follow` it never ends until `close()`,
 * the signal, or `break`, which closes. Streams are taken from in turn, so that a busy one does not starve the rest.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * await using tail = db.consumer(["orders", "refunds"], { from: "earliest", block: 1000 });
 * for await (const m of tail) console.log(m.stream, m.id, m.data);
 * ```
 */
export class Consumer<T, M extends Message<T> = Message<T>> implements AsyncIterable<M> {
  readonly #reading: Reading<M>;
  readonly #options: ConsumerOptions;
  readonly #buffer: number;
  readonly #block: number | undefined;
  readonly #events = new Events<ConsumerEvent>();
  readonly #held = new Buffers<M | DecodeError>();
  /** The streams to read, with where they begin; of a group's, where the group begins. */
  readonly #starts: Map<string, string>;
  readonly #lanes = new Set<Lane<M>>();
  readonly #laneOf = new Map<string, Lane<M>>();
  /** Calls that wait, the first first; there are none while something is held. */
  readonly #waiters: Waiter<M>[] = [];
  readonly #closing = new AbortController();
  #opening: Promise<void> | null = null;
  #isOpen = false;
  #isDisconnected = false;
  #hasRead = false;
  #isMissing = false;
  #failure: { readonly error: unknown } | null = null;

  /**
   * Read a stream, streams of one database and one kind of payload, or a group; a group's stream is read through its
   * group. Nothing is sent before the first message is asked for.
   */
  constructor(
    source: Stream<T, never> | readonly Stream<T, never>[] | GroupSource<T>,
    options: ConsumerOptions = {},
  ) {
    assertOptions("consumer", options, OPTIONS);
    const { from, buffer = 100, block, follow, noAck, autoCreate, recreate, backlog, signal } = options;
    assertInteger("buffer", buffer, 1);
    for (const [name, value] of Object.entries({ follow, noAck, autoCreate, recreate, backlog }))
      assertOptionalBoolean(name, value);
    assertSignal(signal);
    this.#block = block === undefined ? undefined : patience(block);
    this.#reading = readingOf<T, M>(source);
    this.#options = options;
    this.#buffer = buffer;
    const { keys, group } = this.#reading;
    if (from !== undefined && group !== null)
      throw new InvalidArgumentError("from", "absent for a group, which begins at its cursor", from);
    this.#starts =
      group === null ? positionsOf(keys, from) : new Map(keys.map((key) => [key, group.startOf(key)]));
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (signal?.aborted) this.#onAbort();
  }

  /** Messages as they come; `break` closes the consumer. */
  [Symbol.asyncIterator](): AsyncIterator<M> {
    return {
      next: () => {
        // A message that is held costs no call of an async function.
        if (!this.#held.isEmpty) return this.#taken();
        return this.getMessage().then((late) =>
          late === null ? { done: true, value: undefined } : { done: false, value: late },
        );
      },
      return: async () => {
        await this.close();
        return { done: true, value: undefined };
      },
    };
  }

  /**
   * The next message, waiting `block` for one, or for ever with `follow`. Calls that wait are served in their order.
   *
   * A failure other than a `DecodeError` closes the consumer; later calls reject with it again, so that a dead link does
   * not look like an empty stream.
   *
   * @returns `null` where none came, or the consumer was closed by its owner.
   * @throws DecodeError for an entry that is refused, in its place; the next call goes on after it. NoSuchGroupError
   * with `recreate: false`; ConnectionLostError where the server stays away and it does not follow; the signal's reason.
   */
  async getMessage(): Promise<M | null> {
    if (!this.#held.isEmpty) return this.#take();
    if (this.#failure !== null) throw this.#raise();
    if (this.#isClosed || this.#isIdle) return null;
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject, until: performance.now() + (this.#block ?? 0) });
      if (this.#isOpen) for (const lane of this.#lanes) lane.ask();
      else this.#open().catch((error) => this.#fail(error));
    });
  }

  /**
   * Read one more stream while running; resolves when it is. A stream that is read already stays as it is.
   *
   * @param from - Where to begin; for a group, where the group begins where it is not there yet.
   * @throws ClosedError where the consumer is closed; what the server refuses.
   */
  async addStream(key: string, from: From = "latest"): Promise<void> {
    assertName("key", key);
    const position = positionOf(from);
    this.#reading.list(key);
    if (this.#isClosed) throw closed();
    if (!this.#starts.has(key)) this.#starts.set(key, position);
    try {
      await this.#open();
      await this.#started([key]);
    } catch (error) {
      if (!this.#laneOf.has(key)) this.#starts.delete(key);
      throw error;
    }
  }

  /** Read a stream no more; what is held of it is dropped (a group's entries stay pending). */
  removeStream(key: string): void {
    this.#starts.delete(key);
    this.#held.drop(key);
    const lane = this.#laneOf.get(key);
    if (lane === undefined) return;
    this.#laneOf.delete(key);
    lane.remove(key);
    if (lane.keys.length === 0) {
      lane.close();
      this.#lanes.delete(lane);
    }
    if (this.#isIdle) for (const { resolve } of this.#waiters.splice(0)) resolve(null);
    else this.#dry();
  }

  /** What happens to it from now on: `for await (const event of consumer.status())`; ends when it is closed. */
  status(): AsyncIterableIterator<ConsumerEvent> {
    return this.#events.listen();
  }

  /** Stop reading at once; a waiting call gives `null`. What is held is dropped (a group's entries stay pending). */
  async close(): Promise<void> {
    this.#end();
  }

  /** The same as {@link Consumer.close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Whether nothing can come, since there is no stream to read. */
  get #isIdle(): boolean {
    return this.#starts.size === 0 && !this.#options.follow;
  }

  readonly #onAbort = (): void => {
    this.#failure = { error: this.#options.signal!.reason };
    this.#end();
  };

  /** Start all streams; once. */
  #open(): Promise<void> {
    this.#opening ??= this.#started([...this.#starts.keys()]).then(() => {
      this.#isOpen = true;
      this.#dry();
    });
    return this.#opening;
  }

  /** Start streams; who follows tries again after a failure that may pass. */
  async #started(keys: readonly string[]): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        return await this.#start(keys);
      } catch (error) {
        if (this.#isClosed || !this.#options.follow || !isPassing(error)) throw error;
        this.#lost(error);
        await pause(failures, this.#closing.signal);
      }
      if (this.#isClosed) throw closed();
    }
  }

  /** Make the group where that is wanted, pin the positions, and start the lanes. */
  async #start(keys: readonly string[]): Promise<void> {
    const { client, group } = this.#reading;
    const { autoCreate = true, backlog = false } = this.#options;
    const { signal } = this.#closing;
    if (group !== null && autoCreate) await createGroup(client, group.name, this.#startsOf(keys), signal);
    const toGroup = backlog ? "0-0" : ">";
    const starts = group === null ? this.#startsOf(keys) : new Map(keys.map((key) => [key, toGroup]));
    const positions = await pinned(client, starts, signal);
    signal.throwIfAborted();
    // One that was removed meanwhile, or is read since another call, stays so.
    const added = [...positions.keys()].filter((key) => this.#starts.has(key) && !this.#laneOf.has(key));
    for (const slot of client.groupBySlot([...this.#laneOf.keys(), ...added])) {
      let lane = slot.map((key) => this.#laneOf.get(key)).find((known) => known !== undefined);
      const isNew = lane === undefined;
      lane ??= new Lane<M>(this.#host());
      for (const key of slot) {
        if (this.#laneOf.has(key)) continue;
        this.#laneOf.set(key, lane);
        lane.add(key, positions.get(key)!);
      }
      if (isNew && lane.keys.length > 0) {
        this.#lanes.add(lane);
        lane.run().catch((error) => this.#fail(error));
      }
    }
  }

  /** Where keys begin; only of those that are to be read. */
  #startsOf(keys: readonly string[]): Map<string, string> {
    return new Map(keys.flatMap((key) => (this.#starts.has(key) ? [[key, this.#starts.get(key)!]] : [])));
  }

  #host(): LaneHost<M> {
    const { client, group, list } = this.#reading;
    const { follow = false, noAck = false } = this.#options;
    return {
      client,
      group,
      list,
      noAck,
      buffer: this.#buffer,
      isFollowing: follow,
      block: () => this.#patience(),
      held: (key) => this.#held.count(key),
      take: (lists, backlogs) => this.#keep(lists, backlogs),
      dry: () => this.#dry(),
      restore: (error, keys) => this.#restore(error, keys),
      lost: (error) => this.#lost(error),
      connected: () => {
        this.#hasRead = true;
        if (!this.#isDisconnected) return;
        this.#isDisconnected = false;
        this.#events.emit(() => ({ type: "reconnected" }));
      },
      slow: (streams, heldFor) => this.#events.emit(() => ({ type: "slow", streams, heldFor })),
      fail: (error) => this.#fail(error),
    };
  }

  /** How long a read waits: until the first call that waits has waited long enough. */
  #patience(): number | undefined {
    if (this.#options.follow) return 0;
    const [first] = this.#waiters;
    if (!this.#block || first === undefined) return this.#block;
    return Math.max(1, Math.ceil(first.until - performance.now()));
  }

  #lost(error: Error): void {
    if (this.#isDisconnected) return;
    this.#isDisconnected = true;
    this.#events.emit(() => ({ type: "disconnected", error }));
  }

  /** Where no lane has anything: calls that have waited long enough give `null`, for the others it reads again. */
  #dry(): void {
    if (this.#options.follow || !this.#isOpen || this.#waiters.length === 0) return;
    for (const lane of this.#lanes) if (!lane.isDry) return;
    const now = performance.now();
    while (this.#waiters.length > 0 && this.#waiters[0]!.until <= now) this.#waiters.shift()!.resolve(null);
    if (this.#waiters.length > 0) for (const lane of this.#lanes) lane.ask();
  }

  /** Hold what a read gave, a refused entry in its place, and serve who waits once all of it is held. */
  async #keep(lists: readonly MessageList<unknown, M>[], backlogs: ReadonlySet<string>): Promise<void> {
    const { counted } = this.#reading;
    const read: (M | DecodeError)[][] = [];
    for (const list of lists) {
      const decoded = list.outcomes();
      let items = decoded instanceof Promise ? await decoded : decoded;
      if (counted !== undefined && backlogs.has(list.stream)) {
        const messages = items.filter((item): item is M => !(item instanceof DecodeError));
        const fresh = (await counted(list.stream, messages)).values();
        items = items.map((item) => (item instanceof DecodeError ? item : fresh.next().value!));
      }
      read.push(items);
    }
    for (const [i, { stream }] of lists.entries())
      if (read[i]!.length > 0 && this.#laneOf.has(stream)) this.#held.put(stream, read[i]!);
    while (this.#waiters.length > 0 && !this.#held.isEmpty) {
      const { resolve, reject } = this.#waiters.shift()!;
      try {
        resolve(this.#take());
      } catch (error) {
        reject(error);
      }
    }
  }

  #taken(): Promise<IteratorResult<M>> {
    try {
      return Promise.resolve({ done: false, value: this.#take() });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Take the next message that is held, from the streams in turn. */
  #take(): M {
    const { key, item } = this.#held.take()!;
    this.#laneOf.get(key)?.taken(key);
    if (item instanceof DecodeError) throw item;
    return item;
  }

  async #restore(error: NoSuchGroupError, keys: readonly string[]): Promise<void> {
    const { client, group } = this.#reading;
    const { autoCreate = true, recreate = autoCreate } = this.#options;
    if (!this.#isMissing) this.#events.emit(() => ({ type: "groupMissing", error, streams: keys }));
    this.#isMissing = true;
    // With `autoCreate: false` it must have been there once.
    if (!recreate || (!autoCreate && !this.#hasRead)) throw error;
    const streams = await recreateGroup(client, group!, this.#startsOf(keys), this.#closing.signal);
    this.#isMissing = false;
    this.#events.emit(() => ({ type: "groupRecreated", streams }));
  }

  /** Stop reading; the failure is raised where all that is held has been taken. */
  #fail(error: unknown): void {
    if (this.#isClosed || this.#failure !== null) return;
    this.#failure = { error };
    for (const lane of this.#lanes) lane.close();
    if (this.#held.isEmpty) this.#end();
  }

  #raise(): unknown {
    this.#end();
    return this.#failure!.error;
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#closing.abort(closed());
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    for (const lane of this.#lanes) lane.close();
    for (const key of this.#laneOf.keys()) this.#held.drop(key);
    this.#lanes.clear();
    this.#laneOf.clear();
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (this.#failure === null) resolve(null);
      else reject(this.#failure.error);
    }
    this.#events.close();
  }
}

function closed(): ClosedError {
  return new ClosedError("the consumer is closed");
}

printable(Consumer, () => "<Consumer>");
