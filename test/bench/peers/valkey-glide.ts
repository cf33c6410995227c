import type { Address } from "../../../src/testing/index.ts";
import type { Data } from "../handling.ts";
import type { Payload } from "../payload.ts";
import { HandWritten, type ReadLimits } from "./hand-written.ts";
import type { Peer } from "./peer.ts";

type Pairs = readonly (readonly [name: string, value: string])[];
type RawEntry = readonly [id: string, pairs: Pairs];
type Entries = Readonly<Record<string, Pairs>>;
type ReadReply = readonly { readonly key: string; readonly value: Entries }[] | null;

interface Batch {
  xadd(key: string, values: Pairs): unknown;
}
/** What the bench calls of valkey-glide, of one server or a cluster. */
interface GlideLike {
  xadd(key: string, values: Pairs): Promise<string | null>;
  exec(batch: Batch, raiseOnError: boolean): Promise<readonly string[] | null>;
  xrange(
    key: string,
    start: string | { readonly value: string; readonly isInclusive: boolean },
    end: string,
    options: { readonly count: number },
  ): Promise<Entries | null>;
  xread(streams: Readonly<Record<string, string>>, options: ReadLimits): Promise<ReadReply>;
  xreadgroup(
    group: string,
    consumer: string,
    streams: Readonly<Record<string, string>>,
    options: ReadLimits,
  ): Promise<ReadReply>;
  xack(key: string, group: string, ids: readonly string[]): Promise<number>;
  close(): void;
}
interface Options {
  readonly addresses: readonly Address[];
  readonly requestTimeout: number;
}
interface Library {
  readonly GlideClient: { createClient(options: Options): Promise<GlideLike> };
  readonly GlideClusterClient: { createClient(options: Options): Promise<GlideLike> };
  readonly Batch: new (isAtomic: boolean) => Batch;
  readonly ClusterBatch: new (isAtomic: boolean) => Batch;
}

/** A batch of 1,000 on a busy machine can take longer than the 250 ms that a request has by default. */
const TIMEOUT = 10_000;

/**
 * Opens valkey-glide.
 *
 * @param to - one server's URL, or the nodes of a cluster
 */
export async function openGlide(
  name: string,
  module: string,
  to: string | readonly Address[],
): Promise<Peer> {
  const library = (await import(module)) as Library;
  if (typeof to !== "string") {
    const client = await library.GlideClusterClient.createClient({ addresses: to, requestTimeout: TIMEOUT });
    return new GlidePeer(name, client, library.ClusterBatch);
  }
  const { hostname, port } = new URL(to);
  const addresses = [{ host: hostname, port: Number(port) }];
  const client = await library.GlideClient.createClient({ addresses, requestTimeout: TIMEOUT });
  return new GlidePeer(name, client, library.Batch);
}

class GlidePeer extends HandWritten<RawEntry> {
  readonly #client: GlideLike;
  readonly #Batch: new (
    isAtomic: boolean,
  ) => Batch;

  constructor(name: string, client: GlideLike, Batch: new (isAtomic: boolean) => Batch) {
    super(name);
    this.#client = client;
    this.#Batch = Batch;
  }

  protected add(key: string, item: Payload): Promise<string | null> {
    return this.#client.xadd(key, pairsOf(item));
  }

  /** A batch that is not atomic is its pipeline. */
  protected async addBatch(key: string, items: readonly Payload[]): Promise<readonly string[]> {
    const batch = new this.#Batch(false);
    for (const item of items) batch.xadd(key, pairsOf(item));
    return (await this.#client.exec(batch, true)) ?? [];
  }

  protected async range(key: string, after: string | null, count: number): Promise<readonly RawEntry[]> {
    const start = after === null ? "-" : { value: after, isInclusive: false };
    return Object.entries((await this.#client.xrange(key, start, "+", { count })) ?? {});
  }

  protected async read(key: string, lastId: string, limits: ReadLimits): Promise<readonly RawEntry[]> {
    const reply = await this.#client.xread({ [key]: lastId }, limits);
    return Object.entries(reply?.[0]?.value ?? {});
  }

  protected async readNew(key: string, group: string, limits: ReadLimits): Promise<readonly RawEntry[]> {
    const reply = await this.#client.xreadgroup(group, "c1", { [key]: ">" }, limits);
    return Object.entries(reply?.[0]?.value ?? {});
  }

  protected ack(key: string, group: string, ids: readonly string[]): Promise<number> {
    return this.#client.xack(key, group, ids);
  }

  protected id([id]: RawEntry): string {
    return id;
  }

  protected data([, pairs]: RawEntry): Data {
    const data: Record<string, string> = {};
    for (const [name, value] of pairs) data[name] = value;
    return data;
  }

  protected size([, pairs]: RawEntry): number {
    return pairs[0]![1].length + pairs[1]![1].length + pairs[2]![1].length;
  }

  async close(): Promise<void> {
    this.#client.close();
  }
}

function pairsOf({ user, action, body }: Payload): Pairs {
  return [
    ["user", user],
    ["action", action],
    ["body", body],
  ];
}
