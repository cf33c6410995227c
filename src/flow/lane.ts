import type { Client } from "../connection/client.ts";
import { type ReadingGroup, readSlot } from "../connection/reader.ts";
import { NoSuchGroupError } from "../ground/errors.ts";
import type { MessageList } from "../wire/message-list.ts";
import { isPassing, pause } from "./pause.ts";

/** What a lane needs of its consumer. */
export interface LaneHost<M> {
  /** The connection. */
  readonly client: Client;
  /** The group it reads through. */
  readonly group: ReadingGroup | null;
  /** Most messages held for a key. */
  readonly buffer: number;
  /** Whether it reads on for ever. */
  readonly isFollowing: boolean;
  /** Read without pending entries. */
  readonly noAck: boolean;
  /** Milliseconds that a read waits now; 0 is for ever, absent is not at all. */
  block(): number | undefined;
  /** Messages of a key that are held now. */
  held(key: string): number;
  /** A list for messages of a key. */
  list(key: string): MessageList<unknown, M>;
  /** Decode and hold what a read gave; of the keys in `backlogs` these are entries that were pending already. */
  take(lists: readonly MessageList<unknown, M>[], backlogs: ReadonlySet<string>): Promise<void>;
  /** A read gave nothing, and the lane rests until it is woken. */
  dry(): void;
  /** The group is missing: make it again, or throw. */
  restore(error: NoSuchGroupError, keys: readonly string[]): Promise<void>;
  /** A connection was lost; it is tried again. */
  lost(error: Error): void;
  /** A read succeeded. */
  connected(): void;
  /** The lane was full for so many milliseconds. */
  slow(keys: readonly string[], ms: number): void;
  /** It cannot go on. */
  fail(error: unknown): void;
}

/** Reason of an interrupted read that is simply made anew. */
const INTERRUPTED = Symbol("interrupted");
/** A full buffer is worth an event after so long, in milliseconds. */
const SLOW_AFTER = 1000;

/**
 * Reads the keys of one slot for a consumer, one read after another, ahead of what is taken.
 *
 * A key is read again when half of its buffer is gone, so that the next fetch overlaps the consumer's work, and never
 * more than its buffer is held. In a cluster there is a lane for each slot, so that one slot's silence does not hold up
 * another.
 */
export class Lane<M> {
  readonly #host: LaneHost<M>;
  /** Where each key goes on; an id of its own pending entries while it drains its backlog. */
  readonly #positions = new Map<string, string>();
  /** Keys of the read under way, or of the last one. */
  #reading: ReadonlySet<string> = new Set();
  #interrupt: AbortController | null = null;
  readonly #closing = new AbortController();
  #wake: (() => void) | null = null;
  /** Whether the last read gave nothing; then it rests until there is more to read, or someone asks. */
  #isEmpty = false;

  /** Nothing is read before {@link Lane.run}. */
  constructor(host: LaneHost<M>) {
    this.#host = host;
  }

  /** Keys it reads. */
  get keys(): string[] {
    return [...this.#positions.keys()];
  }

  /** Whether its last read gave nothing, of all its keys, and none is under way; also where it has no keys. */
  get isDry(): boolean {
    return this.#positions.size === 0 || (this.#isEmpty && this.keys.every((key) => this.#reading.has(key)));
  }

  /** Read a key from now on, after `position`. */
  add(key: string, position: string): void {
    this.#positions.set(key, position);
    this.#isEmpty = false;
    this.#restart();
  }

  /** Read a key no more. */
  remove(key: string): void {
    if (this.#positions.delete(key)) this.#restart();
  }

  /** Messages of a key were taken: read it where half of its buffer is gone; gives whether a read begins for that. */
  taken(key: string): boolean {
    if (this.#host.held(key) * 2 > this.#host.buffer) return false;
    const isNews = !this.#reading.has(key);
    if (this.#wake !== null) {
      if (this.#isEmpty && !isNews) return false;
      this.#isEmpty = false;
      this.#wake();
      this.#wake = null;
      return true;
    }
    if (isNews && this.#positions.has(key)) this.#restart();
    return false;
  }

  /** Someone waits: a dry lane reads once more. */
  ask(): void {
    if (!this.#isEmpty) return;
    this.#isEmpty = false;
    this.#wake?.();
  }

  /** Stop reading at once. */
  close(): void {
    this.#closing.abort();
    this.#restart();
  }

  /** Read until it is closed or fails. */
  async run(): Promise<void> {
    for (let failures = 0; !this.#isClosed; ) {
      const after = this.#due();
      if (after.size === 0 || this.#isEmpty) {
        await this.#rest(after.size === 0 && this.#positions.size > 0);
        continue;
      }
      try {
        await this.#fetch(after, failures > 0);
        failures = 0;
      } catch (error) {
        if (this.#isClosed) return;
        if (error === INTERRUPTED) continue;
        if (!(await this.#recover(error, [...after.keys()], failures++))) return;
      }
    }
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Keys with room, with where each goes on. */
  #due(): Map<string, string> {
    const { buffer } = this.#host;
    const due = new Map<string, string>();
    for (const [key, position] of this.#positions)
      if (this.#host.held(key) * 2 <= buffer) due.set(key, position);
    return due;
  }

  /** @param isProbe - Do not block: after a failure, so that it is known soon whether it is over. */
  async #fetch(after: ReadonlyMap<string, string>, isProbe: boolean): Promise<void> {
    const { client, group, buffer, isFollowing, noAck } = this.#host;
    const room = buffer - Math.max(...[...after.keys()].map((key) => this.#host.held(key)));
    // The server never blocks for entries that are pending already; asked to, the reader would ask again and again.
    const isDraining = group !== null && [...after.values()].some((position) => position !== ">");
    const interrupt = new AbortController();
    this.#interrupt = interrupt;
    this.#reading = new Set(after.keys());
    let lists: MessageList<unknown, M>[];
    try {
      const plan = {
        after,
        count: room,
        block: isDraining || isProbe ? undefined : this.#host.block(),
        signal: interrupt.signal,
        noAck,
        list: (key: string) => this.#host.list(key),
        onLost: (error: Error) => this.#host.lost(error),
        // Who follows pauses here, and tells when it is over.
        isPatient: !isFollowing,
        ...(group === null ? {} : { group }),
      };
      lists = await readSlot(client, plan, after, interrupt.signal);
    } finally {
      this.#interrupt = null;
    }
    this.#host.connected();
    await this.#take(after, lists);
    if (lists.length === 0 && !isDraining && !isFollowing) {
      // Others may have got room meanwhile; then it goes on with them.
      this.#isEmpty = [...this.#due().keys()].every((key) => after.has(key));
      if (this.isDry) this.#host.dry();
    }
  }

  /** Hand on what was read, and move its keys: to the last id, or from the end of a backlog to new entries. */
  async #take(after: ReadonlyMap<string, string>, lists: readonly MessageList<unknown, M>[]): Promise<void> {
    // A key may have been removed meanwhile, or removed and added from elsewhere.
    const isCurrent = (key: string): boolean => this.#positions.get(key) === after.get(key);
    const current = lists.filter((list) => isCurrent(list.stream));
    const isGroup = this.#host.group !== null;
    const moving = [...after].filter(([, position]) => position !== ">").map(([key]) => key);
    if (current.length > 0) await this.#host.take(current, new Set(isGroup ? moving : []));
    for (const key of moving) {
      const lastId = current.findLast((list) => list.stream === key)?.lastId ?? (isGroup ? ">" : null);
      if (lastId !== null && isCurrent(key)) this.#positions.set(key, lastId);
    }
  }

  /** Go on after a failure, with a growing pause; false where it is final. */
  async #recover(error: unknown, keys: readonly string[], failures: number): Promise<boolean> {
    let final = error;
    if (error instanceof NoSuchGroupError) {
      if (failures > 0) await pause(failures, this.#closing.signal);
      if (this.#isClosed) return false;
      try {
        await this.#host.restore(error, keys);
        return !this.#isClosed;
      } catch (other) {
        final = other;
      }
    }
    if (this.#isClosed) return false;
    if (!this.#host.isFollowing || !isPassing(final)) {
      this.#host.fail(final);
      return false;
    }
    this.#host.lost(final);
    await pause(failures, this.#closing.signal);
    return !this.#isClosed;
  }

  /** Wait until something is taken, asked for, added or closed. */
  async #rest(isFull: boolean): Promise<void> {
    const start = performance.now();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = null;
    const ms = performance.now() - start;
    if (isFull && ms >= SLOW_AFTER && !this.#isClosed) this.#host.slow(this.keys, ms);
  }

  #restart(): void {
    this.#interrupt?.abort(INTERRUPTED);
    this.#wake?.();
  }
}
