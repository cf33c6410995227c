import { setMaxListeners } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import type { Redis } from "ioredis";
import { ConnectionLostError, type WalrusError } from "../ground/errors.ts";
import type { Decoder } from "../wire/resp.ts";
import type { RedisLike } from "./driver.ts";
import { SILENCE, Wire } from "./wire.ts";

const MAX_IDLE = 8;
/** How long a blocked read may take to end after its abort before its connection is dropped, in milliseconds. */
const UNBLOCK_WITHIN = 1000;

/** Wires to one server, and the connection that can unblock them. */
export class WirePool {
  readonly #connect: () => Redis;
  readonly #idle: Wire[] = [];
  readonly #all = new Set<Wire>();
  readonly #closing = new AbortController();
  readonly #control: () => RedisLike | null;

  constructor(control: () => RedisLike | null, connect: () => Redis) {
    this.#control = control;
    this.#connect = connect;
    setMaxListeners(0, this.#closing.signal);
  }

  /** How many wires are open. */
  get size(): number {
    return this.#all.size;
  }

  /**
   * Send a request over a wire of its own and decode the reply.
   *
   * An abort unblocks a blocked read; what has arrived by then is still the result.
   */
  async exchange<R>(
    payload: Buffer,
    decoder: Decoder<R>,
    silence: number = SILENCE,
    signal?: AbortSignal,
  ): Promise<R> {
    const wire = await abortable(this, signal);
    const reply = wire.exchange(payload, decoder, silence).finally(() => this.release(wire));
    if (signal === undefined) return reply;
    let isSettled = false;
    let deadline: NodeJS.Timeout | undefined;
    const drop = (): void => {
      if (!isSettled) wire.close(new ConnectionLostError("a blocked read did not end when it was aborted"));
    };
    const onAbort = (): void => {
      deadline = setTimeout(drop, UNBLOCK_WITHIN);
      unblock(this.#control(), wire, () => isSettled).catch(drop);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      return await reply;
    } catch (error) {
      throw signal.aborted && error instanceof ConnectionLostError ? signal.reason : error;
    } finally {
      isSettled = true;
      clearTimeout(deadline);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** An idle wire, or a new one. */
  async acquire(): Promise<Wire> {
    for (let wire = this.#idle.pop(); wire !== undefined; wire = this.#idle.pop()) {
      if (wire.isIdle) return wire;
    }
    const wire = await Wire.open(
      this.#connect(),
      (gone, reason) => this.#lost(gone, reason),
      this.#closing.signal,
    );
    this.#all.add(wire);
    return wire;
  }

  /** Give back; a burst's surplus is closed. */
  release(wire: Wire): void {
    if (!wire.isIdle) return;
    if (this.#closing.signal.aborted || this.#idle.length >= MAX_IDLE) wire.close();
    else this.#idle.push(wire);
  }

  /** A wire is gone; one that was lost says that the others may lead nowhere too. */
  #lost(gone: Wire, reason: WalrusError): void {
    this.#all.delete(gone);
    if (reason instanceof ConnectionLostError) this.retire();
  }

  /** Close the idle wires: the next exchange connects anew, perhaps to another server. */
  retire(): void {
    for (const wire of this.#idle.splice(0)) wire.close();
  }

  /** Close all wires; what waits on one rejects with `reason`. */
  close(reason: WalrusError): void {
    this.#closing.abort(reason);
    for (const wire of this.#all) wire.close(reason);
    this.#idle.length = 0;
  }
}

/** A wire, or the abort; a wire that comes too late goes back to its pool. */
async function abortable(pool: WirePool, signal: AbortSignal | undefined): Promise<Wire> {
  if (signal === undefined) return pool.acquire();
  signal.throwIfAborted();
  const wire = pool.acquire();
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      reject(signal.reason);
      wire.then((late) => pool.release(late)).catch(() => {});
    };
    signal.addEventListener("abort", onAbort, { once: true });
    // From here on the wire is either the caller's or, after an abort, the pool's; never both.
    const settle = (then: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      if (!signal.aborted) then();
    };
    wire.then(
      (opened) => settle(() => resolve(opened)),
      (error) => settle(() => reject(error)),
    );
  });
}

/**
 * End a blocked read through `CLIENT UNBLOCK`.
 *
 * The command may overtake the read on its way, so it is repeated until the read has ended.
 *
 * @throws where the connection cannot say it, or may not.
 */
async function unblock(control: RedisLike | null, wire: Wire, isSettled: () => boolean): Promise<void> {
  if (wire.clientId === null || !control || !USABLE.has(control.status))
    throw new Error("nothing to unblock it by");
  for (let pause = 1; !isSettled(); pause = Math.min(pause * 2, 50)) {
    await control.call("client", ["UNBLOCK", wire.clientId]);
    if (!isSettled()) await wait(pause);
  }
}

/** Where a command would go out soon; a cluster connects to a node when the first one is sent. */
const USABLE: ReadonlySet<string> = new Set(["ready", "wait", "connecting", "connect"]);
