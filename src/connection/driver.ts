import type { Cluster, Redis, RedisOptions } from "ioredis";
import { ClosedError, ConnectionLostError } from "../ground/errors.ts";

/** What is asked of a connection: any `Redis` or `Cluster` of ioredis has it. */
export interface RedisLike {
  /** Where the connection stands: `"wait"`, `"ready"`, `"end"`, ... */
  readonly status: string;
  /** Send any command. */
  call(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  /** Send any command; texts of the reply as bytes. */
  callBuffer(command: string, args: (string | Buffer | number)[]): Promise<unknown>;
  /** Listen to an event of the connection. */
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

/** What ioredis has for ending a connection, also where its types leave it out. */
export interface Endable {
  readonly status: string;
  readonly stream?: { destroy(): void };
  quit(): Promise<unknown>;
  disconnect(): void;
  flushQueue(error: Error): void;
  setStatus(status: string): void;
}

/** The owner has closed the connection. */
export function ended(cause?: Error): ClosedError {
  return new ClosedError("the connection was closed by its owner", cause ? { cause } : {});
}

/** A connection for one wire, by the options of another. */
export function dedicated(redis: Redis, address: Partial<RedisOptions>): Redis {
  return redis.duplicate({
    protocol: 2,
    replyMapping: undefined,
    lazyConnect: true,
    disableClientInfo: true,
    db: redis.condition?.select ?? redis.options.db ?? 0,
    keyPrefix: "",
    enableOfflineQueue: true,
    enableAutoPipelining: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: undefined,
    blockingTimeout: undefined,
    socketTimeout: undefined,
    scripts: undefined,
    monitor: false,
    readOnly: false,
    ...address,
  } as RedisOptions) as Redis;
}

/** The connection of a cluster to the node at `host:port`; any other where it does not know that one yet. */
export function nodeAt(cluster: Cluster, address: string): Redis {
  const nodes = cluster.nodes("all");
  const node = nodes.find(({ options }) => `${options.host}:${options.port}` === address) ?? nodes[0];
  if (node === undefined) throw new ConnectionLostError("the cluster has no node");
  return node;
}

/** Take `host:port` apart. */
export function addressParts(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}

/** Wait until a cluster knows its slots. */
export async function clusterReady(cluster: Cluster): Promise<void> {
  if (cluster.status === "end") throw ended();
  if (cluster.status === "wait") {
    await cluster.connect().catch((cause: Error) => {
      throw new ConnectionLostError(cause.message, { cause });
    });
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const onReady = (): void => settle(resolve);
    const onEnd = (): void => settle(() => reject(new ConnectionLostError("the cluster gave no connection")));
    const settle = (then: () => void): void => {
      cluster.off("ready", onReady);
      cluster.off("end", onEnd);
      then();
    };
    cluster.on("ready", onReady);
    cluster.on("end", onEnd);
  });
}
