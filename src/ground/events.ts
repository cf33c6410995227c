/** Most events kept for a listener that does not fetch them; the oldest are dropped. */
const KEPT = 1000;

/** Events for any number of listeners, each an async iterable of what happens from now on. */
export class Events<E> {
  readonly #listeners = new Set<Listener<E>>();
  #isClosed = false;

  /** Tell all listeners; the event is made only where there is one. */
  emit(make: () => E): void {
    if (this.#listeners.size === 0) return;
    const event = make();
    for (const listener of this.#listeners) listener.push(event);
  }

  /** Listen from now on; the iteration ends at `close`, and by `return` (`break`) for itself. */
  listen(): AsyncIterableIterator<E> {
    const listener = new Listener<E>((gone) => this.#listeners.delete(gone));
    if (this.#isClosed) listener.end();
    else this.#listeners.add(listener);
    return listener;
  }

  /** End all iterations once their events are fetched. */
  close(): void {
    this.#isClosed = true;
    for (const listener of this.#listeners) listener.end();
    this.#listeners.clear();
  }
}

class Listener<E> implements AsyncIterableIterator<E> {
  readonly #onGone: (listener: Listener<E>) => void;
  readonly #events: E[] = [];
  readonly #waiting: ((result: IteratorResult<E>) => void)[] = [];
  #isEnded = false;

  constructor(onGone: (listener: Listener<E>) => void) {
    this.#onGone = onGone;
  }

  push(event: E): void {
    const waiter = this.#waiting.shift();
    if (waiter) waiter({ done: false, value: event });
    else if (this.#events.push(event) > KEPT) this.#events.shift();
  }

  end(): void {
    this.#isEnded = true;
    for (const waiter of this.#waiting.splice(0)) waiter({ done: true, value: undefined });
  }

  async next(): Promise<IteratorResult<E>> {
    if (this.#events.length > 0) return { done: false, value: this.#events.shift()! };
    if (this.#isEnded) return { done: true, value: undefined };
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  async return(): Promise<IteratorResult<E>> {
    this.#onGone(this);
    this.end();
    this.#events.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
