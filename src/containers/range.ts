import { assertInteger } from "../ground/assert.ts";
import { printable } from "../ground/display.ts";
import { type IdLike, toId } from "../wire/id.ts";

/** How many items a page holds. */
export const PAGE = 1000;

/**
 * A list that is read when it is asked for: `await` gives all of it as an array, `for await` reads page by page.
 *
 * Each `await` and each loop reads anew. It is a thenable, so an `async` function that returns one gives the array.
 */
export class LazyList<T> implements AsyncIterable<T>, PromiseLike<T[]> {
  readonly #pages: () => AsyncIterable<T[]>;

  /** `pages` starts a new read; its pages are not empty. */
  constructor(pages: () => AsyncIterable<T[]>) {
    this.#pages = pages;
  }

  /** Page by page, as arrays of up to 1,000 that are never empty. */
  pages(): AsyncIterable<T[]> {
    return this.#pages();
  }

  /** Item by item; never more than two pages are held. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator(this.#pages()[Symbol.asyncIterator]());
  }

  /** What `await` calls: all items as one array, `[]` where there are none. */
  // biome-ignore format: one signature, as PromiseLike has it
  then<A = T[], B = never>(resolve?: ((items: T[]) => A | PromiseLike<A>) | null, reject?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<A | B> {
    return this.#all().then(resolve, reject);
  }

  /** As of a promise. */
  catch<B = never>(reject: (reason: unknown) => B | PromiseLike<B>): Promise<T[] | B> {
    return this.#all().catch(reject);
  }

  /** As of a promise. */
  finally(done: () => void): Promise<T[]> {
    return this.#all().finally(done);
  }

  async #all(): Promise<T[]> {
    const all: T[] = [];
    for await (const page of this.#pages()) for (const item of page) all.push(item);
    return all;
  }
}

/** Items of pages; an own iterator, since an async generator costs twice as much an item. */
class ItemIterator<T> implements AsyncIterator<T> {
  readonly #pages: AsyncIterator<T[]>;
  #page: T[] = [];
  #next = 0;

  constructor(pages: AsyncIterator<T[]>) {
    this.#pages = pages;
  }

  next(): Promise<IteratorResult<T>> {
    if (this.#next < this.#page.length) {
      return Promise.resolve({ done: false, value: this.#page[this.#next++]! });
    }
    return this.#turn();
  }

  async return(): Promise<IteratorResult<T>> {
    this.#page = [];
    await this.#pages.return?.();
    return { done: true, value: undefined };
  }

  async #turn(): Promise<IteratorResult<T>> {
    const page = await this.#pages.next();
    if (page.done) return { done: true, value: undefined };
    this.#page = page.value;
    this.#next = 1;
    return { done: false, value: page.value[0]! };
  }
}

/** What a range is asked for, ids as Redis takes them. */
export interface RangeQuery {
  /** First id of the range, or `-`. */
  readonly start: string;
  /** Last id of the range, or `+`. */
  readonly stop: string;
  /** Most items; `Infinity` for all. */
  readonly count: number;
  /** From the end. */
  readonly isReverse: boolean;
}

/** Check a range's bounds and make the query. */
export function rangeQuery(
  start: IdLike | undefined,
  stop: IdLike | undefined,
  count: number | undefined,
): RangeQuery {
  if (count !== undefined) assertInteger("count", count);
  return {
    start: start === undefined ? "-" : toId(start, "start"),
    stop: stop === undefined ? "+" : toId(stop, "stop"),
    count: count ?? Number.POSITIVE_INFINITY,
    isReverse: false,
  };
}

/**
 * A part of a stream, in the order of its ids; a {@link LazyList}.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const log = db.Stream("log");
 * const firstTen = await log.range(undefined, undefined, 10);
 * for await (const m of log.range(new Date(2018, 0, 2)).reverse()) console.log(m.id, firstTen.length);
 * ```
 */
export class Range<M> extends LazyList<M> {
  readonly #query: RangeQuery;
  readonly #read: (query: RangeQuery) => AsyncIterable<M[]>;

  /** `read` gives the pages of a query. */
  constructor(query: RangeQuery, read: (query: RangeQuery) => AsyncIterable<M[]>) {
    super(() => read(query));
    this.#query = query;
    this.#read = read;
  }

  /** The same range from its other end: `count` then counts from there. Reads by `XREVRANGE`. */
  reverse(): Range<M> {
    return new Range({ ...this.#query, isReverse: !this.#query.isReverse }, this.#read);
  }

  /** Say what would be read. */
  describe(): string {
    const { start, stop, count, isReverse } = this.#query;
    return `${start} .. ${stop}${count === Number.POSITIVE_INFINITY ? "" : `, at most ${count}`}${isReverse ? ", reversed" : ""}`;
  }
}

printable(Range, (range) => `<Range ${range.describe()}>`);
