import type { Tally } from "./payload.ts";
import { sizeOf } from "./peers/peer.ts";

/** The fields of a message. */
export type Data = Readonly<Record<string, string>>;
/** What a worker does with the fields of each message. */
export type Handle = (data: Data) => void | Promise<void>;

const PATIENCE = 60_000;

/** Handlers that count the messages which they are given, and say when they have seen all of them. */
export class Handling {
  /** Returns nothing. */
  readonly handle: (data: Data) => void;
  /** Is done with a message after a timer of one millisecond. */
  readonly handleIn1Ms: (data: Data) => Promise<void>;
  /** Counts one message, for a handler of one's own. */
  readonly count: () => void;
  /** What the handlers have seen so far. */
  readonly seen: () => Tally;
  /** Settles when all have been handled; rejects when that takes too long. */
  readonly finished: Promise<void>;
  #isFinished = false;

  /**
   * Starts to wait.
   *
   * @param total - for how many messages
   * @param patience - for how long, in milliseconds
   */
  constructor(total: number, patience: number = PATIENCE) {
    let messages = 0;
    let characters = 0;
    const { promise, resolve, reject } = settleable();
    this.finished = promise;
    const timer = setTimeout(() => {
      this.#isFinished = true;
      reject(new Error(`${messages} of ${total} messages were handled within ${patience} ms`));
    }, patience).unref();
    const count = (): void => {
      if (++messages !== total) return;
      clearTimeout(timer);
      this.#isFinished = true;
      resolve();
    };
    const handle = (data: Data): void => {
      characters += sizeOf(data);
      count();
    };
    this.count = count;
    this.handle = handle;
    this.handleIn1Ms = async (data) => {
      await new Promise((done) => setTimeout(done, 1));
      handle(data);
    };
    this.seen = () => ({ messages, characters });
  }

  /** Whether {@link finished} is settled. */
  get isFinished(): boolean {
    return this.#isFinished;
  }
}

/** A promise with its ends; a rejection that nobody waits for is no fault of its own. */
function settleable(): {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
} {
  let resolve = (): void => {};
  let reject = (_: Error): void => {};
  const promise = new Promise<void>((...ends) => {
    [resolve, reject] = ends;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}
