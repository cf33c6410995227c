import { Client } from "../connection/client.ts";
import type { RedisLike } from "../connection/driver.ts";
import { type ReadingGroup, read } from "../connection/reader.ts";
import { removeIdleConsumers } from "../connection/scripts.ts";
import { assertName, assertOptions } from "../ground/assert.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { GroupExistsError, NoSuchGroupError, NoSuchStreamError } from "../ground/errors.ts";
import { setOwn } from "../wire/codec.ts";
import type { IdLike } from "../wire/id.ts";
import type { GroupMessage } from "../wire/message.ts";
import { defineAttributes } from "./attributes.ts";
import { type GroupKeys, startIds } from "./group-keys.ts";
import {
  type GroupStats,
  type GroupStreamStats,
  groupStreamStats,
  type Health,
  type HealthIssue,
  type HealthLimits,
  healthJudge,
  totalOf,
} from "./group-stats.ts";
import type { GroupStream } from "./group-stream.ts";
import type { StreamInfo } from "./info.ts";
import { afterId, type GroupReadOptions, groupPlan, type Reading } from "./read.ts";

/** Options of a consumer group. */
export interface MemberOptions {
  /** Name of the consumer. @defaultValue `<name>.c1` */
  readonly consumer?: string | undefined;
}

/** A consumer over all streams of its group. */
export interface GroupConsumer {
  /** Name of the consumer. */
  readonly name: string;
  /** Entries it holds, on all streams. */
  readonly pending: number;
  /** Milliseconds since it last did something, on any stream. */
  readonly idle: number;
  /** The streams that know it. */
  readonly streams: readonly string[];
}

let reach: (group: Group<string, GroupStream<unknown, never>>) => Reading<GroupMessage<unknown>>;

/** How to read a group. */
export function groupReading<T>(group: Group<string, GroupStream<T, never>>): Reading<GroupMessage<T>> {
  return reach(group as never) as Reading<GroupMessage<T>>;
}

let readOf: (
  group: Group<string, GroupStream<unknown, never>>,
  options: GroupReadOptions,
) => Promise<Map<string, GroupMessage<unknown>[]>>;

/** Read all streams as the group's consumer; no protected method, whose name the attributes' type would not see. */
export function readAll<T>(
  group: Group<string, GroupStream<T, never>>,
  options: GroupReadOptions,
): Promise<Map<string, GroupMessage<T>[]>> {
  return readOf(group as never, options) as Promise<Map<string, GroupMessage<T>[]>>;
}

/** What consumer groups and time series have in common: a group over many streams. */
export abstract class Group<K extends string, S extends GroupStream<unknown, never>> {
  static {
    readOf = (group, options) => group.#readAll(options);
    reach = (group) => {
      const added = new Map<string, GroupStream<unknown, never>>();
      const streamOf = (key: string): GroupStream<unknown, never> => {
        const known = Object.hasOwn(group.streams, key) ? group.streams[key] : added.get(key);
        if (known !== undefined) return known;
        added.set(key, group.#makeStream(key));
        return added.get(key)!;
      };
      const startOf = (key: string): string => group.#starts.get(key) ?? "0-0";
      return {
        client: group.#client,
        keys: group.keys,
        group: { ...group.#reading, startOf },
        list: (key, delivery, counts) => streamOf(key).deliveredList(delivery, counts),
        counted: (key, messages) => streamOf(key).counted(messages),
      };
    };
  }

  /** Name of the group. */
  readonly name: string;
  /** Keys of its streams, in the order given. */
  readonly keys: readonly K[];
  /** The consumer it reads as. */
  readonly consumerName: string;
  /** Its streams by key, each seen by this group and consumer. */
  readonly streams: Readonly<Record<K, S>>;
  readonly #client: Client;
  readonly #starts: ReadonlyMap<K, string>;
  /** Of any key, for a consumer may add some; by `string`, or groups of other keys would not be assignable. */
  readonly #makeStream: (key: string) => S;
  readonly #reading: ReadingGroup;

  /** Subclasses give the streams' class. @internal */
  constructor(
    redis: RedisLike,
    name: string,
    keys: GroupKeys<K>,
    consumer: string | undefined,
    makeStream: (key: K, member: { group: string; consumer: string; seen: Map<string, string> }) => S,
  ) {
    assertName("name", name);
    this.#client = Client.of(redis);
    this.#starts = startIds(keys);
    this.name = name;
    this.keys = [...this.#starts.keys()];
    this.consumerName = consumer ?? `${name}.c1`;
    assertName("consumer", this.consumerName);
    this.#reading = { name, consumer: this.consumerName, seen: new Map() };
    const streams = {} as Record<K, S>;
    const member = { group: name, consumer: this.consumerName, seen: this.#reading.seen };
    for (const key of this.keys) setOwn<S>(streams, key, makeStream(key, member));
    this.streams = streams;
    this.#makeStream = (key) => makeStream(key as K, member);
    defineAttributes(this, streams);
  }

  /**
   * Make the group on every stream, and the streams that are not there. Sends `XGROUP CREATE ... MKSTREAM`.
   *
   * @returns by key: true where it was made, false where it was there (and stays as it is).
   * @throws WrongTypeError where a key holds something else, which is not touched; the group is made on the others.
   */
  create(): Promise<Record<K, boolean>> {
    return this.#onEach(async (key) => {
      try {
        await this.#xgroup("CREATE", key, [this.#starts.get(key)!, "MKSTREAM"]);
        this.#reading.seen.delete(key);
        return true;
      } catch (error) {
        if (error instanceof GroupExistsError) return false;
        throw error;
      }
    });
  }

  /** See that the group is there on every stream, as {@link Group.create} does; nothing more to know. */
  async ensure(): Promise<void> {
    await this.create();
  }

  /**
   * Remove the group from every stream, with its cursor and pending entries. Sends `XGROUP DESTROY`.
   *
   * @returns by key: false where there was none.
   */
  destroy(): Promise<Record<K, boolean>> {
    return this.#onEach(async (key) => {
      try {
        return Number(await this.#xgroup("DESTROY", key, [])) === 1;
      } catch (error) {
        if (error instanceof NoSuchStreamError) return false;
        throw error;
      }
    });
  }

  /** Begin again: set the cursor of every stream to `0-0`. Pending entries stay pending. */
  reset(): Promise<void> {
    return this.setId("0-0");
  }

  /**
   * Set the cursor of every stream: what comes after it is new. Sends `XGROUP SETID`.
   *
   * @param id - An id, a `Date` (later than it is new), or `"$"`: the end of each stream.
   * @throws NoSuchGroupError where the group is missing, NoSuchStreamError where the stream is.
   */
  async setId(id: IdLike = "$"): Promise<void> {
    const after = afterId(id);
    await this.#onEach((key) => this.#xgroup("SETID", key, [after]));
    this.#reading.seen.clear();
  }

  /** What the server knows of each stream, by key. Sends `XINFO STREAM`. */
  streamInfo(): Promise<Record<K, StreamInfo<S extends GroupStream<infer T, never> ? T : unknown>>> {
    return this.#onEach((key) => this.streams[key].info() as never);
  }

  /**
   * How far the group is: lengths, lag, pending entries and consumers.
   *
   * @throws NoSuchGroupError or NoSuchStreamError where the group or a stream is missing.
   */
  async stats(): Promise<GroupStats<K>> {
    const streams = await this.#onEach((key) => this.#statsOf(key));
    return { ...totalOf(Object.values<GroupStreamStats>(streams)), streams };
  }

  /**
   * Judge {@link Group.stats} by limits; a missing group is an issue, not an error.
   *
   * @returns `healthy`, and the `issues` where it is not.
   */
  async health(limits: HealthLimits = {}): Promise<Health> {
    const judge = healthJudge(limits);
    const issues = await this.#onEach(async (key) => {
      try {
        return judge(key, await this.#statsOf(key));
      } catch (error) {
        if (!(error instanceof NoSuchGroupError || error instanceof NoSuchStreamError)) throw error;
        return [{ stream: key, kind: "missing" as const, message: error.message }];
      }
    });
    const all = Object.values<readonly HealthIssue[]>(issues).flat();
    return { healthy: all.length === 0, issues: all };
  }

  /** The consumers over all streams, by name. Sends `XINFO CONSUMERS` for each stream. */
  async consumers(): Promise<GroupConsumer[]> {
    const byKey = await this.#onEach((key) => this.streams[key].consumersInfo());
    const consumers = new Map<string, GroupConsumer>();
    for (const key of this.keys) {
      for (const { name, pending, idle } of byKey[key]) {
        const known = consumers.get(name) ?? {
          name,
          pending: 0,
          idle: Number.POSITIVE_INFINITY,
          streams: [],
        };
        consumers.set(name, {
          name,
          pending: known.pending + pending,
          idle: Math.min(known.idle, idle),
          streams: [...known.streams, key],
        });
      }
    }
    return [...consumers.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /**
   * Remove consumers that have done nothing for a time and hold nothing; looked at and removed in one script a stream.
   *
   * @returns the names that were removed from some stream, sorted.
   */
  async removeIdleConsumers(options: { readonly idle: Time }): Promise<string[]> {
    assertOptions("removeIdleConsumers", options, ["idle"]);
    const idle = toMilliseconds("idle", options?.idle);
    const removed = await this.#onEach(
      (key) =>
        this.#client.script(removeIdleConsumers, [key], [this.name, idle, ""], this.#facts(key)) as Promise<
          string[]
        >,
    );
    return [...new Set(Object.values<string[]>(removed).flat())].sort();
  }

  async #readAll(options: GroupReadOptions): Promise<Map<string, GroupMessage<unknown>[]>> {
    const { lastId, ...plan } = groupPlan(options);
    const messages = await read<unknown, GroupMessage<unknown>>(this.#client, {
      after: new Map(this.keys.map((key) => [key, lastId])),
      list: (key) => this.streams[key as K].deliveredList(),
      group: this.#reading,
      ...plan,
    });
    if (lastId !== ">") {
      for (const [key, own] of messages) messages.set(key, await this.streams[key as K].counted(own));
    }
    return messages;
  }

  #statsOf(key: K): Promise<GroupStreamStats> {
    return groupStreamStats(this.#client, this.streams[key], this.name);
  }

  #xgroup(verb: string, key: K, args: string[]): Promise<unknown> {
    return this.#client.command("xgroup", [verb, key, this.name, ...args], this.#facts(key));
  }

  #facts(key: K): { stream: string; group: string } {
    return { stream: key, group: this.name };
  }

  /** Do something for every key at once; when all have ended, the first failure by order of the keys is thrown. */
  async #onEach<V>(act: (key: K) => Promise<V>): Promise<Record<K, V>> {
    const outcomes = await Promise.allSettled(this.keys.map(act));
    const results = {} as Record<K, V>;
    outcomes.forEach((outcome, i) => {
      if (outcome.status === "rejected") throw outcome.reason;
      setOwn<V>(results, this.keys[i]!, outcome.value);
    });
    return results;
  }
}
