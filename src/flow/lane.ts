import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "../connection/client.ts";
import { type ReadingGroup, readSlot } from "../connection/reader.ts";
import { ConnectionLostError, NoSuchGroupError, ReplyError } from "../ground/errors.ts";
import type { MessageList } from "../wire/message.ts";

/** What a lane needs of its consumer. */
export interface LaneHost<M> {
  /** The connection. */
  readonly client: Client;
  /** The group it reads through. */
  readonly group: ReadingGroup | null;
  /** Most messages held for a key. */
  readonly buffer: number;
  /** Milliseconds that a read waits; absent is not at all. */
  readonly block: number | undefined;
  /** Whether it reads on for ever. */
  readonly isFollowing: boolean;
  /** Read without pending entries. */
  readonly noAck: boolean;
  /** Messages of a key that are held now. */
  held(key: string): number;
  /** A list for messages of a key. */
  list(key: string): MessageList<unknown, M>;
  /** Take what a read gave; resolves when it is decoded. */
  take(list: MessageList<unknown, M>): Promise<void>;
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

/** Reasons of an interrupted read that is simply made anew. */
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
  /** Keys of the read under way. */
  #reading: ReadonlySet<string> = new Set();
  #interrupt: AbortController | null = null;
  #wake: (() => void) | null = null;
  /** Whether the last read gave nothing; then it rests until there is more to read, or someone asks. */
  #isEmpty = false;
  #isClosed = false;

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
    return this.#positions.size === 0 || (this.#isEmpty && this.#reading.size === this.#positions.size);
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

  /** Messages of a key were taken: read it where half of its buffer is gone. */
  taken(key: string): void {
    if (this.#host.held(key) * 2 > this.#host.buffer) return;
    const isNews = !this.#reading.has(key);
    if (this.#wake !== null) {
      if (this.#isEmpty && !isNews) return;
      this.#isEmpty = false;
      this.#wake();
    } else if (isNews && this.#isBlocking && this.#positions.has(key)) this.#restart();
  }

  /** Someone waits: a dry lane reads once more. */
  ask(): void {
    if (!this.#isEmpty) return;
    this.#isEmpty = false;
    this.#wake?.();
  }

  /** Stop reading at once. */
  close(): void {
    this.#isClosed = true;
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
        await this.#fetch(after);
        failures = 0;
      } catch (error) {
        if (this.#isClosed) return;
        if (error === INTERRUPTED) continue;
        if (!(await this.#recover(error, [...after.keys()], failures++))) return;
      }
    }
  }

  /** Keys with room, with where each goes on. */
  #due(): Map<string, string> {
    const { buffer } = this.#host;
    const due = new Map<string, string>();
    for (const [key, position] of this.#positions)
      if (this.#host.held(key) * 2 <= buffer) due.set(key, position);
    return due;
  }

  async #fetch(after: ReadonlyMap<string, string>): Promise<void> {
    const { client, group, buffer, block, isFollowing, noAck } = this.#host;
    const room = buffer - Math.max(...[...after.keys()].map((key) => this.#host.held(key)));
    const interrupt = new AbortController();
    this.#interrupt = interrupt;
    this.#reading = new Set(after.keys());
    let lists: MessageList<unknown, M>[];
    try {
      const plan = {
        after,
        count: room,
        block: isFollowing ? 0 : block,
        signal: interrupt.signal,
        noAck,
        list: (key: string) => this.#host.list(key),
        onLost: (error: Error) => this.#host.lost(error),
        ...(group === null ? {} : { group }),
      };
      lists = await readSlot(client, plan, after, interrupt.signal);
    } finally {
      this.#interrupt = null;
    }
    this.#host.connected();
    this.#advance(after, lists);
    for (const list of lists) await this.#host.take(list);
    if (lists.length === 0 && !this.#isDrainingBacklog(after) && !isFollowing) {
      // Others may have got room meanwhile; then it goes on with them.
      this.#isEmpty = [...this.#due().keys()].every((key) => after.has(key));
      if (this.isDry) this.#host.dry();
    }
  }

  /** Move the keys on: to the last id read, or from the end of the backlog to new entries. */
  #advance(after: ReadonlyMap<string, string>, lists: readonly MessageList<unknown, M>[]): void {
    const isGroup = this.#host.group !== null;
    for (const [key, position] of after) {
      if (!this.#positions.has(key)) continue;
      const lastId = lists.findLast((list) => list.stream === key)?.lastId;
      if (!isGroup && lastId) this.#positions.set(key, lastId);
      if (isGroup && position !== ">") this.#positions.set(key, lastId ?? ">");
    }
  }

  #isDrainingBacklog(after: ReadonlyMap<string, string>): boolean {
    return this.#host.group !== null && [...after.values()].some((position) => position !== ">");
  }

  /** Go on after a failure, with a growing pause; false where it is final. */
  async #recover(error: unknown, keys: readonly string[], failures: number): Promise<boolean> {
    let final = error;
    if (error instanceof NoSuchGroupError) {
      if (failures > 0) await this.#pause(failures);
      if (this.#isClosed) return false;
      try {
        await this.#host.restore(error, keys);
        return true;
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
    await this.#pause(failures);
    return !this.#isClosed;
  }

  /** Wait 100 ms doubling to 2 s, with a random half; a close ends it. */
  async #pause(failures: number): Promise<void> {
    const most = Math.min(100 * 2 ** failures, 2000);
    this.#interrupt = new AbortController();
    await wait(most / 2 + (Math.random() * most) / 2, undefined, { signal: this.#interrupt.signal }).catch(
      () => {},
    );
    this.#interrupt = null;
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

  get #isBlocking(): boolean {
    return this.#interrupt !== null && (this.#host.isFollowing || this.#host.block !== undefined);
  }

  #restart(): void {
    this.#interrupt?.abort(INTERRUPTED);
    this.#wake?.();
  }
}

/** Whether a failure may be over later without anybody's doing. */
function isPassing(error: unknown): error is ConnectionLostError | ReplyError {
  return error instanceof ConnectionLostError || (error instanceof ReplyError && error.retriable);
}
