import { resolve } from "node:path";
import { type ClusterServer, type ClusterShape, startCluster } from "./cluster.ts";
import type { ServerTls, Settings } from "./config.ts";
import { launch } from "./launch.ts";
import { type SentinelServer, type SentinelShape, startSentinel } from "./sentinel.ts";
import type { Server } from "./server.ts";

/** What `startServer()` starts: one server unless told otherwise. */
export interface ServerOptions {
  /**
   * Start a cluster, `true` for three masters without replicas.
   * @defaultValue false
   */
  readonly cluster?: boolean | ClusterShape | undefined;
  /**
   * Start a master with replicas and a sentinel, `true` for one replica.
   * @defaultValue false
   */
  readonly sentinel?: boolean | SentinelShape | undefined;
  /**
   * Whether `options` lead to the Unix socket. Every server listens on one beside TCP: see `socketPath`.
   * Not for a cluster or a sentinel.
   * @defaultValue false
   */
  readonly socket?: boolean | undefined;
  /**
   * A certificate, to speak TLS on the port; clients may, but need not, show one of their own.
   * @defaultValue no TLS
   */
  readonly tls?: ServerTls | undefined;
  /**
   * Where the data go; made when it is not there, never removed. Each server of a cluster or sentinel has a folder in it;
   * for a cluster it must be empty.
   * @defaultValue a private directory under the system's temporary one, removed on `stop()`
   */
  readonly dir?: string | undefined;
  /**
   * Whether commands are logged to a file, so that `restart()` brings the data back. Nothing is saved otherwise.
   * @defaultValue false
   */
  readonly appendOnly?: boolean | undefined;
  /**
   * The password of the default user.
   * @defaultValue no password
   */
  readonly password?: string | undefined;
  /**
   * Further arguments of the command line, for example `["--maxmemory", "10mb"]`; not for sentinels.
   * @defaultValue []
   */
  readonly args?: readonly string[] | undefined;
  /** Aborts the start, which then rejects with `signal.reason` and leaves nothing behind; not used after it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts a Redis or Valkey server of one's own: on a free port of 127.0.0.1, in a private directory, with nothing saved.
 * The binary is the one that `REDIS_SERVER` names, else `redis-server` or `valkey-server` on the `PATH`, else a container
 * through the optional package `testcontainers`. What is not stopped ends with this process, however that ends.
 *
 * @returns the server, once it answers `PING`
 * @throws TypeError or RangeError when an option is not as it should be
 * @throws StartError when there is nothing to start, or it does not start: the message has the server's log
 * @example
 * ```ts
 * import { Redis } from "ioredis";
 * import { startServer } from "walrus-streams/testing";
 *
 * await using server = await startServer({ appendOnly: true });
 * const redis = new Redis(server.url);
 * await redis.xadd("stream", "*", "message", "hello");
 * redis.disconnect();
 * await server.kill();
 * await server.restart();
 * const again = new Redis(server.options);
 * console.log(await again.xlen("stream")); // 1
 * again.disconnect();
 * ```
 */
export function startServer(
  options?: ServerOptions & { readonly cluster?: false | undefined; readonly sentinel?: false | undefined },
): Promise<Server>;
/**
 * Starts a Redis Cluster.
 *
 * @returns the cluster, once `cluster_state` is `ok` on every node, all know each other and all replicas are in step
 * @example
 * ```ts
 * import { Cluster } from "ioredis";
 * import { startServer } from "walrus-streams/testing";
 *
 * await using server = await startServer({ cluster: { masters: 3, replicas: 1, nodeTimeout: 1000 } });
 * const cluster = new Cluster(server.startupNodes, { redisOptions: server.redisOptions });
 * await cluster.set("key", "value");
 * const owner = await server.masterOf(12539);
 * await owner.kill(); // a replica takes over
 * cluster.disconnect();
 * ```
 */
export function startServer(
  options: ServerOptions & { readonly cluster: true | ClusterShape; readonly sentinel?: false | undefined },
): Promise<ClusterServer>;
/**
 * Starts a master, replicas and a sentinel.
 *
 * @returns the servers, once the sentinel sees all replicas with their links up
 * @example
 * ```ts
 * import { Redis } from "ioredis";
 * import { startServer } from "walrus-streams/testing";
 *
 * await using server = await startServer({ sentinel: true });
 * const redis = new Redis(server.options);
 * await redis.set("key", "value");
 * await server.failover();
 * redis.disconnect();
 * ```
 */
export function startServer(
  options: ServerOptions & { readonly sentinel: true | SentinelShape; readonly cluster?: false | undefined },
): Promise<SentinelServer>;
/**
 * Starts what options say that are only known at run time.
 *
 * @returns a server, a cluster or a sentinel with its servers
 */
export function startServer(options: ServerOptions): Promise<Server | ClusterServer | SentinelServer>;
export async function startServer(
  options: ServerOptions = {},
): Promise<Server | ClusterServer | SentinelServer> {
  check(options);
  const { cluster = false, sentinel = false, dir = null, signal = null } = options;
  const { socket = false, tls = null, appendOnly = false, password = null, args = [] } = options;
  const settings: Settings = {
    ...{ socket, tls, appendOnly, password, args, signal },
    dir: dir === null ? null : resolve(dir),
    needsBinary: cluster !== false || sentinel !== false || socket,
    role: "server",
    directives: [],
  };
  if (cluster !== false) return await startCluster(settings, cluster === true ? {} : cluster);
  if (sentinel !== false) return await startSentinel(settings, sentinel === true ? {} : sentinel);
  return await launch(settings);
}

// Set here, or what reaching and ending the server relies on.
const reserved =
  /^--(port|tls-port|bind|unixsocket|unixsocketperm|dir|daemonize|logfile|requirepass|sentinel)$/i;

const rules: Record<keyof ServerOptions, readonly [rule: string, holds: (value: unknown) => boolean]> = {
  cluster: ["true, false or an object", (value) => typeof value === "boolean" || isObject(value)],
  sentinel: ["true, false or an object", (value) => typeof value === "boolean" || isObject(value)],
  socket: ["true or false", isBoolean],
  tls: ["an object of three PEM texts: key, cert and ca", isTls],
  dir: ["a non-empty string", isText],
  appendOnly: ["true or false", isBoolean],
  password: ["a non-empty string", isText],
  args: [
    "an array of strings",
    (value) => Array.isArray(value) && value.every((arg) => typeof arg === "string"),
  ],
  signal: ["an AbortSignal", (value) => value instanceof AbortSignal],
};

function check(options: ServerOptions): void {
  if (!isObject(options))
    throw new TypeError(`startServer: options must be an object, got ${String(options)}`);
  for (const [name, value] of Object.entries(options)) {
    const rule = rules[name as keyof ServerOptions];
    if (rule === undefined) throw new TypeError(`startServer: there is no option ${JSON.stringify(name)}`);
    if (value === undefined || rule[1](value)) continue;
    // What is secret does not go into a message.
    const got = name === "tls" || name === "password" ? typeof value : JSON.stringify(value);
    throw new TypeError(`startServer: ${name} must be ${rule[0]}, got ${got}`);
  }
  const { cluster = false, sentinel = false, socket = false, args = [] } = options;
  if (cluster !== false && sentinel !== false) {
    throw new TypeError("startServer: cluster and sentinel exclude each other, got both");
  }
  if (socket && (cluster !== false || sentinel !== false)) {
    throw new TypeError("startServer: socket must be false with a cluster or a sentinel, got true");
  }
  if (isObject(cluster)) checkShape("cluster", cluster, { masters: 1, replicas: 0, nodeTimeout: 1 });
  if (isObject(sentinel)) checkShape("sentinel", sentinel, { downAfter: 1, replicas: 0 });
  const taken = args.find((arg) => reserved.test(arg));
  if (taken !== undefined)
    throw new TypeError(`startServer: args must not hold ${taken}, which startServer sets itself`);
}

function checkShape(option: string, shape: object, least: Record<string, number>): void {
  for (const [name, value] of Object.entries(shape)) {
    const minimum = least[name];
    if (minimum === undefined) throw new TypeError(`startServer: there is no option ${option}.${name}`);
    if (value === undefined || (Number.isInteger(value) && value >= minimum)) continue;
    throw new RangeError(
      `startServer: ${option}.${name} must be an integer of at least ${minimum}, got ${JSON.stringify(value)}`,
    );
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isBoolean(value: unknown): boolean {
  return typeof value === "boolean";
}

function isText(value: unknown): boolean {
  return typeof value === "string" && value !== "";
}

function isTls(value: unknown): boolean {
  const { key, cert, ca } = (isObject(value) ? value : {}) as Record<string, unknown>;
  return [key, cert, ca].every((pem) => typeof pem === "string" && pem.includes("-----BEGIN"));
}
