import type { GroupMessage } from "../../wire/message.ts";
import type { Call } from "./handler.ts";

/** A message that a worker holds, from its read until the server knows what became of it. */
export class Task<T> {
  /** The message. */
  readonly message: GroupMessage<T>;
  /** When its lease began, by `performance.now()`. */
  since: number;
  /**
   * Whether workers died of it, or beside it, and more than half of its deliveries are gone: a worker holds one of its
   * kind at a time.
   */
  isSuspect = false;
  /** Whether it is not this worker's any more. */
  isGone = false;
  /** Whether the server knows what became of it. */
  isSettled = false;
  /** The call of the handler, once it has begun. */
  call: Call | null = null;
  /** The chain of messages with its key, where they are kept in order. */
  chain: Chain<T> | null = null;

  /** Held since `since`. */
  constructor(message: GroupMessage<T>, since: number) {
    this.message = message;
    this.since = since;
  }
}

/** Messages of one key, which run one after another. */
export interface Chain<T> {
  /** What the messages have in common. */
  readonly key: unknown;
  /** Those that wait for their turn. */
  readonly waiting: Task<T>[];
  /** The message that waits for its retry, and keeps the others waiting; `null` while one runs. */
  retrying: GroupMessage<T> | null;
  /** Until when that is waited for, by `performance.now()`: another worker may have it. */
  until: number;
}
