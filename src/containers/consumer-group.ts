import type { RedisLike } from "../connection/driver.ts";
import { assertName, assertOptions } from "../ground/assert.ts";
import { printable, showable, shown, tableOf } from "../ground/display.ts";
import { counted, legible } from "../ground/table.ts";
import {
  type InputOf,
  type PayloadOptions,
  type SchemaOptions,
  setOwn,
  type TextRecord,
} from "../wire/codec.ts";
import type { GroupMessage } from "../wire/message.ts";
import type { Attributes } from "./attributes.ts";
import { Group, type MemberOptions, readAll } from "./group.ts";
import type { GroupKeys, KeyOf } from "./group-keys.ts";
import { GroupStream } from "./group-stream.ts";
import { groupTable } from "./group-table.ts";
import type { GroupReadOptions } from "./read.ts";

/** The class behind {@link ConsumerGroup}, without the attributes. */
export class GroupOverStreams<K extends string, T, I> extends Group<K, GroupStream<T, I>> {
  readonly #consumer: (name: string) => ConsumerGroup<K, T, I>;

  /** @internal */
  constructor(
    redis: RedisLike,
    name: string,
    keys: GroupKeys<K>,
    options: MemberOptions & PayloadOptions<T, I> = {},
  ) {
    assertOptions("consumerGroup", options, ["consumer", "codec", "schema"]);
    const { consumer, ...payload } = options;
    super(redis, name, keys, consumer, (key, member) => new GroupStream<T, I>(redis, key, member, payload));
    this.#consumer = (other) =>
      new GroupOverStreams<K, T, I>(redis, name, keys, { ...payload, consumer: other }) as ConsumerGroup<
        K,
        T,
        I
      >;
  }

  /**
   * New entries of all streams for this consumer, waiting where there are none. Sends `XREADGROUP` over a wire.
   *
   * `count` is for each stream. Where a reply is lost with its connection, its messages are looked up among the
   * pending entries and given.
   *
   * @returns messages by key; only keys that have some, `{}` where none came within `block`.
   * @throws NoSuchGroupError where the group is missing on a stream.
   * @see https://redis.io/docs/latest/commands/xreadgroup/
   */
  async read(options: GroupReadOptions = {}): Promise<{ [Key in K]?: GroupMessage<T>[] }> {
    const result: Record<string, GroupMessage<T>[]> = {};
    for (const [key, messages] of await readAll<T>(this as never, options)) setOwn(result, key, messages);
    return shown(result as { [Key in K]?: GroupMessage<T>[] }, () => {
      const messages = Object.values(result).flat();
      const caption = `Read by ${this.consumerName} of ${this.name}: ${counted(messages.length)}`;
      return { tables: [tableOf(caption, messages)] };
    });
  }

  /** The same group under another consumer. */
  consumer(name: string): ConsumerGroup<K, T, I> {
    assertName("consumer", name);
    return this.#consumer(name);
  }
}

/**
 * A consumer group over many streams; each stream is an attribute by its camelCase key.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const cg = db.consumerGroup("cg", ["stream-a", "stream-b"]);
 * await cg.create();
 * await cg.streamA.add({ message: "hello" });
 * for (const m of (await cg.read({ block: 1000 }))["stream-a"] ?? []) await m.ack();
 * console.log(await cg.streamB.pendingSummary());
 * ```
 * @see https://redis.io/docs/latest/develop/data-types/streams/#consumer-groups
 */
export type ConsumerGroup<K extends string = string, T = TextRecord, I = InputOf<T>> = GroupOverStreams<
  K,
  T,
  I
> &
  Attributes<K, GroupStream<T, I>, GroupOverStreams<K, T, I>>;

/** Makes a {@link ConsumerGroup}; nothing is sent. */
export interface ConsumerGroupConstructor {
  /** Its prototype, for `instanceof`. */
  readonly prototype: GroupOverStreams<string, unknown, unknown>;
  /** A group whose payloads a schema judges and types. */
  new <const Keys extends GroupKeys, T, I>(
    redis: RedisLike,
    name: string,
    keys: Keys,
    options: MemberOptions & SchemaOptions<T, I>,
  ): ConsumerGroup<KeyOf<Keys>, T, I>;
  /** A group over one key, a list of keys, or a map of key to start id. */
  new <const Keys extends GroupKeys, T = TextRecord, I = InputOf<T>>(
    redis: RedisLike,
    name: string,
    keys: Keys,
    options?: MemberOptions & PayloadOptions<T, I>,
  ): ConsumerGroup<KeyOf<Keys>, T, I>;
}

/** The class of consumer groups. */
export const ConsumerGroup: ConsumerGroupConstructor = GroupOverStreams as never;

printable(GroupOverStreams, ({ name, consumerName, keys }) =>
  legible(`<ConsumerGroup ${name} ${consumerName} [${keys.join(", ")}]>`),
);
showable(GroupOverStreams, async ({ name, keys, streams }) => ({
  tables: [
    await groupTable(
      name,
      keys.map((key) => streams[key]!),
    ),
  ],
}));
