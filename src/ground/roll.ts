/**
 * The living objects of a kind, in this process; none is kept alive by being listed.
 */
export class Roll<T extends object> {
  readonly #members = new Set<WeakRef<T>>();
  readonly #references = new WeakMap<T, WeakRef<T>>();
  readonly #gone = new FinalizationRegistry<WeakRef<T>>((reference) => this.#members.delete(reference));

  /** List it until it is removed, or nobody else holds it. */
  add(member: T): void {
    if (this.#references.has(member)) return;
    const reference = new WeakRef(member);
    this.#references.set(member, reference);
    this.#members.add(reference);
    this.#gone.register(member, reference);
  }

  /** List it no more. */
  remove(member: T): void {
    const reference = this.#references.get(member);
    if (reference === undefined) return;
    this.#references.delete(member);
    this.#members.delete(reference);
  }

  /** Those that are listed, in the order in which they were added. */
  all(): T[] {
    return [...this.#members].flatMap((reference) => reference.deref() ?? []);
  }
}
