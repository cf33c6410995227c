import { connect, createServer, type Server as Listener, type Socket } from "node:net";
import { Lane } from "./lane.ts";
import { freePort } from "./port.ts";
import type { Address } from "./server.ts";

/** Which bytes: those of the server (`replies`), those of the client (`commands`), or `both`. */
export type Direction = "replies" | "commands" | "both";

const host = "127.0.0.1";

/**
 * Starts a TCP proxy on loopback, to put faults between a client and a server.
 * It forwards bytes as they are, so TLS passes through it.
 *
 * @param target - where it connects to, once for each client
 * @throws TypeError when the target has no host or no valid port
 * @example
 * ```ts
 * import { Redis } from "ioredis";
 * import { startProxy, startServer } from "walrus-streams/testing";
 *
 * await using server = await startServer();
 * await using proxy = await startProxy(server);
 * const redis = new Redis({ ...server.options, port: proxy.port });
 * await redis.ping();
 * proxy.swallow(); // the connection stays open, and nothing is answered any more
 * redis.disconnect();
 * ```
 */
export async function startProxy(target: Address): Promise<TcpProxy> {
  const { host: to, port } = target ?? {};
  if (typeof to !== "string" || to === "") {
    throw new TypeError(`startProxy: host must be a non-empty string, got ${String(to)}`);
  }
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new TypeError(`startProxy: port must be an integer from 1 to 65535, got ${String(port)}`);
  }
  for (let attempt = 1; ; attempt++) {
    const proxy = new TcpProxy({ host: to, port }, await freePort(false));
    try {
      await proxy.accept();
      return proxy;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || attempt === 20) throw error;
    }
  }
}

/**
 * A TCP proxy on 127.0.0.1 whose faults a test commands.
 *
 * @see {@link startProxy}, which makes it
 */
export class TcpProxy {
  /** Where it listens: `127.0.0.1`. */
  readonly host: string = host;
  /** The TCP port where clients connect. */
  readonly port: number;
  /** Where it leads. */
  readonly target: Address;
  readonly #links = new Set<Link>();
  readonly #held = { replies: false, commands: false };
  #listener: Listener | null = null;
  #cut: { bytes: number; left: number; link: Link | null; done: () => void } | null = null;

  /** @internal */
  constructor(target: Address, port: number) {
    this.target = target;
    this.port = port;
  }

  /** How many clients are connected. */
  get connections(): number {
    return [...this.#links].filter(({ client }) => !client.destroyed).length;
  }

  /** How many bytes `swallow()` keeps at the moment, of all connections. */
  get heldBytes(): number {
    return [...this.#links].reduce(
      (sum, { replies, commands }) => sum + replies.heldBytes + commands.heldBytes,
      0,
    );
  }

  /** Destroys all connections, on both sides, with what is held; new ones are accepted. */
  cut(): void {
    for (const link of this.#links) link.destroy();
  }

  /**
   * Holds bytes back, of present and future connections, which stay open: a half-open link.
   * The end of a connection is held back with them. They are lost by `cut()`, delivered by `pass()`.
   *
   * @param direction - `"replies"`, what the server says, unless told otherwise
   */
  swallow(direction: Direction = "replies"): void {
    if (direction !== "commands") this.#held.replies = true;
    if (direction !== "replies") this.#held.commands = true;
  }

  /**
   * Delivers what `swallow()` held back and forwards again.
   *
   * @param direction - `"both"` unless told otherwise
   */
  pass(direction: Direction = "both"): void {
    if (direction !== "commands") this.#held.replies = false;
    if (direction !== "replies") this.#held.commands = false;
    for (const { replies, commands } of this.#links) {
      if (!this.#held.replies) replies.release();
      if (!this.#held.commands) commands.release();
    }
  }

  /**
   * Cuts one connection in the middle of a reply: the first on which the server speaks from now on, once that
   * many bytes have reached the client. Other connections stay.
   *
   * @param bytes - how much of the reply the client still gets; 0 for nothing
   * @returns a promise that resolves once the connection is cut, or another `cutAfter()` or `close()` replaces this one
   * @throws RangeError when `bytes` is not an integer of at least 0
   */
  cutAfter(bytes: number): Promise<void> {
    if (!Number.isInteger(bytes) || bytes < 0) {
      throw new RangeError(`TcpProxy.cutAfter: bytes must be an integer of at least 0, got ${String(bytes)}`);
    }
    this.#cut?.done();
    return new Promise((done) => {
      this.#cut = { bytes, left: bytes, link: null, done };
    });
  }

  /** Stops listening, so that new connections get ECONNREFUSED; present ones stay. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = null;
  }

  /**
   * Listens again, on the same port.
   *
   * @throws Error (EADDRINUSE) when the port has been taken meanwhile
   */
  async accept(): Promise<void> {
    if (this.#listener !== null) return;
    const listener = createServer({ noDelay: true }, (client) => this.#connect(client));
    this.#listener = listener;
    await new Promise<void>((resolve, reject) => {
      listener.once("error", (error) => {
        this.#listener = null;
        reject(error);
      });
      listener.listen({ port: this.port, host, exclusive: true }, resolve);
    });
  }

  /** Destroys all connections and stops listening. Does nothing the second time. */
  async close(): Promise<void> {
    this.refuse();
    this.cut();
    this.#cut?.done();
    this.#cut = null;
  }

  /** The same as `close()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #connect(client: Socket): void {
    const server = connect({ ...this.target, noDelay: true });
    const link: Link = {
      client,
      replies: new Lane(server, client, () => this.#held.replies),
      commands: new Lane(client, server, () => this.#held.commands),
      destroy: () => {
        client.destroy();
        server.destroy();
      },
    };
    link.replies.limit = (chunk) => this.#limit(link, chunk);
    this.#links.add(link);
    const closed = (): void => {
      if (!client.destroyed || !server.destroyed) return;
      this.#links.delete(link);
      if (this.#cut?.link === link) this.#cut = { ...this.#cut, left: this.#cut.bytes, link: null };
    };
    client.on("close", closed);
    server.on("close", closed);
  }

  /** Says how much of a chunk may pass before the link is cut; `null` for all of it. */
  #limit(link: Link, chunk: Buffer): number | null {
    const cut = this.#cut;
    if (cut === null || (cut.link !== null && cut.link !== link)) return null;
    cut.link = link;
    if (chunk.length < cut.left) {
      cut.left -= chunk.length;
      return null;
    }
    this.#cut = null;
    link.client.once("close", () => {
      link.destroy();
      cut.done();
    });
    return cut.left;
  }
}

/** A client's connection and its counterpart. */
interface Link {
  readonly client: Socket;
  readonly replies: Lane;
  readonly commands: Lane;
  readonly destroy: () => void;
}
