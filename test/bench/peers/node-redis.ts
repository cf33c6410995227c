import type { Address } from "../../../src/testing/index.ts";
import type { Payload } from "../payload.ts";
import { HandWritten, type ReadLimits } from "./hand-written.ts";
import { type Peer, sizeOf } from "./peer.ts";

interface RawEntry {
  readonly id: string;
  readonly message: Payload;
}
type ReadReply = readonly { readonly name: string; readonly messages: readonly RawEntry[] }[] | null;
interface Limits {
  readonly COUNT: number;
  readonly BLOCK?: number;
}
interface Position {
  readonly key: string;
  readonly id: string;
}

/** What the bench calls of node-redis, of one server or a cluster; it makes objects itself. */
interface NodeRedisLike {
  on(event: "error", listener: (error: Error) => void): unknown;
  connect(): Promise<unknown>;
  xAdd(key: string, id: string, message: Payload): Promise<string>;
  multi(): { xAdd(key: string, id: string, message: Payload): unknown; execAsPipeline(): Promise<string[]> };
  xRange(key: string, start: string, end: string, options: Limits): Promise<readonly RawEntry[]>;
  xRead(streams: Position, options: Limits): Promise<ReadReply>;
  xReadGroup(group: string, consumer: string, streams: Position, options: Limits): Promise<ReadReply>;
  xAck(key: string, group: string, ids: readonly string[]): Promise<number>;
  destroy(): void;
}
interface Library {
  createClient(options: { readonly url: string }): NodeRedisLike;
  createCluster(options: { readonly rootNodes: readonly { readonly url: string }[] }): NodeRedisLike;
}

/**
 * Opens node-redis.
 *
 * @param to - one server's URL, or the nodes of a cluster
 */
export async function openNodeRedis(
  name: string,
  module: string,
  to: string | readonly Address[],
): Promise<Peer> {
  const { createClient, createCluster } = (await import(module)) as Library;
  const client =
    typeof to === "string"
      ? createClient({ url: to })
      : createCluster({ rootNodes: to.map(({ host, port }) => ({ url: `redis://${host}:${port}` })) });
  client.on("error", (error) => console.error(`${name}: ${error.message}`));
  await client.connect();
  return new NodeRedisPeer(name, client);
}

class NodeRedisPeer extends HandWritten<RawEntry> {
  readonly #client: NodeRedisLike;

  constructor(name: string, client: NodeRedisLike) {
    super(name);
    this.#client = client;
  }

  protected add(key: string, item: Payload): Promise<string> {
    return this.#client.xAdd(key, "*", item);
  }

  /** `multi().execAsPipeline()`: `Promise.all` of 1,000 `xAdd`, which it pipelines too, is a third as fast. */
  protected addBatch(key: string, items: readonly Payload[]): Promise<string[]> {
    const pipeline = this.#client.multi();
    for (const item of items) pipeline.xAdd(key, "*", item);
    return pipeline.execAsPipeline();
  }

  protected range(key: string, after: string | null, count: number): Promise<readonly RawEntry[]> {
    return this.#client.xRange(key, after === null ? "-" : `(${after}`, "+", { COUNT: count });
  }

  protected async read(key: string, lastId: string, limits: ReadLimits): Promise<readonly RawEntry[]> {
    return (await this.#client.xRead({ key, id: lastId }, limitsOf(limits)))?.[0]?.messages ?? [];
  }

  protected async readNew(key: string, group: string, limits: ReadLimits): Promise<readonly RawEntry[]> {
    const reply = await this.#client.xReadGroup(group, "c1", { key, id: ">" }, limitsOf(limits));
    return reply?.[0]?.messages ?? [];
  }

  protected ack(key: string, group: string, ids: readonly string[]): Promise<number> {
    return this.#client.xAck(key, group, ids);
  }

  protected id({ id }: RawEntry): string {
    return id;
  }

  protected data({ message }: RawEntry): Payload {
    return message;
  }

  protected size({ message }: RawEntry): number {
    return sizeOf(message);
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }
}

function limitsOf({ count, block }: ReadLimits): Limits {
  return block === undefined ? { COUNT: count } : { COUNT: count, BLOCK: block };
}
