import type { Payload, Tally } from "../payload.ts";
import { type Entry, PAGE, type Peer, type Task } from "./peer.ts";

type RawEntry = [id: string, fields: string[]];
type Arguments = readonly (string | number)[];

/** What the bench calls of ioredis 6, ioredis 5 and iovalkey, which share one interface. */
interface IoredisLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  ping(): Promise<string>;
  pipeline(): { xadd(...args: Arguments): unknown; exec(): Promise<[Error | null, unknown][] | null> };
  xadd(...args: Arguments): Promise<string | null>;
  xlen(key: string): Promise<number>;
  xrange(...args: Arguments): Promise<RawEntry[]>;
  xread(...args: Arguments): Promise<[key: string, entries: RawEntry[]][] | null>;
  xreadgroup(...args: Arguments): Promise<[key: string, entries: RawEntry[]][] | null>;
  xack(key: string, group: string, ...ids: string[]): Promise<number>;
  disconnect(): void;
}

/**
 * Opens ioredis or one of its relatives.
 *
 * @param module - the package that exports `Redis`
 */
export async function openIoredis(name: string, module: string, url: string): Promise<Peer> {
  const { Redis } = (await import(module)) as { Redis: new (url: string) => IoredisLike };
  const redis = new Redis(url);
  redis.on("error", (error) => console.error(`${name}: ${error.message}`));
  await redis.ping();
  return new IoredisPeer(name, redis);
}

/** `[id, [name, value, ...]]` to `{ id, data }`, by the plain loop: `Object.fromEntries` costs five times as much. */
function toEntries(raw: readonly RawEntry[]): Entry[] {
  const entries: Entry[] = [];
  for (const [id, fields] of raw) {
    const data: Record<string, string> = {};
    for (let i = 0; i < fields.length; i += 2) data[fields[i]!] = fields[i + 1]!;
    entries.push({ id, data });
  }
  return entries;
}

/** The loops that a good engineer writes by hand on ioredis. */
class IoredisPeer implements Peer {
  readonly name: string;
  readonly #redis: IoredisLike;

  constructor(name: string, redis: IoredisLike) {
    this.name = name;
    this.#redis = redis;
  }

  async *#pages(key: string): AsyncGenerator<Entry[], void, undefined> {
    for (let start = "-"; ; ) {
      const page = toEntries(await this.#redis.xrange(key, start, "+", "COUNT", PAGE));
      yield page;
      if (page.length < PAGE) return;
      start = `(${page[PAGE - 1]!.id}`;
    }
  }

  async scan(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const page of this.#pages(key)) {
      for (const { data } of page) {
        messages++;
        characters += data.user!.length + data.action!.length + data.body!.length;
      }
    }
    return { messages, characters };
  }

  async addMany(key: string, items: readonly Payload[]): Promise<Tally> {
    const ids: string[] = [];
    let characters = 0;
    for (let start = 0; start < items.length; start += PAGE) {
      const pipeline = this.#redis.pipeline();
      const end = Math.min(items.length, start + PAGE);
      for (let i = start; i < end; i++) {
        const { user, action, body } = items[i]!;
        characters += user.length + action.length + body.length;
        pipeline.xadd(key, "*", "user", user, "action", action, "body", body);
      }
      for (const [error, id] of (await pipeline.exec()) ?? []) {
        if (error) throw error;
        ids.push(id as string);
      }
    }
    return { messages: ids.length, characters };
  }

  async readGroup(key: string, group: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for (;;) {
      const reply = await this.#redis.xreadgroup("GROUP", group, "c1", "COUNT", PAGE, "STREAMS", key, ">");
      if (reply === null) return { messages, characters };
      const ids: string[] = [];
      for (const { id, data } of toEntries(reply[0]![1])) {
        messages++;
        characters += data.user!.length + data.action!.length + data.body!.length;
        ids.push(id);
      }
      await this.#redis.xack(key, group, ...ids);
    }
  }

  async consume(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for (let lastId = "0-0"; ; ) {
      const reply = await this.#redis.xread("COUNT", PAGE, "STREAMS", key, lastId);
      if (reply === null) return { messages, characters };
      for (const { id, data } of toEntries(reply[0]![1])) {
        messages++;
        characters += data.user!.length + data.action!.length + data.body!.length;
        lastId = id;
      }
    }
  }

  async readGroupSingly(key: string, group: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for (;;) {
      const reply = await this.#redis.xreadgroup("GROUP", group, "c1", "COUNT", PAGE, "STREAMS", key, ">");
      if (reply === null) return { messages, characters };
      for (const { id, data } of toEntries(reply[0]![1])) {
        messages++;
        characters += data.user!.length + data.action!.length + data.body!.length;
        await this.#redis.xack(key, group, id);
      }
    }
  }

  /** The next read goes out when the last batch is handled and its XACK answered. */
  async work({ key, group, handle, handling, prefetch = PAGE }: Task): Promise<void> {
    const options = ["COUNT", prefetch, "BLOCK", 5_000, "STREAMS", key, ">"] as const;
    while (!handling.isFinished) {
      const reply = await this.#redis.xreadgroup("GROUP", group, "c1", ...options);
      if (reply === null) continue;
      const ids: string[] = [];
      for (const entry of toEntries(reply[0]![1])) {
        const pending = handle(entry);
        if (pending !== undefined) await pending;
        ids.push(entry.id);
      }
      await this.#redis.xack(key, group, ...ids);
    }
    await handling.finished;
  }

  async tail(key: string, take: (entry: Entry) => boolean, signal: AbortSignal): Promise<void> {
    const read = this.reader(key);
    for (let lastId = "0-0"; !signal.aborted; ) {
      for (const entry of await read(lastId)) {
        lastId = entry.id;
        if (!take(entry)) return;
      }
    }
  }

  adder(key: string): (item: Payload) => Promise<string | null> {
    const redis = this.#redis;
    return ({ user, action, body }) => redis.xadd(key, "*", "user", user, "action", action, "body", body);
  }

  counter(key: string): () => Promise<number> {
    const redis = this.#redis;
    return () => redis.xlen(key);
  }

  reader(key: string): (lastId: string) => Promise<Entry[]> {
    const redis = this.#redis;
    return async (lastId) => {
      const reply = await redis.xread("COUNT", PAGE, "BLOCK", 5_000, "STREAMS", key, lastId);
      return reply === null ? [] : toEntries(reply[0]![1]);
    };
  }

  async hold(key: string, count: number): Promise<Entry[]> {
    const held: Entry[] = [];
    for await (const page of this.#pages(key)) {
      for (const entry of page) {
        if (held.length === count) return held;
        held.push(entry);
      }
    }
    return held;
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}
