/** What is held of one key. */
interface Held<T> {
  readonly key: string;
  items: T[];
  /** Index of the next to take. */
  next: number;
}

/** Items of many keys, taken from the keys in turn, so that a busy one does not starve the rest. */
export class Buffers<T> {
  readonly #byKey = new Map<string, Held<T>>();
  /** Those that hold something, in the order in which they are taken from. */
  readonly #turn: Held<T>[] = [];
  /** The result of `take`, used again for each: it is read at once. */
  readonly #taken: { key: string; item: T | undefined } = { key: "", item: undefined };

  /** Whether nothing is held. */
  get isEmpty(): boolean {
    return this.#turn.length === 0;
  }

  /** How many items of a key are held. */
  count(key: string): number {
    const held = this.#byKey.get(key);
    return held === undefined ? 0 : held.items.length - held.next;
  }

  /** Hold items of a key, behind those that are held. */
  put(key: string, items: T[]): void {
    let held = this.#byKey.get(key);
    if (held === undefined) {
      held = { key, items: [], next: 0 };
      this.#byKey.set(key, held);
    }
    if (held.next === held.items.length) {
      held.items = items;
      this.#turn.push(held);
    } else {
      held.items = held.items.slice(held.next).concat(items);
    }
    held.next = 0;
  }

  /** Take the next item, or `null` where nothing is held; the result is valid until the next call. */
  take(): { readonly key: string; readonly item: T } | null {
    const held = this.#turn[0];
    if (held === undefined) return null;
    this.#taken.key = held.key;
    this.#taken.item = held.items[held.next++];
    if (held.next === held.items.length) {
      this.#turn.shift();
      held.items = [];
      held.next = 0;
    } else if (this.#turn.length > 1) {
      this.#turn.push(this.#turn.shift()!);
    }
    return this.#taken as { key: string; item: T };
  }

  /** Forget what is held of a key. */
  drop(key: string): void {
    const held = this.#byKey.get(key);
    if (held === undefined) return;
    this.#byKey.delete(key);
    const at = this.#turn.indexOf(held);
    if (at >= 0) this.#turn.splice(at, 1);
  }
}
