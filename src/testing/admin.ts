import { Redis } from "ioredis";
import type { Server } from "./server.ts";

/**
 * Sends one command to a server on a connection of its own, through the Unix socket.
 *
 * @returns the reply, in the shapes of RESP2
 * @throws Error when the server replies with one, or not within 2 s, or is not there
 */
export async function command(server: Server, ...words: [string, ...string[]]): Promise<unknown> {
  const { password } = server.options;
  const redis = new Redis({
    path: server.socketPath!,
    ...(password === undefined ? {} : { password }),
    protocol: 2,
    disableClientInfo: true,
    enableReadyCheck: false,
    lazyConnect: true,
    connectTimeout: 2000,
    commandTimeout: 2000,
    retryStrategy: () => null,
  });
  redis.on("error", () => {});
  const [name, ...rest] = words;
  try {
    return await redis.call(name, ...rest);
  } finally {
    redis.disconnect();
  }
}

/** Stops all, and only then throws what one of them threw. */
export async function stopAll(servers: readonly Server[]): Promise<void> {
  const results = await Promise.allSettled(servers.map((server) => server.stop()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** Starts all at once; when one does not start, stops the others and throws its error. */
export async function startAll(starts: readonly Promise<Server>[]): Promise<Server[]> {
  const results = await Promise.allSettled(starts);
  const servers = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return servers;
  await stopAll(servers);
  throw failed.reason;
}
