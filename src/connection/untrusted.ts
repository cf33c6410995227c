import type { EventEmitter } from "node:events";
import type { Cluster, Redis } from "ioredis";

/** Whether a connection was refused here: the server's certificate is not one to trust. */
export function isUntrusted(error: unknown): boolean {
  const { code = "" } = (error ?? {}) as NodeJS.ErrnoException;
  return /CERT|^UNABLE_TO_|^ERR_TLS_/.test(code);
}

/** Why a cluster's nodes are not to be trusted, while it connects; it says itself only that none can be reached. */
const refusals = new WeakMap<object, Error>();

/** What the network said of the last socket, or of a node while a cluster connects, where that failed. */
export function networkError(redis: object): Error | null {
  return (redis as { stream?: { errored?: Error | null } }).stream?.errored ?? refusals.get(redis) ?? null;
}

/**
 * Where a server's certificate was refused, fail what waits for the connection.
 *
 * ioredis goes on connecting, so that it is there again once the certificate is mended; nobody has to wait for that.
 */
export function refuseUntrusted(redis: Redis | Cluster): void {
  if (redis.isCluster) heedNodes(redis as Cluster);
  (redis as EventEmitter).on("close", () => {
    const error = networkError(redis);
    if (isUntrusted(error)) (redis as unknown as Flushable).flushQueue(error!);
  });
}

/** What ioredis has for failing what waits, though its types leave it out. */
interface Flushable {
  flushQueue(error: Error): void;
}

/** Heed what a cluster's nodes fail of while it connects; forget it once one of them has told where the slots are. */
function heedNodes(cluster: Cluster): void {
  const heed = (error: unknown): void => {
    if (isUntrusted(error) && cluster.status === "connecting") refusals.set(cluster, error as Error);
  };
  for (const event of ["connecting", "connect"]) cluster.on(event, () => refusals.delete(cluster));
  // It asks each node for the slots over a copy of its connection, and tells nobody what becomes of that.
  const heedCopies = (node: Redis): void => {
    const { duplicate } = node;
    node.duplicate = (options) => {
      if (!options?.connectionName?.includes("refresher")) return duplicate.call(node, options);
      // Its socket may have closed by the time it is let go of; ioredis would keep the process for that long.
      const copy = duplicate.call(node, { ...options, disconnectTimeout: 0 });
      return copy.on("error", heed);
    };
  };
  cluster.nodes("all").forEach(heedCopies);
  cluster.on("+node", heedCopies);
}
