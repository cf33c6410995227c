import type { Client } from "../connection/client.ts";
import type { ReadingGroup } from "../connection/reader.ts";
import { assertInteger, assertOptionalBoolean, assertOptions, assertSignal } from "../ground/assert.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import { type IdLike, toId } from "../wire/id.ts";
import type { Delivery } from "../wire/message.ts";
import type { MessageList } from "../wire/message-list.ts";

/** Options of {@link Stream.read}. */
export interface ReadOptions {
  /** Most entries. @defaultValue all */
  readonly count?: number | undefined;
  /** Milliseconds or a `Duration` to wait for an entry; 0 waits for ever. @defaultValue not at all */
  readonly block?: Time | undefined;
  /**
   * Read entries after this one. `"$"` is the last one there is when the server is asked, so an entry that is added
   * meanwhile may be before it: give the id of the last entry you know where that matters. @defaultValue `"0-0"`
   */
  readonly lastId?: IdLike | undefined;
  /** Ends the wait: the promise rejects with its reason, unless an entry arrived first. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a read through a group. */
export interface GroupReadOptions extends ReadOptions {
  /** Do not make the entries pending: a lost reply or a crash loses them. @defaultValue false */
  readonly noAck?: boolean | undefined;
  /** `">"` for new entries; any id for this consumer's own pending ones after it, at once. @defaultValue `">"` */
  readonly lastId?: IdLike | undefined;
}

/** The id after which a read goes on. */
export function afterId(id: IdLike): string {
  const after = toId(id, "after");
  if (after === "+" || after === ">") throw new InvalidArgumentError("id", "an id such as 1-1, 1 or $", id);
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
  return {
    count,
    block: block === undefined ? undefined : patience(block),
    // Many reads may share a signal, and many listeners on one make Node.js warn.
    signal: signal && AbortSignal.any([signal]),
  };
}

/** Milliseconds of a wait: less than one is one, since 0 would be for ever. */
export function patience(block: Time): number {
  const ms = toMilliseconds("block", block);
  const isForever = typeof block === "number" ? block === 0 : Object.values(block).every((part) => !part);
  return isForever ? 0 : Math.max(1, ms);
}

/** Check what all reads through a group share. */
export function groupPlan(options: GroupReadOptions): ReturnType<typeof readPlan> & {
  lastId: string;
  noAck: boolean | undefined;
} {
  assertOptions("read", options, ["count", "block", "lastId", "signal", "noAck"]);
  const { lastId = ">", noAck } = options;
  assertOptionalBoolean("noAck", noAck);
  const plan = { ...readPlan(options), lastId: groupId(lastId), noAck };
  // The server never blocks where a consumer asks for what it holds already.
  return plan.lastId === ">" ? plan : { ...plan, block: undefined };
}

/** The position of a group read: `>`, or an id. */
function groupId(id: IdLike): string {
  const after = toId(id, "after");
  if (after === "+" || after === "$") throw new InvalidArgumentError("id", "> or an id such as 1-1", id);
  return after;
}

/** What a consumer needs of a container. */
export interface Reading<M> {
  /** The connection. */
  readonly client: Client;
  /** Keys to read. */
  readonly keys: readonly string[];
  /** Through which group, and where it begins on a key. */
  readonly group: (ReadingGroup & { readonly startOf: (key: string) => string }) | null;
  /**
   * A list for messages of a key, also of one that is not among `keys`; throws where that cannot be read. A group's are
   * settled through `delivery`, and have the delivery counts by id, 1 where there is none.
   */
  readonly list: (
    key: string,
    delivery?: Delivery,
    counts?: ReadonlyMap<string, number>,
  ) => MessageList<unknown, M>;
  /** The same messages of a group's backlog, with the delivery counts that the server has. */
  counted?(key: string, messages: readonly M[]): Promise<M[]>;
}
