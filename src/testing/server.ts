/** What runs a server: a child process, or a container. */
export interface Engine {
  readonly host: string;
  readonly port: number;
  readonly socketPath: string | null;
  readonly pid: number | null;
  readonly isRunning: boolean;
  start(signal: AbortSignal | null): Promise<void>;
  end(): Promise<void>;
  kill(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  remove(): Promise<void>;
  log(): Promise<string>;
}

/** A server did not start; the message holds its log. */
export class StartError extends Error {
  /** Whether another process listens on the port. */
  readonly isPortTaken: boolean;

  constructor(message: string, options: ErrorOptions & { isPortTaken?: boolean } = {}) {
    super(`startServer: ${message}`, options);
    this.name = "StartError";
    this.isPortTaken = options.isPortTaken ?? false;
  }
}

/** A place to connect to; a `Server` is one. */
export interface Address {
  /** Name or address of the host. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
}

/** Whose certificates to trust. */
export interface ServerTrust {
  /** The authority's certificate, as PEM text. */
  readonly ca: string;
}

/** What `new Redis(...)` needs to reach a server. */
export interface ServerConnection {
  /** Absent when `path` is there. */
  host?: string;
  /** Absent when `path` is there. */
  port?: number;
  /** The Unix socket, when the server was started with `socket: true`. */
  path?: string;
  /** The server's password, if it has one. */
  password?: string;
  /** The authority to trust, when the server was started with `tls` and is reached through TCP. */
  tls?: ServerTrust;
}

/** What a server's `options` and `url` are made from. */
export interface Access {
  readonly password: string | null;
  readonly tls: ServerTrust | null;
  readonly socket: boolean;
}

/**
 * A Redis or Valkey server of one's own, on 127.0.0.1 and on a Unix socket.
 *
 * @see {@link startServer}, which makes it
 */
export class Server {
  /** Where it listens: `127.0.0.1`. */
  readonly host: string;
  /** The TCP port, the same after `restart()`. */
  readonly port: number;
  /** Its Unix socket; `null` when it runs in a container. */
  readonly socketPath: string | null;
  /** `redis://127.0.0.1:PORT`, with `rediss:` where it speaks TLS and the password where it has one. */
  readonly url: string;
  /**
   * For `new Redis(server.options)`.
   * @example
   * ```ts
   * import { Redis } from "ioredis";
   * import { startServer } from "walrus-streams/testing";
   *
   * await using server = await startServer({ password: "secret" });
   * const redis = new Redis(server.options);
   * await redis.ping();
   * redis.disconnect();
   * ```
   */
  readonly options: ServerConnection;
  readonly #engine: Engine;
  #isFrozen = false;

  /** @internal */
  constructor(engine: Engine, { password, tls, socket }: Access) {
    this.#engine = engine;
    this.host = engine.host;
    this.port = engine.port;
    this.socketPath = engine.socketPath;
    const secret = password === null ? "" : `:${encodeURIComponent(password)}@`;
    this.url = `${tls === null ? "redis" : "rediss"}://${secret}${this.host}:${this.port}`;
    const path = socket ? this.socketPath : null;
    this.options = {
      ...(path === null ? { host: this.host, port: this.port } : { path }),
      ...(password === null ? {} : { password }),
      ...(tls === null || path !== null ? {} : { tls: { ca: tls.ca } }),
    };
  }

  /** The process's number; `null` while it is not running, and for a container. */
  get pid(): number | null {
    return this.#engine.pid;
  }

  /** Whether it has been started and has not ended, frozen or not. */
  get isRunning(): boolean {
    return this.#engine.isRunning;
  }

  /** Whether `freeze()` holds it. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** Reads what the server has logged so far; empty once its files are removed. */
  async log(): Promise<string> {
    return await this.#engine.log();
  }

  /** Shuts the server down and removes its private files; a `dir` of your own stays. Does nothing the second time. */
  async stop(): Promise<void> {
    this.#isFrozen = false;
    await this.#engine.end();
    await this.#engine.remove();
  }

  /** Kills the server with `SIGKILL`; resolves once the process is gone. Its files stay, for `restart()`. */
  async kill(): Promise<void> {
    this.#isFrozen = false;
    await this.#engine.kill();
  }

  /**
   * Starts the server again, on the same port and directory; shuts it down first where it is running.
   * With `appendOnly` its data are back, otherwise it is empty, as it is after `stop()`.
   *
   * @throws StartError when it does not start, for example because the port has been taken meanwhile
   */
  async restart(): Promise<void> {
    this.#isFrozen = false;
    await this.#engine.end();
    await this.#engine.start(null);
  }

  /**
   * Holds the server with `SIGSTOP`: connections stay open and nothing is answered. Resolves once it stands still.
   *
   * @throws Error when it is not running
   */
  async freeze(): Promise<void> {
    if (!this.isRunning) throw new Error("Server.freeze: the server is not running");
    await this.#engine.freeze();
    this.#isFrozen = true;
  }

  /** Lets a frozen server go on with `SIGCONT`: it answers what was sent to it meanwhile. */
  async thaw(): Promise<void> {
    await this.#engine.thaw();
    this.#isFrozen = false;
  }

  /** The same as `stop()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
