import { constants } from "node:os";
import type { Client } from "../../connection/client.ts";
import { deadLetterKey } from "../../containers/beside.ts";
import {
  assertInteger,
  assertName,
  assertOptionalInteger,
  assertOptions,
  assertSignal,
} from "../../ground/assert.ts";
import { LONGEST_TIMER, type Time, toMilliseconds } from "../../ground/duration.ts";
import { InvalidArgumentError } from "../../ground/errors.ts";
import type { GroupMessage } from "../../wire/message.ts";
import type { ConsumerEvent } from "../consumer-options.ts";
import { type From, positionOf } from "../source.ts";
import { type RetryFunction, type RetryOptions, type RetrySchedule, retrySchedule } from "./retry.ts";

/** How messages are gathered for a batch handler. */
export interface BatchOptions {
  /** Most messages of a batch. */
  readonly size: number;
  /** How long a batch waits to be full, from its first message. @defaultValue 0: as many as are there */
  readonly wait?: Time | undefined;
}

/** An entry whose deliveries are over. */
export interface DeadEntry {
  /** Key of its stream. */
  readonly stream: string;
  /** Its id. */
  readonly id: string;
  /** How often it was delivered. */
  readonly deliveries: number;
}

/** Chooses the key of an entry's dead letters; `false` drops it. */
export type DeadLetterFunction = (entry: DeadEntry, error: Error) => string | false;

/** When a message is acknowledged; one whose handler has settled it by itself is left alone. */
export type AckPolicy = "success" | "always" | "first" | "manual";

/** Options of a worker. */
export interface WorkerOptions<T = unknown> {
  /** Handlers at once. @defaultValue 1 */
  readonly concurrency?: number | undefined;
  /**
   * Entries held unstarted, shared out among the streams. @defaultValue 2 x `concurrency`, at least the batch; fast
   * handlers get up to as many as they handle in 20 ms, at most 1,000
   */
  readonly prefetch?: number | undefined;
  /** Hand messages over in arrays. @defaultValue off */
  readonly batch?: BatchOptions | undefined;
  /**
   * A message's key: messages of one key run one after another in the order of their stream, in this worker; while one
   * waits for its retry, those behind it wait too. Not with `batch`. @defaultValue off
   */
  readonly orderBy?: ((message: GroupMessage<T>) => unknown) | undefined;
  /** How long a silent worker keeps its entries; a third of it is the time between two renewals. @defaultValue 30 s */
  readonly lease?: Time | undefined;
  /** A handler past it is aborted and counts as failed. @defaultValue none */
  readonly timeout?: Time | undefined;
  /** When failed messages come back. @defaultValue 5 deliveries, 1 s to 5 min, x 2, jitter 0.2 */
  readonly retry?: RetryOptions | RetryFunction | undefined;
  /** Key of the dead letters, `false` to drop them, or a function. @defaultValue `{<key>}:dead` */
  readonly deadLetter?: string | false | DeadLetterFunction | undefined;
  /**
   * When to acknowledge: after the handler's success, after it whatever it does, before it (at most once), or only by
   * `message.ack()`. @defaultValue `"success"`
   */
  readonly ack?: AckPolicy | undefined;
  /** How long `stop()` waits for running handlers. @defaultValue 15 s */
  readonly drain?: Time | undefined;
  /** How long one read waits on the server. @defaultValue 5 s */
  readonly block?: Time | undefined;
  /**
   * Where a group begins that is not there yet, or not any more; `"latest"` is what the worker found when it first ran,
   * so that nothing is missed while a lost group is made again. @defaultValue the group's start ids
   */
  readonly from?: From | undefined;
  /** Stops the worker when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Stop on these signals of the process; `true` is SIGINT and SIGTERM. @defaultValue none */
  readonly stopOn?: boolean | readonly NodeJS.Signals[] | undefined;
}

/** What a worker tells by {@link Worker.status}: what a consumer tells, and what becomes of its entries. */
export type WorkerEvent =
  | ConsumerEvent
  | ({
      /** A handler failed, or an entry does not decode. */
      readonly type: "failed";
      /** Why. */
      readonly error: Error;
      /** Milliseconds until it comes back; `null` where it does not. */
      readonly retryIn: number | null;
    } & DeadEntry)
  | ({
      /** An entry was moved to the dead letters. */
      readonly type: "deadLettered";
      /** Why. */
      readonly error: Error;
      /** Key of the dead letters; `null` where it was dropped. */
      readonly deadLetter: string | null;
    } & DeadEntry)
  | ({
      /** An entry could not be settled as it should be: it stays pending and comes back. */
      readonly type: "unsettled";
      /** What the server said. */
      readonly error: Error;
    } & DeadEntry)
  | {
      /** Entries were silent for longer than their lease: this process was stopped, or its event loop blocked. */
      readonly type: "leaseExpired";
      /** Key of their stream. */
      readonly stream: string;
      /** Their ids. */
      readonly ids: readonly string[];
      /** Those of them that another worker has taken meanwhile. */
      readonly lost: readonly string[];
    }
  | {
      /** Entries were taken up: their retry delay or another worker's lease was over. */
      readonly type: "reclaimed";
      /** Key of their stream. */
      readonly stream: string;
      /** Their ids. */
      readonly ids: readonly string[];
      /** Ids that were pending but deleted from the stream; they are pending no more. */
      readonly deleted: readonly string[];
    };

/** The options of a worker, checked and with their defaults. */
export interface WorkerSettings<T> {
  readonly concurrency: number;
  readonly prefetch: number;
  /** Whether the prefetch may grow with the pace of the handlers. */
  readonly isAdaptive: boolean;
  readonly batch: { readonly size: number; readonly wait: number } | null;
  readonly orderBy: ((message: GroupMessage<T>) => unknown) | null;
  readonly lease: number;
  readonly timeout: number | null;
  readonly retry: RetrySchedule;
  readonly deadLetter: string | false | DeadLetterFunction | null;
  readonly ack: AckPolicy;
  readonly drain: number;
  readonly block: number;
  readonly from: string | null;
  readonly signal: AbortSignal | null;
  readonly stopOn: readonly NodeJS.Signals[];
}

/** Names of the options, to refuse a misspelt one. */
const OPTIONS: readonly (keyof WorkerOptions)[] = [
  ...(["concurrency", "prefetch", "batch", "orderBy", "lease", "timeout", "retry", "deadLetter"] as const),
  ...(["ack", "drain", "block", "from", "signal", "stopOn"] as const),
];
const ACKS: readonly AckPolicy[] = ["success", "always", "first", "manual"];

/** Check a worker's options at the door. */
export function workerSettings<T>(options: WorkerOptions<T>): WorkerSettings<T> {
  assertOptions("worker", options, OPTIONS);
  const { concurrency = 1, prefetch, orderBy, timeout, retry, deadLetter, ack = "success", from } = options;
  const { lease = 30_000, drain = 15_000, block = 5000, signal, stopOn = false } = options;
  assertInteger("concurrency", concurrency, 1);
  assertOptionalInteger("prefetch", prefetch, 1);
  const batch = batchOf(options.batch);
  if (orderBy !== undefined && typeof orderBy !== "function")
    throw new InvalidArgumentError("orderBy", "a function that gives a message's key", orderBy);
  if (orderBy !== undefined && batch !== null)
    throw new InvalidArgumentError("orderBy", "absent where batch is given", orderBy);
  if (!ACKS.includes(ack)) throw new InvalidArgumentError("ack", `among ${ACKS.join(", ")}`, ack);
  if (typeof deadLetter === "string") assertName("deadLetter", deadLetter);
  else if (deadLetter !== undefined && deadLetter !== false && typeof deadLetter !== "function")
    throw new InvalidArgumentError("deadLetter", "a key, false or a function", deadLetter);
  assertSignal(signal);
  return {
    concurrency,
    prefetch: prefetch ?? Math.max(2 * concurrency, batch?.size ?? 0),
    isAdaptive: prefetch === undefined && batch === null,
    batch,
    orderBy: orderBy ?? null,
    lease: atLeast("lease", lease, 10),
    timeout: timeout === undefined ? null : byTimer("timeout", atLeast("timeout", timeout, 1)),
    retry: retrySchedule(retry),
    deadLetter: deadLetter ?? null,
    ack,
    drain: byTimer("drain", toMilliseconds("drain", drain)),
    block: atLeast("block", block, 1),
    from: from === undefined ? null : fromOf(from),
    signal: signal ?? null,
    stopOn: signalsOf(stopOn),
  };
}

/** Dead letters are not to be handled again; and in a cluster a script's keys are in one slot, so theirs is their stream's. */
export function assertDeadLetter(
  client: Pick<Client, "isCluster" | "sharesSlot">,
  keys: readonly string[],
  deadLetter: WorkerSettings<never>["deadLetter"],
): void {
  if (typeof deadLetter === "string" && keys.includes(deadLetter))
    throw new InvalidArgumentError("deadLetter", "none of the streams that are read", deadLetter);
  if (!client.isCluster || deadLetter === false || typeof deadLetter === "function") return;
  for (const key of keys) {
    const dead = deadLetter ?? deadLetterKey(key);
    if (!client.sharesSlot(key, dead))
      throw new InvalidArgumentError("deadLetter", `a key in the slot of ${JSON.stringify(key)}`, dead);
  }
}

function batchOf(batch: BatchOptions | undefined): { size: number; wait: number } | null {
  if (batch === undefined) return null;
  if (batch === null) throw new InvalidArgumentError("batch", "{ size, wait }", batch);
  assertOptions("batch", batch, ["size", "wait"]);
  assertInteger("batch.size", batch.size, 1);
  const { size, wait = 0 } = batch;
  return { size, wait: byTimer("batch.wait", toMilliseconds("batch.wait", wait)) };
}

function fromOf(from: From): string {
  try {
    return positionOf(from);
  } catch (cause) {
    throw new InvalidArgumentError("from", `"earliest", "latest", an id or a Date`, from, { cause });
  }
}

/** Signals that a process can listen to. */
function signalsOf(stopOn: boolean | readonly NodeJS.Signals[]): readonly NodeJS.Signals[] {
  if (typeof stopOn === "boolean") return stopOn ? ["SIGINT", "SIGTERM"] : [];
  if (!Array.isArray(stopOn)) throw new InvalidArgumentError("stopOn", "true or a list of signals", stopOn);
  for (const name of stopOn)
    if (!Object.hasOwn(constants.signals, name) || name === "SIGKILL" || name === "SIGSTOP")
      throw new InvalidArgumentError("stopOn", "of signals that can be listened to", name);
  return [...stopOn];
}

/** Milliseconds that a timer can wait. */
function byTimer(name: string, ms: number): number {
  if (ms > LONGEST_TIMER)
    throw new InvalidArgumentError(name, `at most ${LONGEST_TIMER} ms, which is 24.8 days`, ms);
  return ms;
}

/** Milliseconds that are at least so many. */
function atLeast(name: string, time: Time, least: number): number {
  const ms = toMilliseconds(name, time);
  if (ms < least) throw new InvalidArgumentError(name, `at least ${least} ms`, time);
  return ms;
}
