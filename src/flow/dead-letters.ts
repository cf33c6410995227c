import type { RedisLike } from "../connection/driver.ts";
import { redrive } from "../connection/scripts.ts";
import { Container } from "../containers/container.ts";
import { entryPages } from "../containers/pages.ts";
import { glanceAt, Range, type RangeQuery, rangeQuery } from "../containers/range.ts";
import { momentBefore } from "../containers/trim.ts";
import { assertInteger, assertName, assertOptionalBoolean, assertOptions } from "../ground/assert.ts";
import { printable, showable } from "../ground/display.ts";
import type { Time } from "../ground/duration.ts";
import { ConnectionLostError, InvalidArgumentError, ReplyError, replyError } from "../ground/errors.ts";
import { legible } from "../ground/table.ts";
import {
  type Codec,
  Payload,
  type PayloadOptions,
  type SchemaOptions,
  type TextRecord,
} from "../wire/codec.ts";
import { type IdLike, toId } from "../wire/id.ts";
import {
  type DeadLetter,
  type Death,
  decoded,
  REDRIVE_GROUP,
  REDRIVES,
  redrivesOf,
  type StoredLetter,
  storedLetters,
  storedList,
} from "./dead-letter.ts";

/** Which dead letters: by their own ids, not those they had in their stream. */
export interface DeadLetterSelection {
  /** First id; a `Date` or number is the whole millisecond, `"(1-1"` excludes it. @defaultValue the first */
  readonly start?: IdLike | undefined;
  /** Last id, likewise, included. @defaultValue the last one there is when it begins */
  readonly stop?: IdLike | undefined;
  /** Most letters that are moved or removed, the oldest first. @defaultValue all */
  readonly count?: number | undefined;
}

/** Options of {@link DeadLetters.redrive}. */
export interface RedriveOptions extends DeadLetterSelection {
  /** Key of the stream to move them to; in a cluster of the same slot. @defaultValue where each came from */
  readonly to?: string | undefined;
  /** Only count what would be moved. @defaultValue false */
  readonly dryRun?: boolean | undefined;
  /** A letter that was moved back so often already stays, so that poison does not go round for ever. @defaultValue 10 */
  readonly maxRedrives?: number | undefined;
}

/** Options of {@link DeadLetters.purge}. */
export interface PurgeOptions extends DeadLetterSelection {
  /** Only those that died so long ago, by the server's clock, or before a `Date`. @defaultValue all of them */
  readonly olderThan?: Time | Date | undefined;
}

/** One of which is known where it came from. */
type Died = StoredLetter & { readonly death: Death };

/** How many letters are on their way at once. */
const IN_FLIGHT = 100;
const SELECTION: readonly string[] = ["start", "stop", "count"];

/**
 * The dead letters of a stream: the entries that a worker gave up or a handler rejected. They are listed, moved back and
 * removed here.
 *
 * They are a stream beside their own, `{orders}:dead` for `orders` ({@link deadLetterKey}). Entries that did not get there
 * by a worker or `reject` are listed but never moved or removed, so a key given by mistake does no harm.
 *
 * @typeParam T - The payload, as the codec and schema of its stream give it.
 * @example
 * ```ts
 * import { Database, DeadLetters, deadLetterKey } from "walrus-streams";
 *
 * await using db = new Database();
 * const dead = new DeadLetters(db, deadLetterKey("orders"));
 * for await (const letter of dead) console.log(letter.origin?.id, letter.error?.message, letter.data);
 * const moved = await dead.redrive({ stop: new Date() }); // back to "orders"
 * const removed = await dead.purge({ olderThan: { months: 1 } });
 * console.log(moved, removed, await dead.length());
 * ```
 */
export class DeadLetters<T = TextRecord> extends Container {
  readonly #payload: Payload<T, never>;

  /** Dead letters whose payloads a schema judges and types; nothing is sent. */
  constructor(redis: RedisLike, key: string, options: SchemaOptions<T, unknown>);
  /**
   * The dead letters under a key, the dead-letter stream's own; nothing is sent.
   *
   * @throws InvalidArgumentError for a key or an option that cannot be used.
   */
  constructor(redis: RedisLike, key: string, options?: PayloadOptions<T, never>);
  constructor(
    redis: RedisLike,
    key: string,
    options: PayloadOptions<T, never> | SchemaOptions<T, unknown> = {},
  ) {
    super(redis, key);
    assertOptions("dead letters", options, ["codec", "schema"]);
    this.#payload = new Payload<T, never>(
      options.codec as Codec<unknown, unknown> | undefined,
      options.schema as SchemaOptions<T, never>["schema"] | undefined,
    );
  }

  /** Number of entries; 0 where there is no stream. Sends `XLEN`. */
  async length(): Promise<number> {
    return Number(await this.client.command("xlen", [this.key], { stream: this.key }));
  }

  /**
   * The dead letter of that id, its own and not the one it had in its stream. Sends `XRANGE`.
   *
   * @returns `null` where there is none.
   */
  async get(id: IdLike): Promise<DeadLetter<T> | null> {
    const exact = toId(id, "exact");
    const [letter = null] = await this.range(exact, exact, 1);
    return letter;
  }

  /**
   * Dead letters, oldest first, read when they are asked for. Sends `XRANGE`, 1,000 entries a page, over a wire.
   *
   * What does not decode is given too, with `data: null` and a `decodeError`.
   *
   * @param start - First id; a `Date` or number is the whole millisecond, `"(1-1"` excludes it. Default: the first.
   * @param stop - Last id, likewise, included. Default: the last.
   * @param count - Most letters. Default: all.
   * @returns a {@link Range}: `await` gives an array, `for await` pages, `.reverse()` is newest first.
   * @throws InvalidArgumentError for a bound that is no id, at once; WrongTypeError while reading, where the key holds
   * something else.
   */
  range(start?: IdLike, stop?: IdLike, count?: number): Range<DeadLetter<T>> {
    return new Range(rangeQuery(start, stop, count), (query) => this.#letters(query), this.key);
  }

  /** All dead letters, one by one, as {@link DeadLetters.range} reads them. */
  [Symbol.asyncIterator](): AsyncIterator<DeadLetter<T>> {
    return this.range()[Symbol.asyncIterator]();
  }

  /**
   * Move dead letters back to the streams they came from, or to another, oldest first: each by one script, so that it is
   * in one of both at any time, and two who do this at once move each letter once.
   *
   * Only letters that are there when it begins are moved: one that dies again meanwhile is not. The entry gets a new id,
   * keeps its fields and headers, and one more in its header `redrives`. Its header `redrive-group` names the group that
   * gave it up: workers of other groups skip it. It is left out with `to`. A stream that is gone is made anew.
   *
   * @returns how many were moved, with `dryRun` how many would be. After a lost connection it may be less than the truth,
   * never more.
   * @throws InvalidArgumentError for `to`, before anything is sent, where it is this key or of another slot of a cluster;
   * while moving, where a letter's own stream is of another slot.
   * @throws WrongTypeError where a letter's stream is something else now, and ConnectionLostError: that letter stays,
   * what was moved before is moved: `ids` of the error holds the new ids.
   * @example
   * ```ts
   * import { Database, DeadLetters } from "walrus-streams";
   *
   * await using db = new Database();
   * const dead = new DeadLetters(db, "{orders}:dead");
   * console.log(await dead.redrive({ dryRun: true }), "letters would be moved");
   * await dead.redrive({ count: 10 }); // try ten first
   * await dead.redrive({ to: "{orders}:review", start: new Date(2026, 0, 1) });
   * ```
   */
  async redrive(options: RedriveOptions = {}): Promise<number> {
    assertOptions("redrive", options, [...SELECTION, "to", "dryRun", "maxRedrives"]);
    const { to, dryRun = false, maxRedrives = 10 } = options;
    assertOptionalBoolean("dryRun", dryRun);
    assertInteger("maxRedrives", maxRedrives, 1);
    if (to !== undefined) this.#assertTarget(to);
    const { start, stop, count } = options;
    const query = rangeQuery(start, stop, count);
    const moved: string[] = [];
    try {
      for await (const page of this.#died(query, ({ headers }) => redrivesOf(headers) < maxRedrives)) {
        // Those that another moved meanwhile do not count, so as many more are taken.
        for (let at = 0; at < page.length && moved.length < query.count; ) {
          const some = page.slice(at, at + Math.min(IN_FLIGHT, query.count - moved.length));
          at += some.length;
          if (to === undefined) this.#assertInReach(some);
          if (dryRun) moved.push(...some.map(({ id }) => id));
          else await this.#move(some, to, moved);
        }
        if (moved.length === query.count) break;
      }
    } catch (error) {
      throw withIds(error, moved);
    }
    return moved.length;
  }

  /**
   * Remove dead letters for good, oldest first. Sends `XDEL`, 1,000 at a time; what dies meanwhile stays.
   *
   * @returns how many were removed.
   * @throws InvalidArgumentError for an option that cannot be used, before anything is sent; WrongTypeError where the key
   * holds something else.
   * @example
   * ```ts
   * import { Database, DeadLetters } from "walrus-streams";
   *
   * await using db = new Database();
   * const removed = await new DeadLetters(db, "{orders}:dead").purge({ olderThan: { days: 30 } });
   * console.log(removed);
   * ```
   */
  async purge(options: PurgeOptions = {}): Promise<number> {
    assertOptions("purge", options, [...SELECTION, "olderThan"]);
    const { start, stop, count, olderThan } = options;
    const query = rangeQuery(start, stop, count);
    const moment = olderThan === undefined ? null : await momentBefore(this.client, olderThan);
    const isOld = ({ death }: Died) => moment === null || death.time.getTime() < moment;
    let removed = 0;
    for await (const page of this.#died(query, isOld)) {
      for (let at = 0; at < page.length && removed < query.count; ) {
        const ids = page.slice(at, at + query.count - removed).map(({ id }) => id);
        at += ids.length;
        removed += Number(await this.client.command("xdel", [this.key, ...ids], { stream: this.key }));
      }
      if (removed === query.count) break;
    }
    return removed;
  }

  /** Entries as they are stored, page by page. */
  async *#stored(query: RangeQuery): AsyncGenerator<StoredLetter[]> {
    const list = () => storedList(this.key);
    for await (const page of entryPages(this.client, this.key, query, list, { stream: this.key })) {
      if (page.count > 0) yield await storedLetters(page);
    }
  }

  async *#letters(query: RangeQuery): AsyncGenerator<DeadLetter<T>[]> {
    for await (const page of this.#stored(query))
      yield await Promise.all(page.map((stored) => decoded(this.key, this.#payload, stored)));
  }

  /** Those that a worker put there, of the range as it is now and whatever its count, that hold. */
  async *#died(query: RangeQuery, holds: (letter: Died) => boolean): AsyncGenerator<Died[]> {
    if (query.count === 0) return;
    const newest = [this.key, query.stop, query.start, "COUNT", 1];
    const [last] = (await this.client.command("xrevrange", newest, { stream: this.key })) as [string][];
    if (last === undefined) return;
    for await (const page of this.#stored({ ...query, stop: last[0], count: Number.POSITIVE_INFINITY }))
      yield page.filter((letter): letter is Died => letter.death !== null && holds(letter as Died));
  }

  /** Move letters at once; the new ids go to `moved`, also where one of them cannot be moved. */
  async #move(letters: readonly Died[], to: string | undefined, moved: string[]): Promise<void> {
    const outcomes = await Promise.allSettled(
      letters.map(({ id, headers, death: { origin } }) => {
        const { [REDRIVE_GROUP]: _, ...rest } = headers;
        const added = { ...rest, [REDRIVES]: String(redrivesOf(headers) + 1) };
        const next = to === undefined ? { ...added, [REDRIVE_GROUP]: origin.group } : added;
        const target = to ?? origin.stream;
        const keys = [this.key, target];
        return this.client.script(redrive, keys, [id, JSON.stringify(next)], { stream: target });
      }),
    );
    for (const outcome of outcomes)
      if (outcome.status === "fulfilled" && outcome.value !== null) moved.push(outcome.value as string);
    const refusal = outcomes.find((outcome) => outcome.status === "rejected");
    if (refusal !== undefined) throw refusal.reason;
  }

  #assertTarget(to: string): void {
    assertName("to", to);
    if (to === this.key) throw new InvalidArgumentError("to", "another key than the dead letters' own", to);
    if (!this.client.sharesSlot(this.key, to))
      throw new InvalidArgumentError("to", `a key in the slot of ${this.key}`, to);
  }

  /** Where letters are to go back, one script must reach both streams. */
  #assertInReach(letters: readonly Died[]): void {
    const far = letters.find(({ death }) => !this.client.sharesSlot(this.key, death.origin.stream));
    if (far === undefined) return;
    const rule = `given, a key in the slot of ${this.key}, where the stream of a letter is not`;
    throw new InvalidArgumentError("to", rule, far.death.origin.stream);
  }
}

printable(DeadLetters, (letters) => `<DeadLetters ${legible(letters.key)}>`);
showable(DeadLetters, (letters) => glanceAt(`Dead letters ${letters.key}`, letters));

/** The same error, with the ids that were given before it. */
function withIds(error: unknown, ids: readonly string[]): unknown {
  if (error instanceof ConnectionLostError)
    return new ConnectionLostError(error.message, { cause: error, ids, isSent: error.isSent });
  if (!(error instanceof ReplyError)) return error;
  const { command, stream } = error;
  return replyError(error.message, {
    ...{ cause: error, ids },
    ...{ command: command ?? undefined, stream: stream ?? undefined },
  });
}
