import { setMaxListeners } from "node:events";
import { Deliveries, isSuspect, type Taken } from "../../containers/deliveries.ts";
import type { Reading } from "../../containers/read.ts";
import { ClosedError, DecodeError, LeaseLostError } from "../../ground/errors.ts";
import type { Events } from "../../ground/events.ts";
import { type Delivery, type GroupMessage, isSettled, markSettled } from "../../wire/message.ts";
import { createGroup } from "../create-group.ts";
import { aborted, isPassing, pause, within } from "../pause.ts";
import { pinned } from "../source.ts";
import { Changes } from "./changes.ts";
import type { Counters } from "./counters.ts";
import { Crew } from "./crew.ts";
import type { BatchHandler, Handler } from "./handler.ts";
import { Intake } from "./intake.ts";
import { ConsumerName, goneAfter } from "./name.ts";
import type { WorkerEvent, WorkerSettings } from "./options.ts";
import { type Origins, originsOf, Reclaiming } from "./reclaim.ts";
import { isExhausted } from "./retry.ts";
import { deliveryOf, isForOthers, Settling } from "./settle.ts";
import { Task } from "./task.ts";

/** What a session needs of its worker. */
export interface SessionHost<T> {
  readonly reading: Reading<GroupMessage<T>>;
  readonly settings: WorkerSettings<T>;
  readonly handler: Handler<T> | BatchHandler<T>;
  readonly counters: Counters;
  readonly events: Events<WorkerEvent>;
  /** The ids after which the group begins, by key; `$` until it is pinned. */
  readonly starts: Map<string, string>;
}

/** What a stopping worker's last words to the server may take, in milliseconds. */
const MOMENT = 1000;

/** One run of a worker: from taking up what was left to giving back what has not begun. */
export class Session<T> {
  /** Whether it ends since another worker has its name: this process stood still for longer than the lease. */
  isNameLost = false;
  readonly #host: SessionHost<T>;
  readonly #isOnce: boolean;
  readonly #name: ConsumerName;
  readonly #deliveries = new Map<string, Deliveries>();
  readonly #delivery = new Map<string, Delivery>();
  readonly #intake: Intake<T>;
  readonly #reclaiming: Reclaiming<T>;
  readonly #crew: Crew<T>;
  readonly #settling: Settling<T>;
  /** All that is held, begun or not. */
  readonly #held = new Map<GroupMessage<T>, Task<T>>();
  /** What was taken up, ahead of what is new. */
  readonly #urgent: Task<T>[] = [];
  /** What may not be ours any more, since it was held for longer than its lease: not begun before it is renewed. */
  readonly #doubtful = new Set<Task<T>>();
  /** Entries that do not decode and are being buried. */
  #refusals = 0;
  readonly #closing = new AbortController();
  readonly #over = new AbortController();
  #isReady = false;
  #isPaused = false;
  #isBreakingOff = false;
  #isDisconnected = false;
  #failure: { readonly error: unknown } | null = null;
  readonly #changes = new Changes();

  /** @param isOnce - End when there is nothing left to do. */
  constructor(host: SessionHost<T>, isOnce: boolean) {
    const { reading, settings, counters, events } = host;
    setMaxListeners(0, this.#closing.signal, this.#over.signal);
    this.#host = host;
    this.#isOnce = isOnce;
    const { client, group, keys } = reading;
    this.#name = new ConsumerName(client, group!.name, group!.consumer, keys, settings.lease);
    const shared = {
      ...{ reading, settings, counters, keys, isOnce, handler: host.handler, starts: host.starts },
      ...{ lease: settings.lease, maxDeliveries: settings.retry.maxDeliveries },
      ...{ over: this.#over.signal, closing: this.#closing.signal },
      deliveriesOf: (key: string) => this.#deliveries.get(key)!,
      emit: (make: () => WorkerEvent) => events.emit(make),
      lost: (error: Error) => this.#lost(error),
      fail: (error: unknown) => this.#fail(error),
      held: () => this.#held.values(),
    };
    this.#settling = new Settling<T>({
      ...shared,
      settled: (message, waits) => this.#settled(message, waits),
      released: (messages) => {
        for (const message of messages) this.#held.delete(message);
        this.#changes.tell();
      },
      reopened: (message) => this.#reopened(message),
    });
    this.#crew = new Crew<T>({
      ...shared,
      next: (now) => this.#next(now),
      holds: (task, now) => this.#holds(task, now),
      isAsking: () => this.#intake.isAsking(),
      isReading: () => !isOnce && !this.#closing.signal.aborted,
      acknowledge: (message) => this.#settling.ack(message),
      finished: (task, error) => this.#finished(task, error),
    });
    this.#intake = new Intake<T>({
      ...shared,
      deliveryOf: (key) => this.#delivery.get(key)!,
      admit: (items, since) => this.#admit(items, since),
      changed: () => this.#changed(),
      connected: () => this.#connected(),
    });
    this.#reclaiming = new Reclaiming<T>({
      ...shared,
      room: () => this.#room(),
      take: (key, taken, deleted, since) => this.#takeUp(key, taken, deleted, since),
      drop: (task, isGone) => this.#drop(task, isGone),
      kept: (task) => {
        if (!this.#doubtful.delete(task)) return;
        if (task.chain === null) this.#urgent.push(task);
        else this.#crew.again(task);
        this.#crew.start();
      },
      looked: async (isWhole, sent) => {
        // As of then: a stream's answer may be seconds old when that of another comes.
        if (isWhole) this.#crew.giveUp(sent);
        this.isNameLost ||= !(await this.#name.keep());
        if (this.isNameLost) this.stop();
      },
    });
  }

  /** Run until it is stopped, or fails; resolves when all is given back. */
  async run(): Promise<void> {
    let looking: Promise<void> = Promise.resolve();
    try {
      await Promise.race([this.#start(), aborted(this.#closing.signal)]);
      if (this.#isReady) looking = this.#reclaiming.run();
      await Promise.race([this.#read(), aborted(this.#closing.signal)]);
      if (this.#isOnce) await Promise.race([this.#exhausted(), aborted(this.#closing.signal)]);
      else await aborted(this.#closing.signal);
    } catch (error) {
      this.#failure ??= { error };
    }
    this.#closing.abort();
    await this.#finish(looking);
    this.#over.abort();
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Begin to stop. */
  stop(): void {
    this.#closing.abort();
    this.#changes.tell();
  }

  /** Read and begin nothing; what has not begun is given back. Resolves when it is. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#intake.stop();
    if (this.#isPaused) await this.#giveBack();
  }

  /** Read again. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    void this.#read();
    this.#crew.start();
  }

  /** Begin to read, unless it does; where order matters, what was given back comes before what is new. */
  async #read(): Promise<void> {
    const isWanted = (): boolean => this.#isReady && !this.#isPaused && !this.#closing.signal.aborted;
    if (this.#host.settings.orderBy !== null) while (isWanted() && (await this.#reclaiming.look()) > 0);
    if (isWanted()) this.#intake.start(this.#name.current);
  }

  /** Claim a name, see that the group is there, and take up what an earlier life of this consumer has left. */
  async #start(): Promise<void> {
    const { reading, settings, starts } = this.#host;
    const { signal } = this.#closing;
    const { client, keys, group } = reading;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.#name.claim();
        // Once: made again, the group is to miss nothing that was added since.
        for (const [key, id] of await pinned(client, starts, signal)) starts.set(key, id);
        await createGroup(client, group!.name, starts, signal);
        for (const key of keys) {
          signal.throwIfAborted(); // The name is given back by then, and may be another's.
          const deliveries = new Deliveries(client, key, group!.name, this.#name.current, settings.lease);
          if (!this.#name.isOwn) await deliveries.orphan();
          await deliveries.removeIdle(this.#name.prefix, goneAfter(settings.lease));
          this.#deliveries.set(key, deliveries);
          this.#delivery.set(key, this.#deliveryOf(deliveries));
        }
        this.#isReady = true;
        return this.#connected();
      } catch (error) {
        if (signal.aborted) return;
        if (!isPassing(error)) throw error;
        this.#lost(error);
        await pause(failures, signal);
      }
    }
  }

  /** Stop reading, give back what has not begun, wait for what has, and leave. */
  async #finish(looking: Promise<void>): Promise<void> {
    const { drain } = this.#host.settings;
    const until = performance.now() + drain;
    const left = (): number => Math.max(0, until - performance.now());
    const done = (): Promise<void> => this.#changes.until(() => this.#isDone);
    await within(drain, this.#intake.stop());
    const given = this.#giveBack();
    await within(left(), given);
    await within(left(), done());
    this.#isBreakingOff = true;
    this.#crew.abort(new ClosedError("the worker stops, and the time to drain is over"));
    // What heeds its signal ends now; its settlement, and what the server still owes, get a moment.
    await within(MOMENT, done());
    this.#reclaiming.stop();
    await within(MOMENT, Promise.allSettled([given, this.#name.drop(), this.#leave(), looking]));
  }

  /** Remove a consumer that nobody will ever read as again. */
  async #leave(): Promise<void> {
    if (!this.#name.isOwn) return;
    for (const deliveries of this.#deliveries.values()) await deliveries.removeIdle(this.#name.current, 0);
  }

  /** Give back all that has not begun: it is due at once, and this delivery does not count. */
  async #giveBack(): Promise<void> {
    const tasks = [
      ...this.#urgent.splice(0),
      ...this.#crew.takeBack(this.#doubtful),
      ...this.#intake.takeBack(),
    ].filter(({ isGone }) => !isGone);
    this.#doubtful.clear();
    await this.#settling.release(tasks.map(({ message }) => message));
    this.#changes.tell();
  }

  #room(): number {
    if (this.#isPaused || this.#closing.signal.aborted) return 0;
    return Math.max(this.#intake.ahead, this.#host.settings.concurrency) - this.#urgent.length;
  }

  #next(now: number): Task<T> | null {
    if (this.#isPaused || this.#closing.signal.aborted) return null;
    for (;;) {
      const task = this.#urgent.shift() ?? this.#intake.next();
      if (task === null) {
        if (this.#reclaiming.hasMore) this.#reclaiming.wake();
        return null;
      }
      if (!task.isGone && (this.#host.settings.orderBy !== null || this.#holds(task, now))) return task;
    }
  }

  #holds(task: Task<T>, now: number): boolean {
    if (now - task.since < this.#host.settings.lease) return true;
    this.#doubtful.add(task);
    this.#reclaiming.wake();
    return false;
  }

  /** Something was read: begin it, or where it came in while it stopped give it back. */
  async #changed(): Promise<void> {
    if (this.#isPaused || this.#closing.signal.aborted) await this.#giveBack();
    this.#crew.start();
    this.#changes.tell();
  }

  async #takeUp(key: string, taken: readonly Taken[], deleted: readonly string[], since: number) {
    const { reading, events, counters } = this.#host;
    counters.reclaimed += taken.length;
    const ids = taken.map(({ id }) => id);
    events.emit(() => ({ type: "reclaimed", stream: key, ids, deleted }));
    const origins = originsOf(taken);
    const list = reading.list(key, this.#delivery.get(key)!, origins.counts);
    for (const { id, fields } of taken) list.fields(id, fields);
    this.#urgent.push(...this.#admit(await list.outcomes(), since, origins));
    await this.#changed();
  }

  /** Tasks for messages; without those that do not decode, are for others, or whose deliveries are over. */
  #admit(items: readonly (GroupMessage<T> | DecodeError)[], since: number, origins?: Origins): Task<T>[] {
    const tasks: Task<T>[] = [];
    const { retry, lease } = this.#host.settings;
    this.#host.counters.in.add(items.length);
    if (performance.now() - since >= lease / 3) this.#reclaiming.wake();
    for (const item of items) {
      if (item instanceof DecodeError) {
        this.#refusals++;
        this.#settling.refuse(item, origins?.counts.get(item.id) ?? 1).finally(() => {
          this.#refusals--;
          this.#changes.tell();
        });
        continue;
      }
      const task = new Task(item, since);
      const isAbandoned = origins?.abandoned.has(item.id) ?? false;
      task.isSuspect = isAbandoned && isSuspect(item.deliveries, retry.maxDeliveries);
      this.#held.set(item, task);
      if (isForOthers(item)) {
        markSettled(item);
        this.#settling.ack(item);
      } else if (isExhausted(retry, item, isAbandoned)) {
        this.#settling.exhausted(item, new LeaseLostError(item.stream, item.id));
      } else tasks.push(task);
    }
    return tasks;
  }

  #finished(task: Task<T>, error: Error | null): void {
    const { message } = task;
    // Broken off because the worker stops, it has not failed: that delivery does not count.
    if (error !== null && this.#isBreakingOff && !isSettled(message)) {
      markSettled(message);
      this.#settling.release([message]);
    } else if (error !== null) this.#settling.fail(message, error);
    else if (!isSettled(message) && this.#host.settings.ack !== "manual") {
      markSettled(message);
      this.#settling.ack(message);
    }
    this.#changes.tell();
  }

  #settled(message: GroupMessage<T>, waits: number | null): void {
    const task = this.#held.get(message);
    if (task === undefined) return;
    this.#held.delete(message);
    task.isSettled = true;
    if (task.isSuspect) this.#reclaiming.wake();
    this.#crew.settled(task, waits);
    if (waits !== null) this.#reclaiming.expect(waits);
    this.#changes.tell();
  }

  /** A verb failed: where the handler has ended, nobody settles the message any more, and its lease is to run out. */
  #reopened(message: GroupMessage<T>): void {
    const isOver = this.#host.settings.ack !== "manual" && this.#held.get(message)?.call?.isEnded;
    if (isOver) this.#settled(message, null);
  }

  /** An entry is not ours any more. */
  #drop(task: Task<T>, isGone: boolean): void {
    const { message } = task;
    task.isGone = true;
    this.#held.delete(message);
    this.#doubtful.delete(task);
    this.#crew.settled(task, null);
    if (!isGone) task.call?.abort(new LeaseLostError(message.stream, message.id));
    this.#changes.tell();
  }

  #deliveryOf(deliveries: Deliveries): Delivery {
    const settling = this.#settling as unknown as Settling<unknown>;
    return deliveryOf(this.#host.reading.group!.name, this.#name.current, settling, async (message) => {
      const sent = performance.now();
      const [verdict] = await deliveries.renew([message]);
      const task = this.#held.get(message as GroupMessage<T>);
      if (task !== undefined) task.since = sent;
      return verdict === "kept";
    });
  }

  #lost(error: Error): void {
    this.#host.counters.lastError = error;
    if (!this.#isDisconnected) this.#host.events.emit(() => ({ type: "disconnected", error }));
    this.#isDisconnected = true;
  }

  #connected(): void {
    if (this.#isDisconnected) this.#host.events.emit(() => ({ type: "reconnected" }));
    this.#isDisconnected = false;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.stop();
  }

  /** Whether nothing runs, is held or is on its way to the server. */
  get #isDone(): boolean {
    const isSettled = this.#host.settings.ack === "manual" || this.#held.size === this.#crew.aside;
    return this.#crew.isIdle && isSettled && this.#refusals === 0 && this.#urgent.length === 0;
  }

  /** For a run that ends by itself: nothing to read, to handle, or to take up. */
  async #exhausted(): Promise<void> {
    const isQuiet = (): boolean => this.#intake.isDry && this.#isDone;
    while (!this.#closing.signal.aborted) {
      await this.#changes.until(() => this.#closing.signal.aborted || isQuiet());
      if ((await this.#reclaiming.look()) === 0 && isQuiet()) return;
    }
  }
}
