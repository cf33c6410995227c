import type { RedisLike } from "../connection/driver.ts";
import { type ReadingGroup, read } from "../connection/reader.ts";
import { assertInteger, assertName, assertOptionalBoolean, assertOptions } from "../ground/assert.ts";
import { showable, shownList } from "../ground/display.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { InvalidArgumentError, RejectError, type ReplyErrorOptions } from "../ground/errors.ts";
import type { InputOf, PayloadOptions, SchemaOptions, TextRecord } from "../wire/codec.ts";
import { compareIds, type IdLike, toId } from "../wire/id.ts";
import { type Delivery, GroupMessage, Message, markSettled } from "../wire/message.ts";
import type { MessageMaker } from "../wire/message-list.ts";
import { deadLetterKey } from "./beside.ts";
import { Deliveries } from "./deliveries.ts";
import { groupTable } from "./group-table.ts";
import type { ConsumerInfo } from "./info.ts";
import {
  type PendingEntry,
  type PendingOptions,
  type PendingSummary,
  pendingEntries,
  pendingSummary,
} from "./pending.ts";
import type { LazyList } from "./range.ts";
import { afterId, type GroupReadOptions, groupPlan, type Reading } from "./read.ts";
import { Stream, streamPicture } from "./stream.ts";

/** Options of {@link GroupStream.claim}. */
export interface ClaimOptions {
  /** Only what was delivered at least so long ago. @defaultValue 0 */
  readonly minIdle?: Time | undefined;
  /** Who takes them. @defaultValue the group's consumer */
  readonly consumer?: string | undefined;
  /** Give ids only, and leave the delivery counts alone. @defaultValue false */
  readonly justId?: boolean | undefined;
}

/** Options of {@link GroupStream.autoclaim}. */
export interface AutoclaimOptions extends ClaimOptions {
  /** Where to begin: `"0-0"`, or the last answer's `next`. @defaultValue `"0-0"` */
  readonly start?: IdLike | undefined;
  /** Most entries. @defaultValue 100, the server's own */
  readonly count?: number | undefined;
}

/** What {@link GroupStream.autoclaim} gives. */
export interface Autoclaimed<M> {
  /** Where the next call begins; `"0-0"` when all have been looked at. */
  readonly next: string;
  /** What was taken over: messages, or ids with `justId`. */
  readonly messages: M[];
  /** Ids that were pending but deleted from the stream; they are pending no more. */
  readonly deleted: string[];
}

/** Who reads: a group and one of its consumers. */
export interface Membership {
  /** Name of the group. */
  readonly group: string;
  /** Name of the consumer. */
  readonly consumer: string;
  /** Last ids this consumer was given, where its group keeps them. @internal */
  readonly seen?: Map<string, string>;
}

let reach: (stream: GroupStream<unknown, never>) => Reading<GroupMessage<unknown>>;

/** How to read a stream through its group. */
export function groupStreamReading<T>(stream: GroupStream<T, never>): Reading<GroupMessage<T>> {
  return reach(stream) as Reading<GroupMessage<T>>;
}

/**
 * A stream as one consumer of a group sees it: a {@link Stream} with pending entries.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const orders = db.consumerGroup("billing", ["orders"]).orders;
 * for await (const entry of orders.pending({ idle: { minutes: 1 } })) {
 *   const [message] = await orders.claim([entry], { minIdle: { minutes: 1 } });
 *   await message?.ack();
 * }
 * ```
 */
export class GroupStream<T = TextRecord, I = InputOf<T>> extends Stream<T, I> {
  static {
    reach = (stream) => ({
      client: stream.client,
      keys: [stream.key],
      group: { ...stream.#reading, startOf: () => "0-0" },
      list: (key, delivery, counts) => {
        if (key === stream.key) return stream.deliveredList(delivery, counts);
        throw new InvalidArgumentError("key", `${stream.key}; other streams are read through the group`, key);
      },
      counted: (_, messages) => stream.counted(messages),
    });
  }

  /** Name of the group. */
  readonly group: string;
  /** Name of the consumer. */
  readonly consumer: string;
  /** What the reader knows of this consumer; shared with its group. */
  readonly #reading: ReadingGroup;
  readonly #deliveries: Deliveries;
  readonly #delivery: Delivery;

  /** A stream seen by a group's consumer whose payloads a schema judges; nothing is sent. */
  constructor(redis: RedisLike, key: string, member: Membership, options: SchemaOptions<T, I>);
  /** A stream seen by a group's consumer; nothing is sent. */
  constructor(redis: RedisLike, key: string, member: Membership, options?: PayloadOptions<T, I>);
  constructor(
    redis: RedisLike,
    key: string,
    member: Membership,
    options: PayloadOptions<T, I> | SchemaOptions<T, I> = {},
  ) {
    super(redis, key, options as PayloadOptions<T, I>);
    assertName("group", member.group);
    assertName("consumer", member.consumer);
    this.group = member.group;
    this.consumer = member.consumer;
    this.#reading = { name: member.group, consumer: member.consumer, seen: member.seen ?? new Map() };
    this.#deliveries = new Deliveries(this.client, key, member.group, member.consumer);
    this.#delivery = this.#deliveryTo(member.consumer, this.#deliveries);
  }

  /**
   * Acknowledge entries: they are pending no more. Sends `XACK`.
   *
   * @returns how many were pending.
   */
  async ack(...ids: IdLike[]): Promise<number> {
    if (ids.length === 0) return 0;
    return this.#deliveries.ackNow(ids.map((id) => (id instanceof Message ? id.id : toId(id, "exact"))));
  }

  /**
   * The pending entries, read when they are asked for: all of them, 1,000 a page. Sends `XPENDING`.
   *
   * @returns a {@link LazyList} in id order.
   * @throws NoSuchGroupError where the group is missing.
   */
  pending(options: PendingOptions = {}): LazyList<PendingEntry> {
    return pendingEntries(this.client, this.key, this.group, options);
  }

  /** How much is pending and with whom. Sends `XPENDING`. Throws {@link NoSuchGroupError}. */
  pendingSummary(): Promise<PendingSummary> {
    return pendingSummary(this.client, this.key, this.group);
  }

  /**
   * Take pending entries over. Sends `XCLAIM`; each counts one delivery more, unless `justId`.
   *
   * @param ids - Ids, messages or pending entries.
   * @returns the messages that were taken, in the order of `ids`; not those that are no longer pending, not idle
   * enough, or deleted.
   * @see https://redis.io/docs/latest/commands/xclaim/
   */
  claim(ids: Iterable<IdLike>, options: ClaimOptions & { readonly justId: true }): Promise<string[]>;
  /** Take pending entries over. Sends `XCLAIM`. */
  claim(
    ids: Iterable<IdLike>,
    options?: ClaimOptions & { readonly justId?: false },
  ): Promise<GroupMessage<T>[]>;
  async claim(ids: Iterable<IdLike>, options: ClaimOptions = {}): Promise<string[] | GroupMessage<T>[]> {
    assertOptions("claim", options, ["minIdle", "consumer", "justId"]);
    const { minIdle = 0, consumer = this.consumer, justId = false } = options;
    assertName("consumer", consumer);
    assertOptionalBoolean("justId", justId);
    if (ids === null || typeof ids !== "object" || !(Symbol.iterator in ids)) {
      throw new InvalidArgumentError("ids", "a list of ids", ids);
    }
    const exact = [...ids].map((id) => toId(id, "exact"));
    const idle = toMilliseconds("minIdle", minIdle);
    if (exact.length === 0) return [];
    const args = [this.key, this.group, consumer, idle, ...exact];
    if (justId) return (await this.client.command("xclaim", [...args, "JUSTID"], this.facts())) as string[];
    return this.#delivered(await this.client.commandBuffer("xclaim", args, this.facts()), consumer);
  }

  /**
   * Take over what others have left pending, from `start` on. Sends `XAUTOCLAIM`.
   *
   * @see https://redis.io/docs/latest/commands/xautoclaim/
   */
  autoclaim(options: AutoclaimOptions & { readonly justId: true }): Promise<Autoclaimed<string>>;
  /** Take over what others have left pending. Sends `XAUTOCLAIM`. */
  autoclaim(options?: AutoclaimOptions & { readonly justId?: false }): Promise<Autoclaimed<GroupMessage<T>>>;
  async autoclaim(
    options: AutoclaimOptions = {},
  ): Promise<Autoclaimed<string> | Autoclaimed<GroupMessage<T>>> {
    assertOptions("autoclaim", options, ["minIdle", "consumer", "justId", "start", "count"]);
    const { minIdle = 0, consumer = this.consumer, justId = false, start = "0-0", count } = options;
    assertName("consumer", consumer);
    assertOptionalBoolean("justId", justId);
    if (count !== undefined) assertInteger("count", count, 1);
    const args = [this.key, this.group, consumer, toMilliseconds("minIdle", minIdle), toId(start, "start")];
    if (count !== undefined) args.push("COUNT", count);
    if (justId) args.push("JUSTID");
    type Reply = [next: Buffer, entries: unknown[], deleted?: Buffer[]];
    const reply = (await this.client.commandBuffer("xautoclaim", args, this.facts())) as Reply;
    const [next, entries, deleted = []] = reply;
    const rest = { next: String(next), deleted: deleted.map(String) };
    if (justId) return { ...rest, messages: entries.map(String) };
    return { ...rest, messages: await this.#delivered(entries, consumer) };
  }

  /**
   * Entries as this group's consumer: new ones, waiting where there is none. Sends `XREADGROUP` over a wire.
   *
   * Where a reply is lost with its connection, its messages are looked up among the pending entries and given.
   *
   * @throws NoSuchGroupError where the group is missing.
   * @see https://redis.io/docs/latest/commands/xreadgroup/
   */
  override async read(options: GroupReadOptions = {}): Promise<GroupMessage<T>[]> {
    const { lastId, ...plan } = groupPlan(options);
    const after = new Map([[this.key, lastId]]);
    const list = () => this.deliveredList();
    const messages = await read(this.client, { after, list, group: this.#reading, ...plan });
    const own = messages.get(this.key) ?? [];
    return shownList(
      lastId === ">" ? own : await this.counted(own),
      `Read from ${this.key} by ${this.group}`,
    );
  }

  /** Set the group's cursor on this stream: what comes after it is new. Sends `XGROUP SETID`. */
  override async setId(id: IdLike = "$"): Promise<void> {
    await this.client.command("xgroup", ["SETID", this.key, this.group, afterId(id)], this.facts());
    this.#reading.seen.delete(this.key);
  }

  /**
   * Remove a consumer from the group on this stream. Sends `XGROUP DELCONSUMER`.
   *
   * @returns how many pending entries it held: they are pending no more and will not be delivered again.
   */
  async deleteConsumer(name: string = this.consumer): Promise<number> {
    assertName("consumer", name);
    return Number(
      await this.client.command("xgroup", ["DELCONSUMER", this.key, this.group, name], this.facts()),
    );
  }

  /** The consumers of this group on this stream. Sends `XINFO CONSUMERS`. */
  override consumersInfo(group: string = this.group): Promise<ConsumerInfo[]> {
    return super.consumersInfo(group);
  }

  /** A list for messages of this group, new ones where no counts are given. @internal */
  deliveredList(
    delivery: Delivery = this.#delivery,
    counts?: ReadonlyMap<string, number>,
  ): ReturnType<typeof this.list<GroupMessage<T>>> {
    return this.list(
      (id, data, headers) => new GroupMessage(this.key, id, data, headers, counts?.get(id) ?? 1, delivery),
    );
  }

  /** The same messages with the delivery counts that the server has. @internal */
  async counted(messages: readonly GroupMessage<T>[]): Promise<GroupMessage<T>[]> {
    if (messages.length === 0) return [];
    const counts = await this.#countsOf(messages, this.consumer);
    return messages.map(
      ({ stream, id, data, headers }) =>
        new GroupMessage(stream, id, data, headers, counts.get(id) ?? 1, this.#delivery),
    );
  }

  /** Facts for an error. */
  protected override facts(): ReplyErrorOptions {
    return { stream: this.key, group: this.group };
  }

  /** Messages of a claim's reply, with the server's delivery counts. */
  async #delivered(reply: unknown, consumer: string): Promise<GroupMessage<T>[]> {
    const delivery = consumer === this.consumer ? this.#delivery : this.#deliveryTo(consumer);
    const counts = new Map<string, number>();
    const make: MessageMaker<T, GroupMessage<T>> = (id, data, headers) =>
      new GroupMessage(this.key, id, data, headers, counts.get(id) ?? 1, delivery);
    const ids = (reply as readonly ([Buffer, unknown] | null)[]).flatMap((entry) =>
      entry?.[1] ? [{ id: String(entry[0]) }] : [],
    );
    for (const [id, count] of await this.#countsOf(ids, consumer)) counts.set(id, count);
    const claimed = await this.entries(reply, make);
    return shownList(claimed, `Claimed from ${this.key} by ${consumer} of ${this.group}`);
  }

  /** The server's delivery counts of entries that a consumer holds. */
  async #countsOf(
    entries: readonly { readonly id: string }[],
    consumer: string,
  ): Promise<Map<string, number>> {
    const wanted = new Set(entries.map(({ id }) => id));
    const counts = new Map<string, number>();
    if (wanted.size === 0) return counts;
    const [start, stop] = [
      [...wanted].reduce((a, b) => (compareIds(a, b) < 0 ? a : b)),
      [...wanted].reduce((a, b) => (compareIds(a, b) > 0 ? a : b)),
    ];
    for await (const { id, deliveries } of this.pending({ start, stop, consumer })) {
      if (wanted.has(id)) counts.set(id, deliveries);
      if (counts.size === wanted.size) break;
    }
    return counts;
  }

  #deliveryTo(
    consumer: string,
    deliveries = new Deliveries(this.client, this.key, this.group, consumer),
  ): Delivery {
    // What could not be done leaves the message open.
    const settling = async (message: GroupMessage<unknown>, done: Promise<boolean>): Promise<boolean> => {
      try {
        return await done;
      } catch (error) {
        markSettled(message, false);
        throw error;
      }
    };
    return {
      group: this.group,
      consumer,
      ack: (message) => deliveries.ack(message),
      retry: (message, delay) =>
        settling(
          message,
          deliveries.wait([message], delay ?? 0, true).then((moved) => moved.length > 0),
        ),
      reject: (message, reason) =>
        settling(
          message,
          deliveries
            .bury(message, deadLetterKey(this.key), new RejectError(reason))
            .then((moved) => moved !== 0),
        ),
      extend: async (message) => {
        const [verdict] = await deliveries.renew([message]);
        return verdict === "kept";
      },
    };
  }
}

showable(GroupStream, async (stream) => {
  const [group, { tables }] = await Promise.all([groupTable(stream.group, [stream]), streamPicture(stream)]);
  return { tables: [group, ...tables] };
});
