import { HandlerTimeoutError } from "../../ground/errors.ts";
import { isThenable } from "../../ground/thenable.ts";
import { errorOf } from "../../ground/thrown.ts";
import type { GroupMessage } from "../../wire/message.ts";

/** What a handler is given beside the message. */
export interface HandlerContext {
  /**
   * Aborted when nobody waits for the handler any more: it is past its `timeout` (`HandlerTimeoutError`), the entry's
   * lease is lost (`LeaseLostError`), or the worker stops and the time to drain is over (`ClosedError`).
   */
  readonly signal: AbortSignal;
}

/** Handles one message: what it returns is awaited, what it throws counts as failed. */
export type Handler<T> = (message: GroupMessage<T>, context: HandlerContext) => unknown;

/** What a batch handler may return: nothing where all are done, or the messages or ids that are. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that returns nothing is the usual one
export type BatchResult<T> = void | undefined | Iterable<GroupMessage<T> | string>;

/** Handles many messages at once. */
export type BatchHandler<T> = (
  messages: GroupMessage<T>[],
  context: HandlerContext,
) => BatchResult<T> | Promise<BatchResult<T>>;

/** Told once how a call ended: with a result, or with an error where that is not `null`. */
export type Ending = (error: Error | null, result: unknown) => void;

/**
 * One call of a handler: its timeout, its signal, and its end, which is told once.
 *
 * What is rarely used is made only when it is asked for: a signal costs more than the call of a short handler.
 */
export class Call implements HandlerContext {
  readonly #ending: Ending;
  #controller: AbortController | null = null;
  #aborted: { readonly reason: Error } | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Whether it has ended. */
  isEnded = false;

  /** @param ending - Told how it ends. */
  constructor(ending: Ending) {
    this.#ending = ending;
  }

  /** Aborted when nobody waits for the handler any more. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#aborted !== null) this.#controller.abort(this.#aborted.reason);
    }
    return this.#controller.signal;
  }

  /**
   * Call the handler; one that returns no promise has ended when this returns. Where it is aborted already the handler is
   * not called: that is its end.
   */
  run<I>(handler: (input: I, context: HandlerContext) => unknown, input: I, timeout: number | null): void {
    if (this.#aborted !== null) {
      this.#end(this.#aborted.reason, undefined);
      return;
    }
    let result: unknown;
    let isWaiting: boolean;
    try {
      result = handler(input, this);
      // Reading `then` of what a handler returns may throw, too.
      isWaiting = isThenable(result);
    } catch (thrown) {
      this.#end(errorOf(thrown), undefined);
      return;
    }
    if (!isWaiting) {
      this.#end(null, result);
      return;
    }
    if (timeout !== null) {
      this.#timer = setTimeout(() => {
        const error = new HandlerTimeoutError(timeout);
        this.abort(error);
        this.#end(error, undefined);
      }, timeout);
    }
    // A promise stays what it is; any other thenable may throw, settle twice or give another one.
    Promise.resolve(result).then(
      (value) => this.#end(null, value),
      (thrown) => this.#end(errorOf(thrown), undefined),
    );
  }

  /** Abort its signal. */
  abort(reason: Error): void {
    if (this.#aborted !== null) return;
    this.#aborted = { reason };
    this.#controller?.abort(reason);
  }

  #end(error: Error | null, result: unknown): void {
    if (this.isEnded) return;
    this.isEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#ending(error, result);
  }
}
