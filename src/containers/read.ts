import { assertInteger, assertSignal } from "../ground/assert.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import { type IdLike, toId } from "../wire/id.ts";

/** Options of {@link Stream.read}. */
export interface ReadOptions {
  /** Most entries. @defaultValue all */
  readonly count?: number;
  /** Milliseconds or a `Duration` to wait for an entry; 0 waits for ever. @defaultValue not at all */
  readonly block?: Time;
  /** Read entries after this one; `"$"` is the last one there is now. @defaultValue `"0-0"` */
  readonly lastId?: IdLike;
  /** Ends the wait: the promise rejects with its reason, unless an entry arrived first. */
  readonly signal?: AbortSignal;
}

/** Options of a read through a group. */
export interface GroupReadOptions extends ReadOptions {
  /** Do not make the entries pending: a lost reply or a crash loses them. @defaultValue false */
  readonly noAck?: boolean;
  /** `">"` for new entries; any id for this consumer's own pending entries after it. @defaultValue `">"` */
  readonly lastId?: IdLike;
}

/** The id after which a read goes on. */
export function afterId(id: IdLike): string {
  const after = toId(id, "after");
  if (after === "+") throw new InvalidArgumentError("lastId", "an id such as 1-1, 1 or $", id);
  return after;
}

/** Check what all reads share. */
export function readPlan(options: ReadOptions): {
  count: number | undefined;
  block: number | undefined;
  signal: AbortSignal | undefined;
} {
  const { count, block, signal } = options;
  if (count !== undefined) assertInteger("count", count, 1);
  assertSignal(signal);
  return { count, block: block === undefined ? undefined : toMilliseconds("block", block), signal };
}

/** The position of a group read: `>`, or an id. */
export function groupId(id: IdLike): string {
  const after = toId(id, "after");
  if (after === "+" || after === "$") throw new InvalidArgumentError("lastId", "> or an id such as 1-1", id);
  return after;
}
