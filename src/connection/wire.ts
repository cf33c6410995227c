import type { Socket } from "node:net";
import type { Redis } from "ioredis";
import {
  ClosedError,
  ConnectionLostError,
  ProtocolError,
  replyError,
  type WalrusError,
} from "../ground/errors.ts";
import { type Decoder, Inbox } from "../wire/resp.ts";
import { causeOf } from "./driver.ts";
import { mostWaiting } from "./entry-size.ts";
import { isUntrusted } from "./untrusted.ts";

/** How long a server may be silent, in milliseconds, while a reply is due that it need not wait for. */
export const SILENCE = 10_000;

interface Exchange {
  readonly decoder: Decoder<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/**
 * A dedicated connection that carries one exchange at a time: one request out, its reply in.
 *
 * ioredis connects: address, TLS, Sentinel, password, database. Once it is ready and nothing of its own is under
 * way, the wire takes over the socket's bytes and decodes them straight into messages. A wire lives as long as its
 * socket; whoever needs another opens another (see `docs/decisions/0002-the-wire.md`).
 */
export class Wire {
  readonly #redis: Redis;
  readonly #socket: Socket;
  readonly #inbox: Inbox;
  readonly #onClose: (wire: Wire, reason: WalrusError) => void;
  #exchange: Exchange | null = null;
  #end: WalrusError | null = null;
  /** The server's id of this connection, for `CLIENT UNBLOCK`; `null` where it would not say. */
  readonly clientId: number | null;

  private constructor(
    redis: Redis,
    clientId: number | null,
    onClose: (wire: Wire, reason: WalrusError) => void,
  ) {
    this.#redis = redis;
    this.#socket = redis.stream as Socket;
    this.#inbox = new Inbox(mostWaiting(redis.options));
    this.clientId = clientId;
    this.#onClose = onClose;
    this.#socket.removeAllListeners("data");
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // Ahead of ioredis's own listener, so that it does not begin to reconnect.
    this.#socket.prependListener("close", () =>
      this.#fail(new ConnectionLostError("the connection was closed")),
    );
    this.#socket.unref();
  }

  /**
   * Connect and adopt.
   *
   * Tries as often as the connection's own `retryStrategy` and `maxRetriesPerRequest` say, and ends with the
   * server's refusal at once where another try cannot help (a wrong password).
   *
   * @param redis - A connection that has not been started (`lazyConnect`) and that nobody else uses.
   * @param onClose - Told once when the wire is gone, and why.
   * @throws ConnectionLostError when no server answers.
   * @throws ReplyError when the server refuses the login.
   */
  static async open(
    redis: Redis,
    onClose: (wire: Wire, reason: WalrusError) => void,
    signal: AbortSignal,
  ): Promise<Wire> {
    await connected(redis, signal);
    const onAbort = (): void => abandon(redis);
    signal.addEventListener("abort", onAbort);
    // The answer also says that nothing of ioredis's own is outstanding on this socket.
    const answer = redis.client("ID");
    mute(redis);
    const clientId = await raceEnd(redis, answer)
      .catch((error: Error) => {
        if (error.name === "ReplyError") return null;
        abandon(redis);
        throw signal.aborted ? signal.reason : error;
      })
      .finally(() => signal.removeEventListener("abort", onAbort));
    if (signal.aborted || redis.status !== "ready") {
      abandon(redis);
      throw signal.aborted ? signal.reason : new ConnectionLostError("the connection was closed");
    }
    return new Wire(redis, Number.isSafeInteger(clientId) ? (clientId as number) : null, onClose);
  }

  /** Whether it can carry an exchange now. */
  get isIdle(): boolean {
    return this.#end === null && this.#exchange === null;
  }

  /**
   * Send a request and wait for its reply.
   *
   * @param silence - Milliseconds without a byte from the server after which the connection counts as lost.
   * @throws ConnectionLostError when the connection goes or stays silent; whether the request was carried out is
   * then unknown.
   * @throws ProtocolError when the reply is not what the decoder expects; the connection is dropped.
   */
  exchange<R>(payload: Buffer, decoder: Decoder<R>, silence: number = SILENCE): Promise<R> {
    if (this.#end !== null) return Promise.reject(this.#end);
    if (this.#exchange !== null)
      return Promise.reject(new ProtocolError("a wire carries one exchange at a time"));
    return new Promise<R>((resolve, reject) => {
      const timer = setTimeout(() => this.#suspect(silence), silence);
      this.#exchange = { decoder, resolve, reject, timer };
      this.#socket.ref();
      this.#socket.write(payload);
    });
  }

  /** Drop the connection; an exchange under way rejects with `reason`. */
  close(reason: WalrusError = new ClosedError("the connection was closed by its owner")): void {
    this.#fail(reason);
  }

  #receive(chunk: Buffer): void {
    const exchange = this.#exchange;
    if (exchange === null) {
      if (this.#end === null) this.#fail(new ProtocolError("the server sent what nobody asked for"));
      return;
    }
    this.#inbox.push(chunk);
    let isDone: boolean;
    try {
      isDone = exchange.decoder.decode(this.#inbox);
      if (isDone && this.#inbox.size > 0) throw new ProtocolError("the server sent more than one reply");
    } catch (error) {
      this.#fail(
        error instanceof ProtocolError
          ? error
          : new ProtocolError("a reply could not be read", { cause: error }),
      );
      return;
    }
    if (!isDone) {
      exchange.timer.refresh();
      return;
    }
    this.#exchange = null;
    clearTimeout(exchange.timer);
    this.#socket.unref();
    exchange.resolve(exchange.decoder.result() as never);
  }

  /** The timer ran out: bytes that wait in this process, behind a busy event loop, are looked at first. */
  #suspect(silence: number): void {
    const exchange = this.#exchange;
    const seen = this.#socket.bytesRead;
    const look = (): void => {
      if (exchange === null || this.#exchange !== exchange) return;
      if (this.#socket.bytesRead !== seen) exchange.timer.refresh();
      else this.#fail(new ConnectionLostError(`the server gave no answer within ${silence} ms`));
    };
    // Node reads its sockets between timers and immediates; Deno and Bun only in a later turn of the event loop.
    setImmediate(() => setTimeout(() => setImmediate(look), 1));
  }

  #fail(error: WalrusError): void {
    if (this.#end !== null) return;
    this.#end = error;
    abandon(this.#redis);
    const exchange = this.#exchange;
    this.#exchange = null;
    if (exchange !== null) {
      clearTimeout(exchange.timer);
      exchange.reject(error);
    }
    this.#onClose(this, error);
  }
}

/**
 * Let ioredis send nothing more of its own.
 *
 * While a server is loading it repeats its ready check by a timer, which outlives the connection that it was for: its
 * `INFO` would come onto the next one, and the reply between ours.
 */
function mute(redis: Redis): void {
  redis.sendCommand = (command) => command.promise;
}

/** End a connection for good, without waiting for the other side. */
function abandon(redis: Redis): void {
  redis.disconnect();
  (redis.stream as Socket | undefined)?.destroy();
}

/** Start a connection and wait until it is ready, gives up, is refused, or is not wanted any more. */
async function connected(redis: Redis, signal: AbortSignal): Promise<void> {
  const { maxRetriesPerRequest = 20, connectTimeout = 10_000 } = redis.options;
  let cause: Error | undefined;
  let failures = 0;
  let resolve: () => void = () => {};
  let reject: (error: Error) => void = () => {};
  const outcome = new Promise<void>((...settle) => {
    [resolve, reject] = settle;
  });
  const giveUp = (): void => reject(new ConnectionLostError(lost(redis, cause), { cause, isSent: false }));
  const fail = (): void => {
    failures++;
    if (maxRetriesPerRequest !== null && failures > maxRetriesPerRequest) giveUp();
  };
  // ioredis bounds the TCP connect only: a frozen server would accept and then never answer the login.
  const patience = setTimeout(() => {
    if (connectTimeout === 0) return;
    cause = new Error(`no answer within ${connectTimeout} ms`);
    const socket = redis.stream as Socket | undefined;
    if (socket?.destroyed === false) {
      socket.destroy();
    } else if (redis.status === "connecting") {
      fail(); // There is no socket yet: no sentinel tells where the master is.
      patience.refresh();
    }
  }, connectTimeout);
  const listeners: Record<string, (error: Error) => void> = {
    ready: resolve,
    end: giveUp,
    connecting: () => patience.refresh(),
    close: fail,
    error: (error) => {
      cause = causeOf(error);
      if (isUntrusted(error)) giveUp(); // Another try would meet the same certificate.
      if (error.name !== "ReplyError") return;
      const refusal = replyError(error.message, { cause: causeOf(error), command: "AUTH" });
      if (!refusal.retriable && refusal.prefix !== "ERR") reject(refusal);
    },
  };
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  for (const [event, listener] of Object.entries(listeners)) redis.on(event, listener);
  try {
    if (signal.aborted) onAbort();
    else redis.connect().catch(() => {});
    await outcome;
  } catch (error) {
    abandon(redis);
    throw error;
  } finally {
    clearTimeout(patience);
    signal.removeEventListener("abort", onAbort);
    for (const [event, listener] of Object.entries(listeners)) redis.off(event, listener);
    redis.on("error", () => {}); // Without a listener ioredis prints; the socket's close says all.
  }
}

/** The promise, or a loss where the connection ends or is silent before it settles: ioredis may leave it open. */
function raceEnd<R>(redis: Redis, promise: Promise<R>): Promise<R> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(new ConnectionLostError("the connection was closed"));
    const timer = setTimeout(onClose, SILENCE);
    redis.once("close", onClose);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      redis.off("close", onClose);
    });
  });
}

function lost(redis: Redis, cause: Error | undefined): string {
  const { host, port, path, sentinels, name } = redis.options;
  const where = sentinels ? `master ${JSON.stringify(name)}` : (path ?? `${host}:${port}`);
  return `no connection to ${where}${cause ? `: ${cause.message}` : ""}`;
}
