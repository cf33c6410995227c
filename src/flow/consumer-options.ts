import type { Time } from "../ground/duration.ts";
import type { NoSuchGroupError } from "../ground/errors.ts";
import type { From } from "./source.ts";

/** Options of a consumer. */
export interface ConsumerOptions {
  /** Where streams begin, for all or by key; not for groups, which have a cursor. @defaultValue `"latest"` */
  readonly from?: From | Readonly<Record<string, From>> | undefined;
  /** Most messages held for a stream. @defaultValue 100 */
  readonly buffer?: number | undefined;
  /**
   * Milliseconds or a `Duration` to wait for a message where none is held, counted from the call; 0 waits for ever.
   * @defaultValue not at all
   */
  readonly block?: Time | undefined;
  /** Never end: wait for ever, and go on after every fault that may pass. @defaultValue false */
  readonly follow?: boolean | undefined;
  /** Read a group's entries without making them pending. @defaultValue false */
  readonly noAck?: boolean | undefined;
  /** Make the group where it is missing when the consumer opens. @defaultValue true */
  readonly autoCreate?: boolean | undefined;
  /** Make the group again where it goes missing later. @defaultValue as `autoCreate` */
  readonly recreate?: boolean | undefined;
  /** Begin with this consumer's own pending entries. @defaultValue false */
  readonly backlog?: boolean | undefined;
  /** Closes the consumer; a waiting read rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What a consumer tells by {@link Consumer.status}. */
export type ConsumerEvent =
  | {
      /** A connection was lost, or the server refuses in a way that passes; it is tried again. */
      readonly type: "disconnected";
      /** What it failed with. */
      readonly error: Error;
    }
  | {
      /** Reads succeed again. */
      readonly type: "reconnected";
    }
  | {
      /** The group is gone: destroyed, or its stream was deleted or the server flushed. */
      readonly type: "groupMissing";
      /** What the server said. */
      readonly error: NoSuchGroupError;
      /** The keys that were read. */
      readonly streams: readonly string[];
    }
  | {
      /** The group was made again, from where it began. */
      readonly type: "groupRecreated";
      /** The keys on which it was made. */
      readonly streams: readonly string[];
    }
  | {
      /** The buffers were full for a while: who takes the messages is slower than the streams. */
      readonly type: "slow";
      /** The keys whose buffers were full. */
      readonly streams: readonly string[];
      /** For how many milliseconds. */
      readonly heldFor: number;
    };

/** Names of the options, to refuse a misspelt one. */
export const OPTIONS: readonly string[] = [
  "from",
  "buffer",
  "block",
  "follow",
  "noAck",
  "autoCreate",
  "recreate",
  "backlog",
  "signal",
];
