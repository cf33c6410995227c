import { isPassing, pause } from "../pause.ts";
import type { WorkerMetrics } from "../worker/counters.ts";
import type { Logger } from "./log.ts";

/** How far a group is on a stream; `null` where that is not known, or there is no group. */
export interface Level {
  /** Key of the stream. */
  readonly stream: string;
  /** Entries not delivered to the group yet. */
  readonly lag: number | null;
  /** Entries delivered and not acknowledged. */
  readonly pending: number | null;
}

/** What an app runs: a worker for those who share it, or a reader for one that sees every message. */
export interface Unit {
  /** Keys of the streams. */
  readonly streams: readonly string[];
  /** Name of the group; `null` where there is none. */
  readonly group: string | null;
  /** Whether it runs. */
  readonly isRunning: boolean;
  /** Find where to begin, so that nothing is missed that is published after this resolves. */
  open(signal: AbortSignal): Promise<void>;
  /** Run until it is stopped; rejects where it cannot go on. */
  run(): Promise<void>;
  /** Stop: read no more, and wait for what runs. */
  stop(): Promise<void>;
  /** Leave nothing behind that is of no use to anybody. */
  leave(): Promise<void>;
  /** What it has counted. */
  metrics(): WorkerMetrics;
  /** How far it is, by stream. */
  levels(): Promise<Level[]>;
}

/** Do something until it succeeds; a failure that may pass is waited out, any other one is thrown. */
export async function persist<R>(act: () => Promise<R>, signal: AbortSignal, log: Logger): Promise<R> {
  for (let failures = 0; ; failures++) {
    signal.throwIfAborted();
    try {
      return await act();
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (!isPassing(error)) throw error;
      if (failures === 0) log.warn({ error }, "the server cannot be reached; it is tried again");
      await pause(failures, signal);
    }
  }
}

/** What a worker or a consumer tells. */
interface Told {
  readonly type: string;
  readonly error?: Error;
}

/** At which level of the log an event is told; the rest is for who follows a message. */
const LEVELS: ReadonlyMap<string, "info" | "warn" | "error"> = new Map([
  ...(["failed", "disconnected", "groupMissing", "leaseExpired", "slow"] as const).map(
    (type) => [type, "warn"] as const,
  ),
  ...(["deadLettered", "unsettled"] as const).map((type) => [type, "error"] as const),
  ...(["reconnected", "groupRecreated"] as const).map((type) => [type, "info"] as const),
]);
const TEXTS: Readonly<Record<string, string>> = {
  failed: "a message failed",
  deadLettered: "a message was given up",
  unsettled: "a message could not be settled",
  disconnected: "the connection is lost",
  reconnected: "the connection is back",
  groupMissing: "the group is gone",
  groupRecreated: "the group was made again",
  leaseExpired: "messages were held for longer than their lease",
  reclaimed: "messages were taken up again",
  slow: "handlers are slower than the streams",
};

/** Tell a log what happens, until that ends. */
export async function report(events: AsyncIterable<Told>, facts: object, log: Logger): Promise<void> {
  for await (const { type, ...rest } of events) {
    const level = LEVELS.get(type) ?? "debug";
    log[level]({ ...facts, ...rest }, TEXTS[type] ?? type);
  }
}
