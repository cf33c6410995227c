import { errorOf } from "../../ground/thrown.ts";
import { within } from "../pause.ts";
import type { Level, Unit } from "./unit.ts";

/** How one stream of a subscriber, or of those who share a worker, is doing. */
export interface SubscriberHealth {
  /** Key of the stream. */
  readonly stream: string;
  /** Name of the group; `null` where there is none. */
  readonly group: string | null;
  /** Whether it is read. */
  readonly running: boolean;
  /** Entries not delivered to the group yet; `null` where that is not known, or there is no group. */
  readonly lag: number | null;
  /** Entries delivered and not acknowledged; `null` where that is not known, or there is no group. */
  readonly pending: number | null;
  /** The last failure of a handler, an entry or the connection; `null` where there was none. */
  readonly lastError: Error | null;
}

/** What {@link App.health} gives. */
export interface AppHealth {
  /** For a liveness probe: nothing has ended that should run. A server that is away does not end anything. */
  readonly healthy: boolean;
  /** For a readiness probe: healthy, started, not stopping, and the server answers. */
  readonly ready: boolean;
  /** Stream by stream. */
  readonly subscribers: readonly SubscriberHealth[];
}

/** How long the server is waited for, in milliseconds. */
const PATIENCE = 1000;

/** Looks at how an app is doing; one look at a time goes to the server, however many ask while it is away. */
export class Checkup {
  #looking: Promise<ReadonlyMap<Unit, Level[]>> | null = null;

  /**
   * How units are doing.
   *
   * @param failures - Of those that have ended, why.
   * @param isReady - Whether all else is ready.
   */
  async look(
    units: readonly Unit[],
    failures: ReadonlyMap<Unit, unknown>,
    isReady: boolean,
  ): Promise<AppHealth> {
    let levels: ReadonlyMap<Unit, Level[]> | null = null;
    this.#looking ??= this.#ask(units).finally(() => {
      this.#looking = null;
    });
    const asked = this.#looking.then((found) => {
      levels = found;
    });
    await within(PATIENCE, asked);
    const healthy = failures.size === 0;
    const subscribers = units.flatMap((unit) => {
      const { streams, group, isRunning: running } = unit;
      const { lastError } = unit.metrics();
      const failure = failures.has(unit) ? errorOf(failures.get(unit)) : lastError;
      const known = levels?.get(unit) ?? streams.map((stream) => ({ stream, lag: null, pending: null }));
      return known.map((level) => ({ ...level, group, running, lastError: failure }));
    });
    const isRunning = units.every((unit) => unit.isRunning);
    return { healthy, ready: healthy && isReady && isRunning && levels !== null, subscribers };
  }

  async #ask(units: readonly Unit[]): Promise<ReadonlyMap<Unit, Level[]>> {
    return new Map(await Promise.all(units.map(async (unit) => [unit, await unit.levels()] as const)));
  }
}
