import type { Reading } from "../../containers/read.ts";
import type { DecodeError, NoSuchGroupError } from "../../ground/errors.ts";
import type { Delivery, GroupMessage } from "../../wire/message.ts";
import type { MessageList } from "../../wire/message-list.ts";
import { Buffers } from "../buffers.ts";
import { recreateGroup } from "../create-group.ts";
import { Lane, type LaneHost } from "../lane.ts";
import type { Counters } from "./counters.ts";
import type { WorkerEvent, WorkerSettings } from "./options.ts";
import type { Task } from "./task.ts";

/** What reading needs of its worker. */
export interface IntakeHost<T> {
  readonly reading: Reading<GroupMessage<T>>;
  readonly settings: WorkerSettings<T>;
  readonly counters: Counters;
  /** The ids after which the group begins, by key. */
  readonly starts: ReadonlyMap<string, string>;
  /** Whether it ends where there is nothing left to read. */
  readonly isOnce: boolean;
  /** Ends what waits. */
  readonly closing: AbortSignal;
  /** How a stream's messages are settled. */
  deliveryOf(key: string): Delivery;
  /** Tasks for what was read, delivered at `since` by `performance.now()` or later. */
  admit(items: readonly (GroupMessage<T> | DecodeError)[], since: number): Task<T>[];
  /** Something was read, or there is nothing more to read. */
  changed(): Promise<void>;
  /** Tell the listeners. */
  emit(make: () => WorkerEvent): void;
  /** A connection was lost; it is tried again. */
  lost(error: Error): void;
  /** A read succeeded. */
  connected(): void;
  /** It cannot go on. */
  fail(error: unknown): void;
}

/** What fast handlers get through in so many milliseconds is read ahead. */
const AHEAD = 20;
const MOST_AHEAD = 1000;

/** Reads new entries ahead of the handlers, on a wire for each slot, and makes the group again where it is gone. */
export class Intake<T> {
  readonly #host: IntakeHost<T>;
  readonly #buffers = new Buffers<Task<T>>();
  readonly #seen = new Map<string, string>();
  readonly #doubts = new Map<string, number>();
  readonly #laneOf = new Map<string, Lane<GroupMessage<T>>>();
  /** Since when what a list holds may be delivered, where it came in a reply that was lost. */
  readonly #since = new WeakMap<object, number>();
  #reads: Promise<unknown>[] = [];
  #beat: NodeJS.Timeout | null = null;
  /**
   * When this process was seen to run last, and the time before. What has arrived since may have waited in a socket
   * while the event loop was blocked, its lease running; and the loop rings timers before it looks at sockets.
   */
  #alive = { last: 0, before: 0 };
  #isMissing = false;
  #isAsking = false;
  /** How many entries the handlers got through since the last read, and when that was. */
  #pace = { handled: 0, at: 0, size: 0 };

  /** Nothing is read before {@link Intake.start}. */
  constructor(host: IntakeHost<T>) {
    this.#host = host;
  }

  /** Entries that may be held unstarted, of all streams. */
  get ahead(): number {
    const { prefetch, isAdaptive } = this.#host.settings;
    return isAdaptive ? Math.max(prefetch, this.#pace.size) : prefetch;
  }

  /** Whether nothing is held, and the streams have no more. */
  get isDry(): boolean {
    return this.#buffers.isEmpty && [...this.#laneOf.values()].every((lane) => lane.isDry);
  }

  /** Begin to read, as a consumer. */
  start(consumer: string): void {
    if (this.#laneOf.size > 0) return;
    const { client, keys } = this.#host.reading;
    const now = performance.now();
    this.#alive = { last: now, before: now };
    const beat = (): void => {
      this.#alive = { last: performance.now(), before: this.#alive.last };
    };
    if (this.#beat !== null) clearInterval(this.#beat);
    this.#beat = setInterval(beat, Math.min(this.#host.settings.lease / 10, 1000)).unref();
    const lanes = this.#laneHost(consumer);
    for (const slot of client.groupBySlot(keys)) {
      const lane = new Lane<GroupMessage<T>>(lanes);
      for (const key of slot) {
        lane.add(key, ">");
        this.#laneOf.set(key, lane);
      }
      this.#reads.push(lane.run().catch((error) => this.#host.fail(error)));
    }
  }

  /** Stop reading; resolves when nothing can come any more. */
  async stop(): Promise<void> {
    for (const lane of this.#laneOf.values()) lane.close();
    this.#laneOf.clear();
    await Promise.all(this.#reads.splice(0));
    if (this.#beat !== null && this.#laneOf.size === 0) clearInterval(this.#beat);
  }

  /** The next entry that is held, from the streams in turn. */
  next(): Task<T> | null {
    const taken = this.#buffers.take();
    if (taken === null) return null;
    const { key, item } = taken;
    if (this.#laneOf.get(key)?.taken(key)) this.#isAsking = true;
    return item;
  }

  /** Whether a read is to go out since this was asked last. */
  isAsking(): boolean {
    const isAsking = this.#isAsking;
    this.#isAsking = false;
    return isAsking;
  }

  /** All entries that are held. */
  takeBack(): Task<T>[] {
    const tasks: Task<T>[] = [];
    for (let taken = this.#buffers.take(); taken !== null; taken = this.#buffers.take())
      tasks.push(taken.item);
    return tasks;
  }

  #laneHost(consumer: string): LaneHost<GroupMessage<T>> {
    const { reading, settings, isOnce, lost, connected, fail, emit } = this.#host;
    const buffer = (): number => Math.max(1, Math.floor(this.ahead / reading.keys.length));
    return {
      client: reading.client,
      group: { name: reading.group!.name, consumer, seen: this.#seen, doubts: this.#doubts },
      get buffer() {
        return buffer();
      },
      isFollowing: !isOnce,
      noAck: false,
      block: () => (isOnce ? undefined : settings.block),
      held: (key) => this.#buffers.count(key),
      list: (key) => {
        const list = reading.list(key, this.#host.deliveryOf(key));
        const sent = this.#doubts.get(key);
        if (sent !== undefined) this.#since.set(list, sent);
        return list;
      },
      take: (lists) => this.#take(lists),
      dry: () => void this.#host.changed(),
      restore: (error, keys) => this.#restore(error, keys),
      slow: (streams, heldFor) => emit(() => ({ type: "slow", streams, heldFor })),
      ...{ lost, connected, fail },
    };
  }

  async #take(lists: readonly MessageList<unknown, GroupMessage<T>>[]): Promise<void> {
    for (const list of lists) {
      const outcomes = list.outcomes();
      const items = outcomes instanceof Promise ? await outcomes : outcomes;
      const tasks = this.#host.admit(items, this.#since.get(list) ?? this.#alive.before);
      if (tasks.length > 0) this.#buffers.put(list.stream, tasks);
    }
    this.#measure(performance.now());
    await this.#host.changed();
  }

  /** Learn from one read to the next how fast the handlers are. */
  #measure(now: number): void {
    const { count } = this.#host.counters.out;
    const size = Math.ceil(((count - this.#pace.handled) / Math.max(now - this.#pace.at, 0.01)) * AHEAD);
    this.#pace = { handled: count, at: now, size: Math.min(size, MOST_AHEAD) };
  }

  async #restore(error: NoSuchGroupError, keys: readonly string[]): Promise<void> {
    const { reading, starts, closing, emit } = this.#host;
    const group = reading.group!;
    if (!this.#isMissing) emit(() => ({ type: "groupMissing", error, streams: keys }));
    this.#isMissing = true;
    const own = new Map(keys.map((key) => [key, starts.get(key)!]));
    const known = { name: group.name, seen: this.#seen, doubts: this.#doubts };
    const streams = await recreateGroup(reading.client, known, own, closing);
    this.#isMissing = false;
    emit(() => ({ type: "groupRecreated", streams }));
  }
}
