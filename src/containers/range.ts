import { assertInteger } from "../ground/assert.ts";
import { type Picture, printable, showable, shown, tableOf } from "../ground/display.ts";
import { counted, legible, ROWS_AT_END } from "../ground/table.ts";
import { type IdLike, toId } from "../wire/id.ts";

/** How many items a page holds. */
export const PAGE = 1000;

/**
 * A list that is read when it is asked for: `await` gives all of it as an array, `for await` reads page by page.
 *
 * Each `await` and each loop reads anew. It is a thenable, so an `async` function that returns one gives the array.
 */
export class LazyList<T> implements AsyncIterable<T>, PromiseLike<T[]> {
  static {
    showable(LazyList, (list) => list.glance(2 * ROWS_AT_END));
  }

  readonly #pages: (most: number) => AsyncIterable<T[]>;
  readonly #caption: string;

  /**
   * `pages` starts a new read; its pages are not empty, and it may end after `most` items. `caption` stands above its table
   * in a notebook.
   */
  constructor(pages: (most: number) => AsyncIterable<T[]>, caption = "List") {
    this.#pages = pages;
    this.#caption = caption;
  }

  /** What it is a list of. */
  protected get caption(): string {
    return this.#caption;
  }

  /** Page by page, as arrays of up to 1,000 that are never empty. */
  pages(): AsyncIterable<T[]> {
    return this.#pages(Number.POSITIVE_INFINITY);
  }

  /** Item by item; never more than two pages are held. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    return new ItemIterator(this.pages()[Symbol.asyncIterator]());
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
    for await (const page of this.pages()) for (const item of page) all.push(item);
    return shown(all, () => this.picture(all));
  }

  /** What a notebook shows of the list as it is now: no more of it is read than that. */
  protected async glance(most: number): Promise<Picture> {
    const first: T[] = [];
    for await (const page of this.#pages(most + 1)) {
      first.push(...page.slice(0, most + 1 - first.length));
      if (first.length > most) break;
    }
    return first.length <= most ? this.picture(first) : this.beginning(first.slice(0, most));
  }

  /** What is shown of all items. */
  protected picture(items: readonly T[]): Picture {
    return { tables: [tableOf(`${this.caption}: ${counted(items.length)}`, items)] };
  }

  /** What is shown where these are only the first. */
  protected beginning(first: readonly T[]): Picture | Promise<Picture> {
    return { tables: [tableOf(this.caption, first, { at: first.length, text: "more, not read" })] };
  }
}

/** Items of pages; an own iterator, since an async generator makes more promises for each. */
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

/** Bounds that are those of a whole millisecond: a caption has the millisecond, which means the same and can be read. */
const WHOLE_FROM = /^(\d+)-0$/;
const WHOLE_TO = /^(\d+)-18446744073709551615$/;

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
  readonly #of: string;

  /** `read` gives the pages of a query; `of` is what it is a range of. */
  constructor(query: RangeQuery, read: (query: RangeQuery) => AsyncIterable<M[]>, of = "") {
    super((most) => read({ ...query, count: Math.min(query.count, most) }));
    this.#query = query;
    this.#read = read;
    this.#of = of;
  }

  /** The same range from its other end: `count` then counts from there. Reads by `XREVRANGE`. */
  reverse(): Range<M> {
    return new Range({ ...this.#query, isReverse: !this.#query.isReverse }, this.#read, this.#of);
  }

  /** Say what would be read. */
  describe(): string {
    return described(this.#query, this.#of);
  }

  /** Made when it is shown: most ranges are read and never looked at. */
  protected override get caption(): string {
    const { start, stop } = this.#query;
    const bounds = { start: start.replace(WHOLE_FROM, "$1"), stop: stop.replace(WHOLE_TO, "$1") };
    return `Range ${described({ ...this.#query, ...bounds }, this.#of)}`;
  }

  /** The last ones are read from the other end; where there is a `count`, the last ones of it cannot. */
  protected override async beginning(first: readonly M[]): Promise<Picture> {
    const { count, isReverse } = this.#query;
    if (count !== Number.POSITIVE_INFINITY) return super.beginning(first);
    const last: M[] = [];
    const end = this.#read({ ...this.#query, isReverse: !isReverse, count: ROWS_AT_END });
    for await (const page of end) last.unshift(...page.toReversed());
    const items = [...first.slice(0, ROWS_AT_END), ...last];
    return { tables: [tableOf(this.caption, items, { at: ROWS_AT_END, text: "more" })] };
  }
}

printable(Range, (range) => `<Range ${legible(range.describe())}>`);

function described({ start, stop, count, isReverse }: RangeQuery, of: string): string {
  const limits = `${count === Number.POSITIVE_INFINITY ? "" : `, at most ${count}`}${isReverse ? ", reversed" : ""}`;
  return `${of === "" ? "" : `${of} `}${start} .. ${stop}${limits}`;
}

/** What a notebook shows of something that knows its length: how long it is, and both its ends. */
export async function glanceAt<M>(
  name: string,
  source: {
    length(): Promise<number>;
    range(start: undefined, stop: undefined, count: number): Range<M>;
  },
): Promise<Picture> {
  const length = await source.length();
  const caption = `${name}: ${counted(length)} ${length === 1 ? "entry" : "entries"}`;
  const hidden = length - 2 * ROWS_AT_END;
  if (hidden <= 0)
    return { tables: [tableOf(caption, await source.range(undefined, undefined, 2 * ROWS_AT_END))] };
  const end = source.range(undefined, undefined, ROWS_AT_END);
  const [first, last] = await Promise.all([end, end.reverse()]);
  const gap = { at: ROWS_AT_END, text: `${counted(hidden)} more` };
  return { tables: [tableOf(caption, [...first, ...last.reverse()], gap)] };
}
