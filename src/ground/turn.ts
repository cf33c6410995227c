/**
 * Sends what comes in one turn of the event loop together.
 *
 * By `setImmediate`, since a microtask ends before the next item of a `for await`: a batch would be one command each.
 */
export class Turn<T, R> {
  readonly #send: (items: readonly T[]) => Promise<R>;
  #items: T[] = [];
  #sent: Promise<R> | null = null;

  /** @param send - Called once for each turn in which something came. */
  constructor(send: (items: readonly T[]) => Promise<R>) {
    this.#send = send;
  }

  /** Send an item with all others of this turn; all of them get the same promise. */
  add(item: T): Promise<R> {
    this.#items.push(item);
    this.#sent ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        const items = this.#items;
        this.#items = [];
        this.#sent = null;
        this.#send(items).then(resolve, reject);
      });
    });
    return this.#sent;
  }
}
