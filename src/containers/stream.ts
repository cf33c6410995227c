import type { RedisLike } from "../connection/driver.ts";
import { assertEntrySize } from "../connection/entry-size.ts";
import { read } from "../connection/reader.ts";
import { assertName, assertOptionalBoolean, assertOptionalInteger, assertOptions } from "../ground/assert.ts";
import { type Picture, printable, showable, shownList } from "../ground/display.ts";
import type { Time } from "../ground/duration.ts";
import { DecodeError, InvalidArgumentError, type ReplyErrorOptions } from "../ground/errors.ts";
import { legible } from "../ground/table.ts";
import {
  type Codec,
  type InputOf,
  Payload,
  type PayloadOptions,
  type SchemaOptions,
  type TextRecord,
} from "../wire/codec.ts";
import { compareIds, type IdLike, toId } from "../wire/id.ts";
import { Message } from "../wire/message.ts";
import { MessageList, type MessageMaker } from "../wire/message-list.ts";
import type { Argument } from "../wire/resp.ts";
import { type AddManyOptions, addMany } from "./batch.ts";
import { Container } from "./container.ts";
import {
  type ConsumerInfo,
  type FullStreamInfo,
  factsOf,
  type GroupInfo,
  parseConsumerInfo,
  parseFullGroup,
  parseGroupInfo,
  parseStreamInfo,
  type StreamInfo,
} from "./info.ts";
import { entryPages } from "./pages.ts";
import { glanceAt, Range, type RangeQuery, rangeQuery } from "./range.ts";
import { afterId, type Reading, type ReadOptions, readPlan } from "./read.ts";
import { momentBefore, TRIM, type TrimOptions, trimArguments } from "./trim.ts";

/** Options of {@link Stream.add}. */
export interface AddOptions extends TrimOptions {
  /** The entry's id; a `Date` gives `<ms>-*`, so that two of one millisecond both fit. @defaultValue `"*"` */
  readonly id?: IdLike | undefined;
  /** Do not make the stream; the result is then `null` where there is none. @defaultValue false */
  readonly noMkStream?: boolean | undefined;
  /** What travels beside the data. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

let reach: (stream: Stream<unknown, never>) => Reading<Message<unknown>>;

/** How to read a stream. */
export function streamReading<T>(stream: Stream<T, never>): Reading<Message<T>> {
  return reach(stream) as Reading<Message<T>>;
}

/**
 * One stream as a container.
 *
 * @typeParam T - The payload as it is read; fields and texts, where no codec and no schema say otherwise.
 * @typeParam I - The payload as it is added; wider than `T` where the codec or schema takes more.
 * @example
 * ```ts
 * import { Database, Stream } from "walrus-streams";
 *
 * await using db = new Database();
 * const orders = db.Stream("orders"); // the same as: new Stream(db, "orders")
 * const id = await orders.add({ sku: "a-1", total: 7 });
 * console.log(await orders.length(), (await orders.get(id))?.data.sku);
 * console.log(orders instanceof Stream);
 * ```
 * @see https://redis.io/docs/latest/develop/data-types/streams/
 */
export class Stream<T = TextRecord, I = InputOf<T>> extends Container {
  static {
    reach = ({ key, client, payload }) => ({
      client,
      keys: [key],
      group: null,
      list: (of) =>
        new MessageList(of, payload as Payload<unknown, never>, (...entry) => new Message(of, ...entry)),
    });
  }

  /** How its payloads are written and read. */
  protected readonly payload: Payload<T, I>;

  /** A stream whose payloads a schema judges and types; nothing is sent. */
  constructor(redis: RedisLike, key: string, options: SchemaOptions<T, I>);
  /** A stream of a database; nothing is sent. */
  constructor(redis: RedisLike, key: string, options?: PayloadOptions<T, I>);
  constructor(redis: RedisLike, key: string, options: PayloadOptions<T, I> | SchemaOptions<T, I> = {}) {
    super(redis, key);
    assertOptions("stream", options, ["codec", "schema"]);
    this.payload = new Payload<T, I>(options.codec as Codec<unknown, unknown> | undefined, options.schema);
  }

  /**
   * Append an entry. Sends `XADD`.
   *
   * @returns the id the entry got.
   * @throws InvalidArgumentError for data that the codec or schema refuses, or that is too large, before anything is sent.
   * @throws WrongTypeError where the key holds something else.
   * @throws ReplyError where the id is not after the stream's last one.
   * @throws ConnectionLostError when it is unknown whether the entry was added; it is not sent again.
   * @see https://redis.io/docs/latest/commands/xadd/
   */
  add(data: I, options: AddOptions & { readonly noMkStream: true }): Promise<string | null>;
  /** Append an entry. Sends `XADD`. */
  add(data: I, options?: AddOptions): Promise<string>;
  async add(data: I, options: AddOptions = {}): Promise<string | null> {
    assertOptions("add", options, ["id", "noMkStream", "headers", ...TRIM]);
    const { id = "*", noMkStream, headers } = options;
    assertOptionalBoolean("noMkStream", noMkStream);
    const args: Argument[] = [this.key];
    if (noMkStream) args.push("NOMKSTREAM");
    args.push(...trimArguments(options), toId(id, "add"));
    const encoded = this.payload.encode(data, headers);
    const fields = encoded instanceof Promise ? await encoded : encoded;
    assertEntrySize(fields, this.client.maxEntrySize);
    for (const field of fields) args.push(typeof field === "string" ? field : asBuffer(field));
    return (await this.client.command("xadd", args, this.facts())) as string | null;
  }

  /**
   * Append many entries, in order, 1,000 a round trip over a wire; the next batch is made while one is under way.
   *
   * A batch is checked whole before it is sent; batches before it are stored by then.
   *
   * @param values - Any iterable or async iterable; it is never held whole.
   * @returns the ids, in order; `[]` for no values.
   * @throws InvalidArgumentError for a value that is refused (`data`, with its index in the text).
   * @throws ReplyError where the server refuses an entry; ConnectionLostError (with the `ids` known to be stored)
   * where it is unknown whether the last batch was stored.
   */
  addMany<V extends I>(
    values: Iterable<V> | AsyncIterable<V>,
    options: AddManyOptions<V> = {},
  ): Promise<string[]> {
    return addMany(this.client, this.key, this.payload, values, options);
  }

  /** The entry of that id; `null` where there is none. Sends `XRANGE`. */
  async get(id: IdLike): Promise<Message<T> | null> {
    const exact = toId(id, "exact");
    return this.#one("xrange", [exact, exact]);
  }

  /** Whether there is an entry of that id. Sends `XRANGE`. */
  async has(id: IdLike): Promise<boolean> {
    const exact = toId(id, "exact");
    const reply = await this.client.commandBuffer(
      "xrange",
      [this.key, exact, exact, "COUNT", 1],
      this.facts(),
    );
    return (reply as unknown[]).length > 0;
  }

  /** The first entry; `null` where the stream is empty. Sends `XRANGE`. */
  first(): Promise<Message<T> | null> {
    return this.#one("xrange", ["-", "+"]);
  }

  /** The last entry; `null` where the stream is empty. Sends `XREVRANGE`. */
  last(): Promise<Message<T> | null> {
    return this.#one("xrevrange", ["+", "-"]);
  }

  /**
   * A part of the stream, read when it is asked for. Sends `XRANGE`, 1,000 entries a page, over a wire.
   *
   * @param start - First id; a `Date` or number is the whole millisecond, `"(1-1"` excludes it. Default: the first.
   * @param stop - Last id, likewise, included. Default: the last.
   * @param count - Most entries. Default: all.
   * @returns a {@link Range}: in id order, empty where `stop` is before `start`.
   * @throws InvalidArgumentError for a bound that is no id, at once; DecodeError while reading, for an entry that
   * the codec or schema refuses, after those before it.
   */
  range(start?: IdLike, stop?: IdLike, count?: number): Range<Message<T>> {
    return new Range(rangeQuery(start, stop, count), (query) => this.#pages(query), this.key);
  }

  /** The whole stream, entry by entry, as {@link Stream.range} reads it. */
  [Symbol.asyncIterator](): AsyncIterator<Message<T>> {
    return this.range()[Symbol.asyncIterator]();
  }

  /**
   * Entries after an id, waiting for one where there is none. Sends `XREAD` over a wire of its own.
   *
   * A long wait is cut into slices of 5 s, and a lost connection is made anew meanwhile.
   *
   * @returns the messages, `[]` where none came within `block`.
   * @throws ConnectionLostError when the server stays away; DecodeError for an entry that is refused; the signal's
   * reason.
   * @see https://redis.io/docs/latest/commands/xread/
   */
  async read(options: ReadOptions = {}): Promise<Message<T>[]> {
    assertOptions("read", options, ["count", "block", "lastId", "signal"]);
    const { lastId = "0-0" } = options;
    const after = new Map([[this.key, afterId(lastId)]]);
    const list = () => this.list((id, data, headers) => new Message(this.key, id, data, headers));
    const messages = await read(this.client, { after, list, ...readPlan(options) });
    return shownList(messages.get(this.key) ?? [], `Read from ${this.key}`);
  }

  /** Delete entries. Sends `XDEL`; gives how many were there. */
  async delete(...ids: IdLike[]): Promise<number> {
    if (ids.length === 0) return 0;
    const exact = ids.map((id) => toId(id, "exact"));
    return Number(await this.client.command("xdel", [this.key, ...exact], this.facts()));
  }

  /** Number of entries; 0 where there is no stream. Sends `XLEN`. */
  async length(): Promise<number> {
    return Number(await this.client.command("xlen", [this.key], this.facts()));
  }

  /**
   * Drop old entries. Sends `XTRIM`.
   *
   * Approximate by default, as in walrus: the server drops whole nodes (100 entries as it is configured by default)
   * only, so a short stream may keep all. Say `approximate: false` to be exact.
   *
   * @param bound - How many to keep, or `{ maxlen }`, `{ minid }`, or `{ olderThan }` (a time before now, by the
   * server's clock, or a `Date`).
   * @returns how many were dropped.
   */
  async trim(
    bound: number | (TrimOptions & { readonly olderThan?: Time | Date | undefined }),
  ): Promise<number> {
    const options = typeof bound === "number" ? { maxlen: bound } : (bound ?? {});
    assertOptions("trim", options, ["olderThan", ...TRIM]);
    const { olderThan, ...rest } = options as TrimOptions & { readonly olderThan?: Time | Date | undefined };
    const given = [options.maxlen, options.minid, olderThan].filter((one) => one !== undefined);
    if (given.length !== 1)
      throw new InvalidArgumentError("trim", "one of maxlen, minid and olderThan", given.length);
    const minid = olderThan === undefined ? {} : { minid: await this.#before(olderThan) };
    return Number(
      await this.client.command("xtrim", [this.key, ...trimArguments({ ...rest, ...minid })], this.facts()),
    );
  }

  /** Set the last id the stream has given out; it must not be before its last entry. Sends `XSETID`. */
  async setId(id: IdLike): Promise<void> {
    const last = toId(id, "after");
    if (/^[$>+]$/.test(last)) throw new InvalidArgumentError("id", "an id such as 1-1", id);
    await this.client.command("xsetid", [this.key, last], this.facts());
  }

  /**
   * What the server knows of the stream. Sends `XINFO STREAM`.
   *
   * @throws NoSuchStreamError where there is none.
   */
  info(options?: { readonly full?: false | undefined }): Promise<StreamInfo<T>>;
  /** The same with entries, groups, consumers and pending entries (`count` of each, 10 by default, 0 is all). */
  info(options: { readonly full: true; readonly count?: number | undefined }): Promise<FullStreamInfo<T>>;
  async info(
    options: { readonly full?: boolean | undefined; readonly count?: number | undefined } = {},
  ): Promise<StreamInfo<T> | FullStreamInfo<T>> {
    assertOptions("info", options, ["full", "count"]);
    const { full = false, count } = options;
    assertOptionalBoolean("full", full);
    assertOptionalInteger("count", count);
    const args = full
      ? ["STREAM", this.key, "FULL", ...(count === undefined ? [] : ["COUNT", count])]
      : ["STREAM", this.key];
    const facts = factsOf(await this.client.commandBuffer("xinfo", args, this.facts()));
    const shared = parseStreamInfo(facts);
    if (full) {
      const entries = await this.entries(facts["entries"]);
      return { ...shared, entries, groups: (facts["groups"] as unknown[]).map(parseFullGroup) };
    }
    const [firstEntry = null] = await this.entries([facts["first-entry"]]);
    const [lastEntry = null] = await this.entries([facts["last-entry"]]);
    return { ...shared, groups: Number(facts["groups"]), firstEntry, lastEntry };
  }

  /** The stream's consumer groups. Sends `XINFO GROUPS`. Throws {@link NoSuchStreamError} where there is no stream. */
  async groupsInfo(): Promise<GroupInfo[]> {
    return ((await this.client.command("xinfo", ["GROUPS", this.key], this.facts())) as unknown[]).map(
      parseGroupInfo,
    );
  }

  /**
   * A group's consumers. Sends `XINFO CONSUMERS`.
   *
   * @throws NoSuchGroupError where there is no such group, NoSuchStreamError where there is no stream.
   */
  async consumersInfo(group: string): Promise<ConsumerInfo[]> {
    assertName("group", group);
    const reply = await this.client.command("xinfo", ["CONSUMERS", this.key, group], {
      ...this.facts(),
      group,
    });
    return (reply as unknown[]).map(parseConsumerInfo);
  }

  /** A list for messages of this stream. */
  protected list<M>(make: MessageMaker<T, M>): MessageList<T, M> {
    return new MessageList(this.key, this.payload as Payload<T, never>, make);
  }

  /** Messages of entries that came over the shared connection, as bytes; what is deleted (null) is left out. */
  protected async entries(reply: unknown): Promise<Message<T>[]>;
  protected async entries<M>(reply: unknown, make: MessageMaker<T, M>): Promise<M[]>;
  protected async entries(
    reply: unknown,
    make: MessageMaker<T, unknown> = (id, data, headers) => new Message(this.key, id, data, headers),
  ): Promise<unknown[]> {
    const list = this.list(make);
    for (const entry of reply as readonly (readonly [Buffer, readonly Buffer[] | null] | null)[]) {
      const fields = entry?.[1];
      if (!fields) continue;
      const raw = fields.flatMap((name, i) =>
        i % 2 === 0 ? [{ name: name.toString(), value: fields[i + 1]! }] : [],
      );
      list.fields(entry[0].toString(), raw);
    }
    return list.messages();
  }

  /** Facts for an error. */
  protected facts(): ReplyErrorOptions {
    return { stream: this.key };
  }

  async #one(command: string, bounds: readonly string[]): Promise<Message<T> | null> {
    const reply = await this.client.commandBuffer(command, [this.key, ...bounds, "COUNT", 1], this.facts());
    const [message = null] = await this.entries(reply);
    return message;
  }

  async *#pages(query: RangeQuery): AsyncGenerator<Message<T>[]> {
    const list = () => this.list((id, data, headers) => new Message(this.key, id, data, headers));
    for await (const page of entryPages(this.client, this.key, query, list, this.facts())) {
      let messages: Message<T>[];
      try {
        const decoded = page.messages();
        messages = decoded instanceof Promise ? await decoded : decoded;
      } catch (error) {
        if (error instanceof DecodeError) {
          const sign = query.isReverse ? -1 : 1;
          const before = (error.decoded as Message<T>[]).filter(
            (message) => sign * compareIds(message, error) < 0,
          );
          if (before.length > 0) yield before;
        }
        throw error;
      }
      if (messages.length > 0) yield messages;
    }
  }

  /** The id before which entries are older than a time. */
  async #before(olderThan: Time | Date): Promise<string> {
    return `${await momentBefore(this.client, olderThan)}-0`;
  }
}

printable(Stream, (stream) => `<${stream.constructor.name} ${legible(stream.key)}>`);
showable(Stream, streamPicture);

/** What a notebook shows of a stream: how long it is, and both its ends. */
export function streamPicture(stream: Stream<unknown, never>): Promise<Picture> {
  return glanceAt(`Stream ${stream.key}`, stream);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
