import { setTimeout as wait } from "node:timers/promises";
import calculateSlot from "cluster-key-slot";
import type { Cluster, Redis } from "ioredis";
import {
  type ClosedError,
  ConnectionLostError,
  InvalidArgumentError,
  ReplyError,
  type ReplyErrorOptions,
  replyError,
  WalrusError,
} from "../ground/errors.ts";
import type { Request } from "../wire/request.ts";
import { type Argument, type Decoder, ErrorReply, Inbox } from "../wire/resp.ts";
import { AskingDecoder, asking } from "./asking.ts";
import { send } from "./command.ts";
import {
  backoff,
  breakOff,
  causeOf,
  clusterReady,
  databaseOf,
  dedicated,
  dedicatedTo,
  type Endable,
  ended,
  isClosing,
  isGivenUp,
  mapped,
  maxRetriesOf,
  nodeAt,
  type RedisLike,
} from "./driver.ts";
import { maxEntrySizeOf, mostWaiting } from "./entry-size.ts";
import { WirePool } from "./pool.ts";
import type { Script } from "./scripts.ts";
import { isUntrusted, networkError, refuseUntrusted } from "./untrusted.ts";
import { nodeOf, vigil } from "./vigil.ts";
import { SILENCE } from "./wire.ts";

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
  /** Ends what waits between two tries when the connection is given up. */
  #over = new AbortController();
  /** Everyone waits for a cluster's slots together. */
  #ready: Promise<void> | null = null;
  #isClosed = false;
  /** Most bytes of one entry. */
  readonly maxEntrySize: number;

  /** The one for this connection. */
  static of(redis: RedisLike): Client {
    if (redis === null || typeof redis !== "object" || typeof redis.sendCommand !== "function") {
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
    this.maxEntrySize = maxEntrySizeOf(this.#redis.options);
    redis.on("end", () => this.close(this.#end()));
    refuseUntrusted(this.#redis);
  }

  /** The prefix that ioredis puts before every key, and that wires put there themselves. */
  get keyPrefix(): string {
    return this.#redis.options.keyPrefix ?? "";
  }

  /** For bytes of replies that are to be decoded later. */
  inbox(): Inbox {
    return new Inbox(mostWaiting(this.#redis.options));
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

  /** Whether one script may name both keys: always, or where they are of one slot in a cluster. */
  sharesSlot(a: string, b: string): boolean {
    return this.groupBySlot([a, b]).length === 1;
  }

  /** Send one command over the shared connection; texts come back as strings. */
  command(name: string, args: Argument[], facts: ReplyErrorOptions): Promise<unknown> {
    return this.#send(name, args, "utf8", facts);
  }

  /** Send one command over the shared connection; texts come back as bytes. */
  commandBuffer(name: string, args: Argument[], facts: ReplyErrorOptions): Promise<unknown> {
    return this.#send(name, args, null, facts);
  }

  /** Not an async function: each costs a single command a turn of the queue. */
  #send(name: string, args: Argument[], encoding: "utf8" | null, facts: ReplyErrorOptions): Promise<unknown> {
    const refused = (error: unknown): never => {
      throw this.#translate(error, { command: name.toUpperCase(), ...facts });
    };
    try {
      const redis = this.#redis as unknown as RedisLike;
      return this.#toMaster(() => send(redis, this.keyPrefix, name, args, encoding)).catch(refused);
    } catch (error) {
      return Promise.reject(error).catch(refused);
    }
  }

  /** Send to masters, whatever `scaleReads` says: a replica may be behind what its caller has been told. */
  #toMaster<R>(act: () => R): R {
    if (!this.isCluster) return act();
    const options = this.#redis.options as { scaleReads?: unknown };
    const { scaleReads } = options;
    // ioredis looks at it once, while the command is handed over.
    options.scaleReads = "master";
    try {
      return act();
    } finally {
      options.scaleReads = scaleReads;
    }
  }

  /**
   * Run a script by its digest, and by its text where the server does not know it yet; texts come back as strings, or
   * as bytes with `encoding` null. A connection that is silent for longer than `silence` is made anew.
   */
  async script(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    facts: ReplyErrorOptions,
    { encoding = "utf8", silence = SILENCE }: { encoding?: "utf8" | null; silence?: number } = {},
  ): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    const answerTo = (command: string, text: string): Promise<unknown> =>
      vigil(this.#send(command, [text, ...rest], encoding, facts), silence, () => {
        if (!this.isCluster) return this.#redis as Redis;
        return nodeOf(this.#redis as Cluster, calculateSlot(this.keyPrefix + keys[0]!));
      });
    try {
      return await answerTo("evalsha", script.sha);
    } catch (error) {
      if (!(error instanceof ReplyError && error.prefix === "NOSCRIPT")) throw error;
      return answerTo("eval", script.lua);
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
    const { key, decoder, facts, signal } = options;
    const payload = options.request.payload();
    let asked: string | null = null;
    let redirects = 0;
    for (let attempt = 0; ; attempt++) {
      if (this.#isEnded) throw this.#end();
      signal?.throwIfAborted();
      try {
        const pool = asked === null ? await this.#poolOf(key, signal) : this.#poolAt(asked);
        const sent = asked === null ? payload : asking(payload);
        const reader = asked === null ? decoder() : new AskingDecoder(decoder(), payload, sent);
        const result = await pool.exchange(sent, reader, options.silence, signal);
        asked = null;
        const refusal = refusalOf(result);
        if (refusal === null) return result as Exclude<R, ErrorReply>;
        const error = replyError(refusal.text, facts);
        if (STALE.has(error.prefix)) pool.retire();
        // The server gave a blocked read up: its stream was deleted, or it is no master any more. Asked again it says.
        const isPassing = error.prefix === "UNBLOCKED" || (this.isCluster && REDIRECTS.has(error.prefix));
        if (!isPassing || redirects++ >= MAX_REDIRECTS) {
          if (result !== refusal) return result as Exclude<R, ErrorReply>;
          throw error;
        }
        const [, , target] = refusal.text.split(" ");
        if (error.prefix === "ASK") asked = mapped(this.#redis as Cluster, target!);
        else if (error.prefix === "MOVED") {
          // Two nodes may send to each other until they agree.
          if (redirects > 2) await this.#pause(redirects, signal);
          await this.#refresh(key, signal, mapped(this.#redis as Cluster, target!));
        } else if (error.prefix !== "UNBLOCKED") await this.#pause(redirects, signal);
      } catch (error) {
        if (!(error instanceof ConnectionLostError)) throw error;
        const isRefused = isUntrusted(error.cause); // Another try would meet the same certificate.
        const isFinal = isRefused || (error.isSent ? !options.isRepeatable : !this.isCluster);
        if (isFinal || attempt >= maxRetriesOf(this.#redis) || this.#isEnded) {
          // Whoever tries again above is to find the slot's new owner.
          if (this.isCluster && !this.#isEnded) await this.#refresh(key, signal);
          throw error;
        }
        options.onLost?.(error);
        asked = null;
        await this.#pause(attempt, signal);
        if (this.isCluster) await this.#refresh(key, signal);
      }
    }
  }

  /** Close every wire; whatever waits on one rejects with {@link ClosedError}. The connection itself is not touched. */
  close(reason: WalrusError = ended()): void {
    this.#over.abort(reason);
    this.#over = new AbortController();
    for (const pool of this.#pools.values()) pool.close(reason);
    this.#pools.clear();
  }

  /**
   * Close the wires and end the connection: when its replies are in, or after {@link LINGER}.
   *
   * Commands that still wait reject; ioredis itself would leave them open where it is reconnecting.
   */
  async end(): Promise<void> {
    const redis = this.#redis as unknown as Endable;
    this.#isClosed = true;
    this.close();
    if (redis.status === "end") return;
    if (redis.status === "ready") {
      const timer = new AbortController();
      const patience = wait(LINGER, undefined, { signal: timer.signal }).catch(() => {});
      await Promise.race([redis.quit().catch(() => {}), patience]);
      timer.abort();
    }
    const nodes = this.isCluster ? (this.#redis as Cluster).nodes("all") : [];
    breakOff(redis);
    for (const node of nodes) breakOff(node as unknown as Endable);
    if ((redis.status as string) !== "end") redis.setStatus("end");
  }

  /** The wires to the server that owns a key. */
  async #poolOf(key: string, signal: AbortSignal | undefined): Promise<WirePool> {
    if (!this.isCluster) return this.#poolAt(String(databaseOf(this.#redis as Redis)));
    const cluster = this.#redis as Cluster;
    if (cluster.status !== "ready") {
      this.#ready ??= clusterReady(cluster).finally(() => {
        this.#ready = null;
      });
      await this.#unlessOver(this.#ready, signal);
    }
    const owner = cluster.slots[calculateSlot(this.keyPrefix + key)]?.[0];
    if (owner === undefined)
      throw new ConnectionLostError(`no node of the cluster owns the slot of ${JSON.stringify(key)}`, {
        isSent: false,
      });
    return this.#poolAt(owner);
  }

  /** The wires to a node of a cluster, or to a database of the one server. */
  #poolAt(address: string): WirePool {
    let pool = this.#pools.get(address);
    if (pool === undefined) {
      if (this.isCluster) {
        const cluster = this.#redis as Cluster;
        // Looked up each time: ioredis makes a node's connection anew when it was lost.
        const control = () => nodeAt(cluster, address) as unknown as RedisLike | null;
        pool = new WirePool(control, () => dedicatedTo(cluster, address));
      } else {
        const redis = this.#redis as Redis;
        pool = new WirePool(
          () => (redis.status === "ready" ? (redis as unknown as RedisLike) : null),
          () => dedicated(redis, { db: Number(address) }),
        );
      }
      this.#pools.set(address, pool);
    }
    return pool;
  }

  /** Learn the cluster's slots anew; `moved` is where the server says the key is. */
  async #refresh(key: string, signal: AbortSignal | undefined, moved?: string): Promise<void> {
    const cluster = this.#redis as Cluster;
    const slot = calculateSlot(this.keyPrefix + key);
    const before = cluster.slots[slot]?.[0];
    const refreshed = new Promise<void>((resolve) => cluster.refreshSlotsCache(() => resolve()));
    await this.#unlessOver(refreshed, signal);
    if (moved !== undefined && cluster.slots[slot]?.[0] === before) cluster.slots[slot] = [moved];
  }

  /** Wait before the next try, with a random half; an abort or the end of the connection ends it. */
  #pause(attempt: number, signal: AbortSignal | undefined): Promise<unknown> {
    const over = this.#overOr(signal);
    return wait(backoff(attempt), undefined, { signal: over }).catch(() => over.throwIfAborted());
  }

  /** The promise, or the abort, or the end of the connection. */
  #unlessOver<R>(promise: Promise<R>, signal: AbortSignal | undefined): Promise<R> {
    const over = this.#overOr(signal);
    return new Promise((resolve, reject) => {
      const onOver = (): void => reject(over.reason);
      over.addEventListener("abort", onOver, { once: true });
      if (over.aborted) onOver();
      promise.then(resolve, reject).finally(() => over.removeEventListener("abort", onOver));
    });
  }

  #overOr(signal: AbortSignal | undefined): AbortSignal {
    return AbortSignal.any(signal === undefined ? [this.#over.signal] : [this.#over.signal, signal]);
  }

  /** Whether the owner has given the connection up; ioredis tells nobody when that is done while it reconnects. */
  get #isEnded(): boolean {
    return this.#redis.status === "end" || isClosing(this.#redis);
  }

  #translate(error: unknown, facts: ReplyErrorOptions): Error {
    if (!(error instanceof Error) || error instanceof WalrusError || error instanceof TypeError)
      return error as Error;
    if (error.name === "ReplyError") return replyError(error.message, { ...facts, cause: causeOf(error) });
    if (this.#isEnded) return this.#end(error);
    const network = networkError(this.#redis);
    const reason = network === null ? error.message : `${error.message} (${network.message})`;
    return new ConnectionLostError(reason, { cause: network ?? error });
  }

  /** Why nothing can be sent any more: the owner closed it, or ioredis gave up connecting. */
  #end(cause?: Error): WalrusError {
    const network = this.#isClosed || isClosing(this.#redis) ? null : networkError(this.#redis);
    if (network === null && (this.#isClosed || !isGivenUp(this.#redis))) return ended(cause);
    const reason = `no connection: ${network?.message ?? "it was closed and is not made anew"}`;
    return new ConnectionLostError(reason, { cause: network ?? cause, isSent: false });
  }
}

/** The server's refusal of a whole request: nothing of it was carried out. */
function refusalOf(result: unknown): ErrorReply | null {
  if (result instanceof ErrorReply) return result;
  if (!Array.isArray(result) || result.length === 0) return null;
  return result.every((reply) => reply instanceof ErrorReply) ? (result[0] as ErrorReply) : null;
}

/** Refusals that say that the connection leads to the wrong server, or to one that has no data yet. */
const STALE: ReadonlySet<string> = new Set(["READONLY", "MASTERDOWN", "LOADING"]);
/** What a node says whose slot moves, or has moved; in a write of many commands, between two of them. */
export const REDIRECTS: ReadonlySet<string> = new Set(["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"]);
