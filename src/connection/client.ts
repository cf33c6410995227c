import { setTimeout as wait } from "node:timers/promises";
import calculateSlot from "cluster-key-slot";
import type { Cluster, Redis, RedisOptions } from "ioredis";
import {
  type ClosedError,
  ConnectionLostError,
  InvalidArgumentError,
  type ReplyErrorOptions,
  replyError,
  WalrusError,
} from "../ground/errors.ts";
import {
  type Argument,
  type Decoder,
  ErrorReply,
  Request,
  SequenceDecoder,
  ValuesDecoder,
} from "../wire/resp.ts";
import {
  addressParts,
  clusterReady,
  dedicated,
  type Endable,
  ended,
  nodeAt,
  type RedisLike,
} from "./driver.ts";
import { WirePool } from "./pool.ts";

/** One request over a wire. */
export interface ExchangeOptions<R> {
  /** A key of the request, without prefix: it decides the node. */
  readonly key: string;
  /** What to send. */
  readonly request: Request;
  /** Makes a fresh decoder for each try. */
  readonly decoder: () => Decoder<R>;
  /** Whether it may be sent again after a lost connection. */
  readonly isRepeatable: boolean;
  /** Milliseconds of silence that mean a lost connection. */
  readonly silence?: number | undefined;
  /** Ends a blocked read. */
  readonly signal?: AbortSignal | undefined;
  /** Facts for an error. */
  readonly facts: ReplyErrorOptions;
  /** Told of a lost connection before the next try. */
  readonly onLost?: ((error: ConnectionLostError) => void) | undefined;
}

/** How long ending a connection waits for replies that are on their way, in milliseconds. */
const LINGER = 1000;
const MAX_REDIRECTS = 16;
/**
 * What the containers need of an ioredis connection: commands with typed errors, and wires beside it.
 *
 * One for each connection, however many containers share it.
 */
export class Client {
  static readonly #clients = new WeakMap<RedisLike, Client>();

  readonly #redis: Redis | Cluster;
  readonly #pools = new Map<string, WirePool>();

  /** The one for this connection. */
  static of(redis: RedisLike): Client {
    if (redis === null || typeof redis !== "object" || typeof redis.callBuffer !== "function") {
      throw new InvalidArgumentError("client", "an ioredis Redis or Cluster", redis);
    }
    let client = Client.#clients.get(redis);
    if (client === undefined) {
      client = new Client(redis);
      Client.#clients.set(redis, client);
    }
    return client;
  }

  private constructor(redis: RedisLike) {
    this.#redis = redis as unknown as Redis | Cluster;
    redis.on("end", () => this.close());
  }

  /** The prefix that ioredis puts before every key, and that wires put there themselves. */
  get keyPrefix(): string {
    return this.#redis.options.keyPrefix ?? "";
  }

  /** How many dedicated connections are open now. */
  get wires(): number {
    let count = 0;
    for (const pool of this.#pools.values()) count += pool.size;
    return count;
  }

  /** Whether keys live on several servers. */
  get isCluster(): boolean {
    return this.#redis.isCluster === true;
  }

  /** Group keys that one command may name together: all of them, or those of one slot in a cluster. */
  groupBySlot(keys: readonly string[]): string[][] {
    if (!this.isCluster) return [[...keys]];
    const groups = new Map<number, string[]>();
    for (const key of keys) {
      const slot = calculateSlot(this.keyPrefix + key);
      const group = groups.get(slot);
      if (group) group.push(key);
      else groups.set(slot, [key]);
    }
    return [...groups.values()];
  }

  /** Send one command over the shared connection; texts come back as strings. */
  async command(name: string, args: Argument[], facts: ReplyErrorOptions): Promise<unknown> {
    return this.#send("call", name, args, facts);
  }

  /** Send one command over the shared connection; texts come back as bytes. */
  async commandBuffer(name: string, args: Argument[], facts: ReplyErrorOptions): Promise<unknown> {
    return this.#send("callBuffer", name, args, facts);
  }

  async #send(
    how: "call" | "callBuffer",
    name: string,
    args: Argument[],
    facts: ReplyErrorOptions,
  ): Promise<unknown> {
    try {
      return await (this.#redis as RedisLike)[how](name, args as (string | Buffer | number)[]);
    } catch (error) {
      throw this.#translate(error, { command: name.toUpperCase(), ...facts });
    }
  }

  /** Run a script by its digest, and by its text where the server does not know it yet. Keys come first. */
  async script(
    script: { readonly sha: string; readonly lua: string },
    keys: string[],
    args: Argument[],
    facts: ReplyErrorOptions,
  ): Promise<unknown> {
    try {
      return await this.command("evalsha", [script.sha, keys.length, ...keys, ...args], facts);
    } catch (error) {
      if (!(error instanceof WalrusError && "prefix" in error && error.prefix === "NOSCRIPT")) throw error;
      return this.command("eval", [script.lua, keys.length, ...keys, ...args], facts);
    }
  }

  /**
   * Send one request over a wire and decode its reply.
   *
   * In a cluster it follows the key's slot. A lost connection is tried again with a growing pause, as often as
   * `maxRetriesPerRequest` says, where the request is repeatable.
   *
   * @throws ConnectionLostError, ClosedError, ReplyError and its kinds, or `signal.reason`.
   */
  async exchange<R>(options: ExchangeOptions<R>): Promise<Exclude<R, ErrorReply>> {
    const { key, request, facts, signal } = options;
    let payload = request.payload();
    let makeDecoder: () => Decoder<unknown> = options.decoder;
    let address: string | undefined;
    let redirects = 0;
    for (let attempt = 0; ; attempt++) {
      if (this.#isEnded) throw ended();
      signal?.throwIfAborted();
      try {
        const pool = address === undefined ? await this.#poolOf(key) : this.#poolAt(address);
        let result: unknown = await pool.exchange(payload, makeDecoder(), options.silence, signal);
        if (address !== undefined) {
          result = (result as unknown[])[1];
          address = undefined;
          payload = request.payload();
          makeDecoder = options.decoder;
        }
        const refusal = refusalOf(result);
        if (refusal === null) return result as Exclude<R, ErrorReply>;
        const error = replyError(refusal.text, facts);
        // The server gave a blocked read up: its stream was deleted, or it is no master any more. Asked again it says.
        if (error.prefix === "UNBLOCKED" && redirects++ < MAX_REDIRECTS) continue;
        if (!this.isCluster || redirects++ >= MAX_REDIRECTS || !REDIRECTS.has(error.prefix)) {
          if (result !== refusal) return result as Exclude<R, ErrorReply>;
          throw error;
        }
        if (error.prefix === "ASK" && result === refusal) {
          address = refusal.text.split(" ")[2]!;
          payload = Buffer.concat([ASKING, payload]);
          makeDecoder = () => new SequenceDecoder<unknown>([new ValuesDecoder(1), options.decoder()]);
        } else if (error.prefix === "MOVED") {
          await this.#refresh(key, refusal.text.split(" ")[2]!);
        } else {
          await wait(backoff(redirects), undefined, { signal });
        }
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
        const isFinal = error.isSent ? !options.isRepeatable : !this.isCluster;
        if (isFinal || attempt >= this.#maxRetries || this.#isEnded) throw error;
        options.onLost?.(error);
        address = undefined;
        await abortableWait(backoff(attempt), signal);
        if (this.isCluster) await this.#refresh(key);
      }
    }
  }

  /** Close every wire; whatever waits on one rejects with {@link ClosedError}. The connection itself is not touched. */
  close(): void {
    for (const pool of this.#pools.values()) pool.close(ended());
    this.#pools.clear();
  }

  /**
   * Close the wires and end the connection: when its replies are in, or after {@link LINGER}.
   *
   * Commands that still wait reject; ioredis itself would leave them open where it is reconnecting.
   */
  async end(): Promise<void> {
    const redis = this.#redis as unknown as Endable;
    this.close();
    if (redis.status === "end") return;
    if (redis.status === "ready") {
      const timer = new AbortController();
      const patience = wait(LINGER, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([redis.quit().catch(() => {}), patience]);
      timer.abort();
    }
    redis.disconnect();
    redis.stream?.destroy();
    redis.flushQueue(ended());
    if ((redis.status as string) !== "end") redis.setStatus("end");
  }

  /** The wires to the server that owns a key. */
  async #poolOf(key: string): Promise<WirePool> {
    if (!this.isCluster) return this.#poolAt("");
    const cluster = this.#redis as Cluster;
    if (cluster.status !== "ready") await clusterReady(cluster);
    const owner = cluster.slots[calculateSlot(this.keyPrefix + key)]?.[0];
    if (owner === undefined)
      throw new ConnectionLostError(`no node of the cluster owns the slot of ${JSON.stringify(key)}`);
    return this.#poolAt(owner);
  }

  #poolAt(address: string): WirePool {
    let pool = this.#pools.get(address);
    if (pool === undefined) {
      if (this.isCluster) {
        const node = nodeAt(this.#redis as Cluster, address);
        pool = new WirePool(node as unknown as RedisLike, () =>
          dedicated(nodeAt(this.#redis as Cluster, address), addressParts(address)),
        );
      } else {
        const redis = this.#redis as Redis;
        pool = new WirePool(redis as unknown as RedisLike, () => dedicated(redis, {}));
      }
      this.#pools.set(address, pool);
    }
    return pool;
  }

  /** Learn the cluster's slots anew; `moved` is where the server says the key is. */
  async #refresh(key: string, moved?: string): Promise<void> {
    const cluster = this.#redis as Cluster;
    const slot = calculateSlot(this.keyPrefix + key);
    const before = cluster.slots[slot]?.[0];
    await new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()));
    if (moved !== undefined && cluster.slots[slot]?.[0] === before) cluster.slots[slot] = [moved];
  }

  get #maxRetries(): number {
    const { options } = this.#redis;
    const own = "redisOptions" in options ? options.redisOptions : (options as RedisOptions);
    const { maxRetriesPerRequest = 20 } = own ?? {};
    return maxRetriesPerRequest ?? Number.POSITIVE_INFINITY;
  }

  /** Whether the owner has given the connection up; ioredis tells nobody when that is done while it reconnects. */
  get #isEnded(): boolean {
    const redis = this.#redis as unknown as { status: string; manuallyClosing?: boolean };
    return redis.status === "end" || redis.manuallyClosing === true;
  }

  #translate(error: unknown, facts: ReplyErrorOptions): Error {
    if (!(error instanceof Error) || error instanceof WalrusError || error instanceof TypeError)
      return error as Error;
    if (error.name === "ReplyError") return replyError(error.message, { ...facts, cause: error });
    if (this.#isEnded) return ended(error);
    return new ConnectionLostError(error.message, { cause: error });
  }
}

/** The server's refusal of a whole request: nothing of it was carried out. */
function refusalOf(result: unknown): ErrorReply | null {
  if (result instanceof ErrorReply) return result;
  if (!Array.isArray(result) || result.length === 0) return null;
  return result.every((reply) => reply instanceof ErrorReply) ? (result[0] as ErrorReply) : null;
}

const REDIRECTS: ReadonlySet<string> = new Set(["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"]);
const ASKING = new Request().command(["ASKING"]).payload();

/** Milliseconds to wait before try `attempt` + 1: 50 ms doubling to 2 s, with a random half. */
function backoff(attempt: number): number {
  const most = Math.min(50 * 2 ** attempt, 2000);
  return most / 2 + (Math.random() * most) / 2;
}

async function abortableWait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await wait(ms, undefined, signal ? { signal } : {});
  } catch {
    signal?.throwIfAborted();
  }
}
