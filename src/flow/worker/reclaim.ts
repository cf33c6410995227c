import type { Deliveries, Taken } from "../../containers/deliveries.ts";
import { NoSuchGroupError } from "../../ground/errors.ts";
import { isPassing } from "../pause.ts";
import type { WorkerEvent } from "./options.ts";
import type { Task } from "./task.ts";

/** What reclaiming needs of its worker. */
export interface ReclaimHost<T> {
  /** Keys of the streams. */
  readonly keys: readonly string[];
  /** How long a silent worker keeps its entries, in milliseconds. */
  readonly lease: number;
  /** The count of an entry's last delivery. */
  readonly maxDeliveries: number;
  /** What a stream has delivered to this worker. */
  deliveriesOf(key: string): Deliveries;
  /** All that is held now. */
  held(): Iterable<Task<T>>;
  /** How many entries may be taken up now. */
  room(): number;
  /** Hold entries that were taken up. */
  take(key: string, taken: readonly Taken[], deleted: readonly string[], since: number): Promise<void>;
  /** Tell the listeners. */
  emit(make: () => WorkerEvent): void;
  /** An entry is this worker's no more: another has it, or with `isGone` it is pending no more. */
  drop(task: Task<T>, isGone: boolean): void;
  /** A lease was renewed that had been over. */
  kept(task: Task<T>): void;
  /** A look is over that began at `sent`; `isWhole` where it has shown all that is due, of every stream. */
  looked(isWhole: boolean, sent: number): Promise<void>;
  /** It could not be done, and is tried again. */
  lost(error: Error): void;
  /** It cannot be done any more. */
  fail(error: unknown): void;
}

/** Longest time between two looks for what is due, in milliseconds: so long may a handed back entry lie. */
const PERIOD = 1000;
/** Times at which retries are due are kept this exactly, in milliseconds. */
const TICK = 10;

/**
 * Keeps this worker's leases, and takes up what is due: failed entries whose delay is over, released ones, and those of
 * workers that went silent.
 *
 * One look costs one script a stream. No clock is compared with the server's: what is due is judged by the server's own
 * idle times, and the timers here go by `performance.now()`.
 */
export class Reclaiming<T> {
  readonly #host: ReclaimHost<T>;
  readonly #period: number;
  /** When retries of this worker's own are due. */
  readonly #due = new Set<number>();
  /** Ends the wait under way, until {@link Reclaiming.#restsUntil}. */
  #nudge: (() => void) | null = null;
  #restsUntil = 0;
  #isWoken = false;
  /** Which stream may give a suspect. */
  #turn = -1;
  #isOver = false;
  /** The look that was asked for last. */
  #looking: Promise<number> = Promise.resolve(0);
  /** Whether the last look found as much as there was room for. */
  hasMore = false;

  /** Nothing is sent before {@link Reclaiming.run}. */
  constructor(host: ReclaimHost<T>) {
    this.#host = host;
    this.#period = Math.max(5, Math.min(PERIOD, host.lease / 3));
  }

  /** Look again in so many milliseconds: something is due then. */
  expect(ms: number): void {
    const at = Math.ceil((performance.now() + ms + 1) / TICK) * TICK;
    this.#due.add(at);
    if (at < this.#restsUntil) this.#nudge?.();
  }

  /** Look again now, or when the look under way is over. */
  wake(): void {
    this.#isWoken = true;
    this.#nudge?.();
  }

  /** Look again and again, until {@link Reclaiming.stop}. */
  async run(): Promise<void> {
    while (!this.#isOver) {
      this.#isWoken = false;
      await this.look();
      await this.#rest();
    }
  }

  /** Look no more. */
  stop(): void {
    this.#isOver = true;
    this.wake();
  }

  /**
   * Renew the leases that are old, then take up what is due; gives how many entries that were.
   *
   * One after the other: two looks at once would each see that no suspect is held, and take one.
   */
  look(): Promise<number> {
    const next = (): Promise<number> => this.#look();
    this.#looking = this.#looking.then(next, next);
    return this.#looking;
  }

  async #look(): Promise<number> {
    const now = performance.now();
    for (const at of this.#due) if (at <= now) this.#due.delete(at);
    this.hasMore = false;
    const { keys } = this.#host;
    this.#turn = (this.#turn + 1) % keys.length;
    const counts = await Promise.all(keys.map((key, i) => this.#lookAt(key, i === this.#turn)));
    const isWhole = !counts.includes(null) && !this.hasMore;
    await this.#host.looked(isWhole, now).catch((error) => this.#failed(error));
    return counts.reduce<number>((sum, count) => sum + (count ?? 0), 0);
  }

  /**
   * @param isItsTurn - Whether a suspect may be taken up: one at a time, of all streams.
   * @returns how many entries it took up, `null` where it failed.
   */
  async #lookAt(key: string, isItsTurn: boolean): Promise<number | null> {
    try {
      await this.#renew(key);
      // After the renewal, so that nothing that is held here is ever due.
      if (this.#isOver) return 0;
      const { lease, maxDeliveries, keys } = this.#host;
      // Asked without room, too: who asks rarely cannot tell a silent server from a silent worker.
      const room = Math.max(0, Math.ceil(this.#host.room() / keys.length));
      const suspects = isItsTurn && ![...this.#host.held()].some(({ isSuspect }) => isSuspect) ? 1 : 0;
      const deliveries = this.#host.deliveriesOf(key);
      const sent = performance.now();
      const { taken, deleted } = await deliveries.takeDue(lease, room, maxDeliveries, suspects);
      this.hasMore ||= room > 0 && taken.length >= room;
      if (taken.length + deleted.length > 0) await this.#host.take(key, taken, deleted, sent);
      return taken.length;
    } catch (error) {
      this.#failed(error);
      return null;
    }
  }

  /** A missing group is met, and made again, by the reads. */
  #failed(error: unknown): void {
    if (isPassing(error)) this.#host.lost(error);
    else if (!(error instanceof NoSuchGroupError)) this.#host.fail(error);
  }

  async #renew(key: string): Promise<void> {
    const sent = performance.now();
    const old: Task<T>[] = [];
    for (const task of this.#host.held())
      if (task.message.stream === key && sent - task.since >= this.#host.lease / 3) old.push(task);
    if (old.length === 0) return;
    const verdicts = await this.#host.deliveriesOf(key).renew(old.map(({ message }) => message));
    const idsOf = (tasks: readonly Task<T>[]): string[] => tasks.map(({ message }) => message.id);
    const isExpired = (task: Task<T>): boolean => sent - task.since >= this.#host.lease;
    const expired = old.filter(isExpired);
    if (expired.length > 0) {
      const lost = old.filter((task, i) => isExpired(task) && verdicts[i] === "lost");
      const event = { stream: key, ids: idsOf(expired), lost: idsOf(lost) };
      this.#host.emit(() => ({ type: "leaseExpired", ...event }));
    }
    for (const [i, task] of old.entries()) {
      if (verdicts[i] !== "kept") this.#host.drop(task, verdicts[i] === "gone");
      else {
        const wasOver = isExpired(task);
        task.since = sent;
        if (wasOver) this.#host.kept(task);
      }
    }
  }

  /** Until the next look: after the period, or when something is due or it is woken before. */
  async #rest(): Promise<void> {
    const end = performance.now() + this.#period;
    while (!this.#isOver && !this.#isWoken) {
      this.#restsUntil = end;
      for (const due of this.#due) if (due < this.#restsUntil) this.#restsUntil = due;
      const left = this.#restsUntil - performance.now();
      if (left <= 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#nudge = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#nudge = null;
    }
  }
}

/** What is known of entries that were taken up: delivery counts, and ids whose worker went silent. */
export interface Origins {
  readonly counts: ReadonlyMap<string, number>;
  readonly abandoned: ReadonlySet<string>;
}

/** What is known of entries that were taken up. */
export function originsOf(taken: readonly Taken[]): Origins {
  return {
    counts: new Map(taken.map(({ id, deliveries }) => [id, deliveries])),
    abandoned: new Set(taken.flatMap(({ id, isAbandoned }) => (isAbandoned ? [id] : []))),
  };
}
