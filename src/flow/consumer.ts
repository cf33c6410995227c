import { pin } from "../connection/reader.ts";
import type { Reading } from "../containers/read.ts";
import type { Stream } from "../containers/stream.ts";
import {
  assertInteger,
  assertName,
  assertOptionalBoolean,
  assertOptions,
  assertSignal,
} from "../ground/assert.ts";
import { printable } from "../ground/display.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import {
  ClosedError,
  DecodeError,
  GroupExistsError,
  InvalidArgumentError,
  type NoSuchGroupError,
} from "../ground/errors.ts";
import { Events } from "../ground/events.ts";
import type { Message, MessageList } from "../wire/message.ts";
import { Buffers } from "./buffers.ts";
import { Lane, type LaneHost } from "./lane.ts";
import { type From, type GroupSource, positionOf, readingOf } from "./source.ts";

/** Options of a consumer. */
export interface ConsumerOptions {
  /** Where streams begin, for all or by key; not for groups, which have a cursor. @defaultValue `"latest"` */
  readonly from?: From | Readonly<Record<string, From>>;
  /** Most messages held for a stream. @defaultValue 100 */
  readonly buffer?: number;
  /** Milliseconds or a `Duration` to wait for a message where none is held. @defaultValue not at all */
  readonly block?: Time;
  /** Never end: wait for ever, and go on after every fault. @defaultValue false */
  readonly follow?: boolean;
  /** Read a group's entries without making them pending. @defaultValue false */
  readonly noAck?: boolean;
  /** Make the group where it is missing when the consumer opens. @defaultValue true */
  readonly autoCreate?: boolean;
  /** Make the group again where it goes missing later. @defaultValue true */
  readonly recreate?: boolean;
  /** Begin with this consumer's own pending entries. @defaultValue false */
  readonly backlog?: boolean;
  /** Closes the consumer; a waiting read rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** What a consumer tells by {@link Consumer.status}. */
export type ConsumerEvent =
  | { readonly type: "disconnected"; readonly error: Error }
  | { readonly type: "reconnected" }
  | { readonly type: "group missing"; readonly error: NoSuchGroupError; readonly streams: readonly string[] }
  | { readonly type: "group recreated"; readonly streams: readonly string[] }
  | { readonly type: "slow"; readonly streams: readonly string[]; readonly heldFor: number };

const OPTIONS = ["from", "buffer", "block", "follow", "noAck", "autoCreate", "recreate", "backlog", "signal"];

/** A call that waits for a message. */
interface Waiter<M> {
  readonly resolve: (message: M | null) => void;
  readonly reject: (error: unknown) => void;
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
  readonly #events = new Events<ConsumerEvent>();
  readonly #lanes: Lane<M>[] = [];
  readonly #held = new Buffers<M | DecodeError>();
  /** Where the group begins on streams that were added later. */
  readonly #groupStarts = new Map<string, string>();
  readonly #laneOf = new Map<string, Lane<M>>();
  #waiter: Waiter<M> | null = null;
  #opening: Promise<void> | null = null;
  #isClosed = false;
  #isDisconnected = false;
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
    if (block !== undefined) toMilliseconds("block", block);
    for (const [name, value] of Object.entries({ follow, noAck, autoCreate, recreate, backlog }))
      assertOptionalBoolean(name, value);
    assertSignal(signal);
    this.#reading = readingOf<T, M>(source);
    this.#options = options;
    this.#buffer = buffer;
    if (from !== undefined && this.#reading.group !== null) {
      throw new InvalidArgumentError("from", "absent for a group, which begins at its cursor", from);
    }
    for (const key of this.#reading.keys) this.#fromOf(key);
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Messages as they come; `break` closes the consumer. */
  [Symbol.asyncIterator](): AsyncIterator<M> {
    return {
      next: () => {
        // A message that is held costs no call of an async function.
        if (!this.#held.isEmpty && this.#waiter === null) return this.#taken();
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
   * The next message, waiting `block` for one, or for ever with `follow`.
   *
   * @returns `null` where none came, or the consumer is closed.
   * @throws DecodeError for an entry that is refused, in its place; the next call goes on after it. NoSuchGroupError
   * with `recreate: false`; ConnectionLostError where the server stays away and it does not follow; the signal's reason.
   */
  async getMessage(): Promise<M | null> {
    if (this.#waiter !== null)
      throw new InvalidArgumentError(
        "getMessage",
        "called again only when it has settled",
        "a call that waits",
      );
    this.#options.signal?.throwIfAborted();
    if (this.#isClosed) return null;
    await this.#open();
    const message = this.#take();
    if (message !== null) return message;
    if (this.#failure !== null) throw this.#raise();
    if (this.#isClosed || (this.#laneOf.size === 0 && !this.#options.follow)) return null;
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      for (const lane of this.#lanes) lane.ask();
    });
  }

  /**
   * Read one more stream while running. A stream that is read already stays as it is.
   *
   * @param from - Where to begin; for a group, where the group begins where it is not there yet.
   */
  async addStream(key: string, from: From = "latest"): Promise<void> {
    assertName("key", key);
    if (this.#isClosed) throw new ClosedError("the consumer is closed");
    await this.#open();
    if (this.#laneOf.has(key)) return;
    const position = positionOf(from);
    if (this.#reading.group !== null) this.#groupStarts.set(key, position);
    await this.#start([key], () => position);
  }

  /** Read a stream no more; what is held of it is dropped (a group's entries stay pending). */
  removeStream(key: string): void {
    this.#laneOf.get(key)?.remove(key);
    this.#laneOf.delete(key);
    this.#held.drop(key);
    if (this.#laneOf.size === 0 && !this.#options.follow) this.#settle()?.resolve(null);
  }

  /** What happens to it from now on: `for await (const event of consumer.status())`; ends when it is closed. */
  status(): AsyncIterableIterator<ConsumerEvent> {
    return this.#events.listen();
  }

  /** Stop reading at once; a waiting call gives `null`. What is held is dropped (a group's entries stay pending). */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    for (const lane of this.#lanes) lane.close();
    for (const key of this.#laneOf.keys()) this.#held.drop(key);
    this.#settle()?.resolve(null);
    this.#events.close();
  }

  /** {@link Consumer.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  readonly #onAbort = (): void => {
    const waiter = this.#settle();
    waiter?.reject(this.#options.signal!.reason);
    this.close().catch(() => {});
  };

  /** Make the group where that is wanted, pin the positions, and start the lanes; once. */
  #open(): Promise<void> {
    this.#opening ??= this.#start(this.#reading.keys, (key) => this.#fromOf(key)).catch((error) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #start(keys: readonly string[], from: (key: string) => string): Promise<void> {
    const { client, group } = this.#reading;
    const { autoCreate = true, backlog = false, signal } = this.#options;
    if (group !== null && autoCreate) await this.#createGroup(keys);
    const positions = new Map<string, string>();
    for (const slot of client.groupBySlot(keys)) {
      const wanted = new Map(slot.map((key) => [key, group === null ? from(key) : backlog ? "0-0" : ">"]));
      for (const [key, position] of await pin(client, wanted, signal)) positions.set(key, position);
    }
    if (this.#isClosed) return;
    for (const slot of client.groupBySlot([...new Set([...this.#laneOf.keys(), ...keys])])) {
      const added = slot.filter((key) => positions.has(key));
      if (added.length === 0) continue;
      let lane = this.#lanes.find((candidate) => candidate.keys.some((key) => slot.includes(key)));
      const isNew = lane === undefined;
      lane ??= new Lane<M>(this.#host());
      for (const key of added) {
        this.#laneOf.set(key, lane);
        lane.add(key, positions.get(key)!);
      }
      if (isNew) {
        this.#lanes.push(lane);
        lane.run().catch((error) => this.#fail(error));
      }
    }
  }

  #host(): LaneHost<M> {
    const { client, group, list } = this.#reading;
    const { block, follow = false, noAck = false } = this.#options;
    return {
      client,
      group,
      list,
      noAck,
      buffer: this.#buffer,
      block: block === undefined ? undefined : toMilliseconds("block", block),
      isFollowing: follow,
      held: (key) => this.#held.count(key),
      take: (of) => this.#keep(of),
      dry: () => {
        if (this.#held.isEmpty && this.#lanes.every((lane) => lane.isDry)) this.#settle()?.resolve(null);
      },
      restore: (error, keys) => this.#restore(error, keys),
      lost: (error) => {
        if (this.#isDisconnected) return;
        this.#isDisconnected = true;
        this.#events.emit(() => ({ type: "disconnected", error }));
      },
      connected: () => {
        if (!this.#isDisconnected) return;
        this.#isDisconnected = false;
        this.#events.emit(() => ({ type: "reconnected" }));
      },
      slow: (streams, heldFor) => this.#events.emit(() => ({ type: "slow", streams, heldFor })),
      fail: (error) => this.#fail(error),
    };
  }

  /** Hold what a read gave, a refused entry in its place at the end, and serve who waits. */
  async #keep(list: MessageList<unknown, M>): Promise<void> {
    const items: (M | DecodeError)[] = [];
    try {
      const decoded = list.messages();
      for (const message of decoded instanceof Promise ? await decoded : decoded) items.push(message);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      items.push(...(error.decoded as M[]), error);
    }
    if (items.length === 0 || !this.#laneOf.has(list.stream)) return;
    this.#held.put(list.stream, items);
    if (this.#waiter === null) return;
    const { resolve, reject } = this.#settle()!;
    try {
      resolve(this.#take());
    } catch (error) {
      reject(error);
    }
  }

  #taken(): Promise<IteratorResult<M>> {
    try {
      return Promise.resolve({ done: false, value: this.#take()! });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Take the next message that is held, from the streams in turn; `null` where there is none. */
  #take(): M | null {
    const taken = this.#held.take();
    if (taken === null) return null;
    const { key, item } = taken;
    this.#laneOf.get(key)?.taken(key);
    if (item instanceof DecodeError) throw item;
    return item;
  }

  async #restore(error: NoSuchGroupError, keys: readonly string[]): Promise<void> {
    this.#events.emit(() => ({ type: "group missing", error, streams: keys }));
    if (this.#options.recreate === false || this.#options.autoCreate === false) throw error;
    await this.#createGroup(keys);
    this.#events.emit(() => ({ type: "group recreated", streams: keys }));
  }

  async #createGroup(keys: readonly string[]): Promise<void> {
    const { client, group } = this.#reading;
    const { name, startOf } = group!;
    await Promise.all(
      keys.map(async (key) => {
        try {
          const start = this.#groupStarts.get(key) ?? startOf(key);
          await client.command("xgroup", ["CREATE", key, name, start, "MKSTREAM"], {
            stream: key,
            group: name,
          });
        } catch (error) {
          if (!(error instanceof GroupExistsError)) throw error;
        }
      }),
    );
  }

  #fromOf(key: string): string {
    const { from = "latest" } = this.#options;
    const isMap =
      typeof from === "object" && !(from instanceof Date) && !("id" in from) && !("timestamp" in from);
    return positionOf(isMap ? ((from as Record<string, From>)[key] ?? "latest") : (from as From));
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    const waiter = this.#settle();
    if (waiter !== null) waiter.reject(this.#raise());
  }

  /** The failure, told once: the consumer is closed by it. */
  #raise(): unknown {
    const { error } = this.#failure!;
    this.close().catch(() => {});
    return error;
  }

  /** Who waits, and from now on nobody. */
  #settle(): Waiter<M> | null {
    const waiter = this.#waiter;
    this.#waiter = null;
    return waiter;
  }
}

printable(Consumer, () => "<Consumer>");
