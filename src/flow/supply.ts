import { iterate } from "../containers/batch.ts";

const END: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** The values of one call, from which nothing more is taken once it is cut; those that are all there already are. */
export class Supply<V> implements AsyncIterator<V> {
  readonly #iterator: Iterator<V> | AsyncIterator<V>;
  readonly #isFinite: boolean;
  #isCut = false;
  #isDone = false;
  /** Ends the wait for a value. */
  #release: () => void = () => {};

  /** Values of any iterable; throws InvalidArgumentError for what is none. */
  constructor(values: Iterable<V> | AsyncIterable<V>) {
    this.#iterator = iterate(values);
    const { length, size } = values as { length?: unknown; size?: unknown };
    this.#isFinite = typeof (length ?? size) === "number";
  }

  /** Whether it ended before its source did. */
  get isCut(): boolean {
    return this.#isCut;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next value: at once where the source is a plain iterable, as `addMany` takes it. */
  next(): Promise<IteratorResult<V>> {
    return this.step() as Promise<IteratorResult<V>>;
  }

  /** The next value; a promise only where the source gives one. */
  step(): IteratorResult<V> | Promise<IteratorResult<V>> {
    if (this.#isCut) return END;
    const next = this.#iterator.next();
    if (!("then" in next)) return this.#seen(next);
    return new Promise((resolve, reject) => {
      this.#release = () => resolve(END);
      next.then((step) => resolve(this.#seen(step)), reject);
    });
  }

  /** Let the source clean up. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    await this.#iterator.return?.();
    return END;
  }

  /** Take nothing more, unless all is there already; a source that is waited for is not waited for any more. */
  cut(): void {
    if (this.#isFinite || this.#isDone || this.#isCut) return;
    this.#isCut = true;
    this.#release();
    this.return().catch(() => {});
  }

  #seen(step: IteratorResult<V>): IteratorResult<V> {
    this.#isDone = step.done === true;
    return step;
  }
}
