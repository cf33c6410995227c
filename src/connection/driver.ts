import type { Cluster, Command, Redis, RedisOptions } from "ioredis";
import { ClosedError, ConnectionLostError, replyError } from "../ground/errors.ts";
import type { EntrySizeOption } from "./entry-size.ts";
import { isUntrusted, networkError } from "./untrusted.ts";

/** What is asked of a connection: any `Redis` or `Cluster` of ioredis has it. */
export interface RedisLike {
  /** Where the connection stands: `"wait"`, `"ready"`, `"end"`, ... */
  readonly status: string;
  /** Send any command. */
  call(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  /** Send a command that was made already. */
  sendCommand(command: Command): unknown;
  /** Listen to an event of the connection. */
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** What ioredis has for ending a connection, also where its types leave it out. */
export interface Endable {
  readonly status: string;
  readonly stream?: { destroy(): void };
  readonly connector?: { disconnectTimeout: number };
  quit(): Promise<unknown>;
  disconnect(): void;
  flushQueue(error: Error): void;
  setStatus(status: string): void;
}

/** Whether the owner has given the connection up; ioredis tells nobody when that is done while it reconnects. */
export function isClosing(redis: object): boolean {
  return (redis as { manuallyClosing?: boolean }).manuallyClosing === true;
}

/** The owner has closed the connection. */
export function ended(cause?: Error): ClosedError {
  return new ClosedError("the connection was closed by its owner", cause ? { cause } : {});
}

/** Break a connection off: its socket is not waited for, and commands without an answer reject. */
export function breakOff(redis: Endable): void {
  // ioredis would keep a timer for a socket that does not close, also for one that has.
  if (redis.connector) redis.connector.disconnectTimeout = 0;
  redis.disconnect();
  redis.stream?.destroy();
  redis.flushQueue(ended());
}

/** Whether ioredis has ended a connection because it could not be kept up, not because it was told to. */
export function isGivenUp(redis: Redis | Cluster): boolean {
  const { status, options, retryAttempts } = redis as unknown as GivenUp;
  const strategy = "clusterRetryStrategy" in options ? options.clusterRetryStrategy : options.retryStrategy;
  return status === "end" && (typeof strategy !== "function" || retryAttempts > 0);
}

/** What ioredis has for connecting again, though its types leave it out. */
interface GivenUp {
  readonly status: string;
  readonly options: { readonly retryStrategy?: unknown; readonly clusterRetryStrategy?: unknown };
  /** How often it has tried since it was ready last. */
  readonly retryAttempts: number;
}

/** The database that a connection is in, or was in before it was lost: ioredis chooses it again. */
export function databaseOf(redis: Redis): number {
  const { condition, prevCondition } = redis as unknown as Conditions;
  return (prevCondition ?? condition)?.select ?? redis.options.db ?? 0;
}

/** What ioredis keeps of a connection's state, though its types leave it out. */
interface Conditions {
  readonly condition?: { readonly select?: number } | null;
  readonly prevCondition?: { readonly select?: number } | null;
}

/**
 * What caused an error, without the password that ioredis leaves in it: the arguments of the login, and those that a
 * server repeats which does not know the command.
 */
export function causeOf(error: Error): Error {
  const { command } = error as { command?: { name?: string } };
  if (command === undefined || !/^(auth|hello)$/i.test(command.name ?? "")) return error;
  const cause = new Error(replyError(error.message).message);
  cause.name = error.name;
  return cause;
}

/** Take the password out of an error that ioredis is about to tell, and out of what it says of a cluster's last node. */
export function redact(error: unknown): unknown {
  const { lastNodeError } = error as { lastNodeError?: unknown };
  if (lastNodeError instanceof Error)
    Object.assign(error as Error, { lastNodeError: causeOf(lastNodeError) });
  return error instanceof Error ? causeOf(error) : error;
}

/** A connection for one wire, by the options of another. */
export function dedicated(redis: Redis, address: Partial<RedisOptions> & EntrySizeOption): Redis {
  return redis.duplicate({
    protocol: 2,
    replyMapping: undefined,
    lazyConnect: true,
    disableClientInfo: true,
    db: databaseOf(redis),
    keyPrefix: "",
    enableOfflineQueue: true,
    enableAutoPipelining: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: undefined,
    blockingTimeout: undefined,
    socketTimeout: undefined,
    disconnectTimeout: 0,
    scripts: undefined,
    monitor: false,
    readOnly: false,
    ...address,
  } as RedisOptions) as Redis;
}

/** The connection of a cluster to the node at `host:port`; `null` where it has none. */
export function nodeAt(cluster: Cluster, address: string): Redis | null {
  return cluster.nodes("all").find(({ options }) => `${options.host}:${options.port}` === address) ?? null;
}

/** A connection for one wire to the node at `host:port`, by the options of another node where that one is new. */
export function dedicatedTo(cluster: Cluster, address: string): Redis {
  const node = nodeAt(cluster, address) ?? cluster.nodes("all")[0];
  if (node === undefined) throw new ConnectionLostError("the cluster has no node", { isSent: false });
  // One attempt: by the next one the slot may have another owner.
  const { maxEntrySize } = cluster.options as EntrySizeOption;
  return dedicated(node, { ...addressParts(address), retryStrategy: () => null, maxEntrySize });
}

/** Where a redirection leads, by the cluster's `natMap`. */
export function mapped(cluster: Cluster, address: string): string {
  const { host, port } = (cluster as unknown as NatMapper).natMapper(address);
  return `${host}:${port}`;
}

/** What ioredis has for mapping addresses, though its types leave it out. */
interface NatMapper {
  natMapper(address: string): { host: string; port: number };
}

/** Take `host:port` apart. */
function addressParts(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

/** Wait until a cluster knows its slots. */
export async function clusterReady(cluster: Cluster): Promise<void> {
  if (cluster.status === "end") throw ended();
  if (cluster.status === "wait") {
    await cluster.connect().catch((error: Error) => {
      const cause = networkError(cluster) ?? error;
      throw new ConnectionLostError(cause.message, { cause, isSent: false });
    });
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const onReady = (): void => settle(resolve);
    const onEnd = (): void =>
      settle(() => reject(new ConnectionLostError("the cluster gave no connection", { isSent: false })));
    // Disconnected by its owner while it reconnects, it ends without saying so; else it goes on trying.
    const onDisconnecting = (): void => {
      if ((cluster as unknown as { manuallyClosing?: boolean }).manuallyClosing)
        settle(() => reject(ended()));
    };
    const onClose = (): void => {
      const cause = networkError(cluster);
      if (isUntrusted(cause))
        settle(() => reject(new ConnectionLostError(cause!.message, { cause: cause!, isSent: false })));
    };
    const settle = (then: () => void): void => {
      cluster.off("close", onClose);
      cluster.off("ready", onReady);
      cluster.off("end", onEnd);
      cluster.off("disconnecting", onDisconnecting);
      then();
    };
    cluster.on("close", onClose);
    cluster.on("ready", onReady);
    cluster.on("end", onEnd);
    cluster.on("disconnecting", onDisconnecting);
  });
}

/** Milliseconds to wait before try `attempt` + 1: 50 ms doubling to 2 s, with a random half. */
export function backoff(attempt: number): number {
  const most = Math.min(50 * 2 ** attempt, 2000);
  return most / 2 + (Math.random() * most) / 2;
}

/** How often a request is tried again after a lost connection, by the connection's own options. */
export function maxRetriesOf({ options }: Redis | Cluster): number {
  const own = "redisOptions" in options ? options.redisOptions : (options as RedisOptions);
  const { maxRetriesPerRequest = 20 } = own ?? {};
  return maxRetriesPerRequest ?? Number.POSITIVE_INFINITY;
}
