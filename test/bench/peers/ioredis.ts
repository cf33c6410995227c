import type { Address } from "../../../src/testing/index.ts";
import type { Data } from "../handling.ts";
import type { Payload } from "../payload.ts";
import { HandWritten, type ReadLimits } from "./hand-written.ts";
import type { Peer } from "./peer.ts";

type RawEntry = readonly [id: string, fields: readonly string[]];
type Arguments = readonly (string | number)[];
type ReadReply = readonly (readonly [key: string, entries: readonly RawEntry[]])[] | null;

/** What the bench calls of ioredis 6, ioredis 5 and iovalkey, of one server or a cluster. */
interface IoredisLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  ping(): Promise<string>;
  pipeline(): { xadd(...args: Arguments): unknown; exec(): Promise<[Error | null, unknown][] | null> };
  xadd(...args: Arguments): Promise<string | null>;
  xrange(...args: Arguments): Promise<readonly RawEntry[]>;
  xread(...args: Arguments): Promise<ReadReply>;
  xreadgroup(...args: Arguments): Promise<ReadReply>;
  xack(key: string, group: string, ...ids: string[]): Promise<number>;
  disconnect(): void;
}
interface Library {
  readonly Redis: new (url: string) => IoredisLike;
  readonly Cluster: new (nodes: readonly Address[]) => IoredisLike;
}

/**
 * Opens ioredis or one of its relatives.
 *
 * @param module - the package that exports `Redis` and `Cluster`
 * @param to - one server's URL, or the nodes of a cluster
 */
export async function openIoredis(
  name: string,
  module: string,
  to: string | readonly Address[],
): Promise<Peer> {
  const { Redis, Cluster } = (await import(module)) as Library;
  const redis = typeof to === "string" ? new Redis(to) : new Cluster(to);
  redis.on("error", (error) => console.error(`${name}: ${error.message}`));
  await redis.ping();
  return new IoredisPeer(name, redis);
}

class IoredisPeer extends HandWritten<RawEntry> {
  readonly #redis: IoredisLike;

  constructor(name: string, redis: IoredisLike) {
    super(name);
    this.#redis = redis;
  }

  protected add(key: string, { user, action, body }: Payload): Promise<string | null> {
    return this.#redis.xadd(key, "*", "user", user, "action", action, "body", body);
  }

  protected async addBatch(key: string, items: readonly Payload[]): Promise<string[]> {
    const pipeline = this.#redis.pipeline();
    for (const { user, action, body } of items) {
      pipeline.xadd(key, "*", "user", user, "action", action, "body", body);
    }
    const ids: string[] = [];
    for (const [error, id] of (await pipeline.exec()) ?? []) {
      if (error) throw error;
      ids.push(id as string);
    }
    return ids;
  }

  protected range(key: string, after: string | null, count: number): Promise<readonly RawEntry[]> {
    return this.#redis.xrange(key, after === null ? "-" : `(${after}`, "+", "COUNT", count);
  }

  protected async read(key: string, lastId: string, limits: ReadLimits): Promise<readonly RawEntry[]> {
    return (await this.#redis.xread(...limitsOf(limits), "STREAMS", key, lastId))?.[0]?.[1] ?? [];
  }

  protected async readNew(key: string, group: string, limits: ReadLimits): Promise<readonly RawEntry[]> {
    const options = ["GROUP", group, "c1", ...limitsOf(limits), "STREAMS", key, ">"];
    return (await this.#redis.xreadgroup(...options))?.[0]?.[1] ?? [];
  }

  protected ack(key: string, group: string, ids: readonly string[]): Promise<number> {
    return this.#redis.xack(key, group, ...ids);
  }

  protected id([id]: RawEntry): string {
    return id;
  }

  /** The plain loop: `Object.fromEntries` costs five times as much. */
  protected data([, fields]: RawEntry): Data {
    const data: Record<string, string> = {};
    for (let i = 0; i < fields.length; i += 2) data[fields[i]!] = fields[i + 1]!;
    return data;
  }

  protected size([, fields]: RawEntry): number {
    return fields[1]!.length + fields[3]!.length + fields[5]!.length;
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }
}

function limitsOf({ count, block }: ReadLimits): Arguments {
  return block === undefined ? ["COUNT", count] : ["COUNT", count, "BLOCK", block];
}
