import { type Attributes, type BatchObservableResult, diag, type Meter } from "@opentelemetry/api";
import type { GroupStats } from "../../containers/group-stats.ts";
import { observable } from "./board.ts";
import { DESTINATION } from "./conventions.ts";
import { GROUP_FIGURES } from "./figures.ts";

/** Gives how far a group is. */
interface Measured {
  stats(): Promise<GroupStats<string>>;
}

/** Longest that a scrape waits for the server, in milliseconds. */
const PATIENCE = 1000;

/**
 * Report how far a group is; gives what ends that.
 *
 * The server is asked at a scrape, and not again before `every` has passed. Where it does not answer, nothing is reported: the
 * last figures would look like a group that stands still.
 */
export function watchGroup(meter: Meter, group: Measured, attributes: Attributes, every: number): () => void {
  const instruments = GROUP_FIGURES.map((figure) => observable(meter, figure));
  const latest = new Latest(() => group.stats(), every);
  const observe = async (result: BatchObservableResult): Promise<void> => {
    const stats = await latest.get();
    for (const [stream, figures] of Object.entries(stats?.streams ?? {})) {
      for (const [i, { of }] of GROUP_FIGURES.entries()) {
        const value = of(figures);
        if (value !== null) result.observe(instruments[i]!, value, { ...attributes, [DESTINATION]: stream });
      }
    }
  };
  meter.addBatchObservableCallback(observe, instruments);
  return () => meter.removeBatchObservableCallback(observe, instruments);
}

/** An answer that is good for a while, asked for once at a time. */
class Latest<V> {
  readonly #ask: () => Promise<V>;
  readonly #every: number;
  #answer: { readonly value: V; readonly at: number } | null = null;
  #asking: Promise<V | null> | null = null;

  constructor(ask: () => Promise<V>, every: number) {
    this.#ask = ask;
    this.#every = every;
  }

  /** The answer; `null` where there is none, or it is late. What is late is kept for the next who asks. */
  get(): Promise<V | null> {
    if (this.#answer !== null && performance.now() - this.#answer.at < this.#every)
      return Promise.resolve(this.#answer.value);
    this.#asking ??= this.#refresh();
    return inTime(this.#asking);
  }

  async #refresh(): Promise<V | null> {
    try {
      const value = await this.#ask();
      this.#answer = { value, at: performance.now() };
      return value;
    } catch (error) {
      this.#answer = null;
      diag.warn("walrus-streams: a group's figures are not reported", error);
      return null;
    } finally {
      this.#asking = null;
    }
  }
}

/** What is asked for, or `null` where it takes too long. */
async function inTime<V>(asking: Promise<V | null>): Promise<V | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), PATIENCE).unref();
  });
  try {
    return await Promise.race([asking, late]);
  } finally {
    clearTimeout(timer);
  }
}
