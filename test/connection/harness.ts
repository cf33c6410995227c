import { setTimeout as sleep } from "node:timers/promises";
import { Redis, type RedisOptions } from "ioredis";
import { Database } from "../../src/index.ts";
import { type Server, waitFor } from "../../src/testing/index.ts";

/** One line of `CLIENT LIST`. */
export type ClientLine = Readonly<Record<string, string>>;

/** What a server says about its clients, on a connection that no fault touches: its Unix socket. */
export class Watch {
  /** The connection itself, for commands of a test's own. */
  readonly redis: Redis;

  constructor(server: Server) {
    const { password } = server.options;
    this.redis = new Redis({
      path: server.socketPath!,
      ...(password === undefined ? {} : { password }),
      connectionName: "watch",
      retryStrategy: () => 20,
    });
    this.redis.on("error", () => {});
  }

  /** The clients that are connected, of that name where one is given; not this one, no replicas. */
  async clients(name?: string): Promise<ClientLine[]> {
    const text = (await this.redis.client("LIST")) as string;
    return text
      .trim()
      .split("\n")
      .map((line) => Object.fromEntries(line.split(" ").map((word) => word.split(/=(.*)/).slice(0, 2))))
      .filter((client) => client.name !== "watch" && !/[SM]/.test(client.flags))
      .filter((client) => name === undefined || client.name === name);
  }

  /** Waits until so many clients are blocked in a read. */
  blocked(count = 1, name?: string): Promise<ClientLine[]> {
    return waitFor(
      async () => {
        const blocked = (await this.clients(name)).filter(({ flags }) => flags!.includes("b"));
        return blocked.length === count ? blocked : null;
      },
      { what: `${count} blocked clients`, timeout: 10_000 },
    );
  }

  /** Waits until nobody else is connected. */
  async gone(name?: string): Promise<void> {
    await waitFor(async () => (await this.clients(name)).length === 0, { what: "all clients to be gone" });
  }

  /** Ends a blocked read as if its time were over, without an entry. */
  async endSlice(client: ClientLine): Promise<void> {
    await this.redis.client("UNBLOCK", Number(client.id));
  }

  /** How often a command has been carried out. */
  async calls(command: string): Promise<number> {
    const stats = await this.redis.info("commandstats");
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect();
  }
}

/** A database that tries again soon and does not print. */
export function open(options: RedisOptions): Database {
  const { replyMapping: _, ...rest } = options;
  const db = new Database({ retryStrategy: () => 20, ...rest });
  db.on("error", () => {});
  return db;
}

/** The promise, or an error where it takes longer: a bound, not a wait. */
export async function within<T>(ms: number, promise: PromiseLike<T>): Promise<T> {
  const over = new AbortController();
  const late = sleep(ms, undefined, { signal: over.signal }).then(() => {
    throw new Error(`not settled within ${ms} ms`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
  }
}

/** What a promise rejects with, and after how many milliseconds; an error where it does not within `ms`. */
export async function failure(
  promise: PromiseLike<unknown>,
  ms = 1500,
): Promise<{ error: unknown; took: number }> {
  const start = performance.now();
  const outcome = await within(
    ms,
    promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    ),
  );
  if ("value" in outcome) throw new Error(`resolved to ${JSON.stringify(outcome.value)}, was to reject`);
  return { error: outcome.error, took: performance.now() - start };
}

/** Numbered payloads. */
export function numbered(count: number, from = 0): { n: string }[] {
  return Array.from({ length: count }, (_, i) => ({ n: String(from + i) }));
}

/** The numbers of messages that {@link numbered} made. */
export function numbersOf(messages: readonly { readonly data: Record<string, string> }[]): number[] {
  return messages.map(({ data }) => Number(data.n));
}
