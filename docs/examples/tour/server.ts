// Where the tour runs: on a private server of its own, or on the one that REDIS_URL names, under its own prefix only.
import { randomBytes } from "node:crypto";
import { Redis } from "ioredis";
import { startServer } from "walrus-streams/testing";

/** A server for the time of the tour; giving it back leaves nothing behind. */
export interface RentedServer extends AsyncDisposable {
  /** What to connect to. */
  readonly url: string;
  /** What every key of the tour begins with. */
  readonly prefix: string;
  /** Which server it is, in words. */
  readonly description: string;
  /** The keys under the prefix, asked over a connection of its own. */
  keys(): Promise<string[]>;
}

/** `REDIS_URL` cannot be used. */
export class UnreachableError extends Error {}

/** Start a private server, or reach the one of `REDIS_URL`; gives up after three seconds. */
export async function rentServer(signal: AbortSignal): Promise<RentedServer> {
  const given = process.env.REDIS_URL || null;
  const own = given === null ? await startServer({ signal }) : null;
  const url = own?.url ?? given!;
  const prefix = `walrus-tour:${randomBytes(4).toString("hex")}:`;
  const redis = new Redis(url, { connectTimeout: 3000, commandTimeout: 5000, retryStrategy: () => null });
  let reason: Error | null = null;
  redis.on("error", (error: Error) => {
    reason ??= error;
  });

  async function keys(): Promise<string[]> {
    const found = new Set<string>();
    for await (const page of redis.scanStream({ match: `${prefix}*`, count: 1000 })) {
      for (const key of page as string[]) found.add(key);
    }
    return [...found];
  }

  try {
    const [, name, version] = /(valkey|redis)_version:(\S+)/.exec(await versionsOf(redis)) ?? [];
    const where = own === null ? "the server of REDIS_URL" : "a private server on a free port";
    const description = `${name === "valkey" ? "Valkey" : "Redis"} ${version}, ${where}`;
    return {
      ...{ url, prefix, description, keys },
      async [Symbol.asyncDispose]() {
        try {
          const left = own === null ? await keys() : [];
          if (left.length > 0) await redis.unlink(left);
        } catch (error) {
          console.error(`tour: keys under ${prefix} may be left, for an hour: ${(error as Error).message}`);
          process.exitCode = 1;
        } finally {
          redis.disconnect();
          await own?.stop();
        }
      },
    };
  } catch (error) {
    redis.disconnect();
    await own?.stop();
    const { message } = reason ?? (error as Error);
    const what = own === null ? `REDIS_URL (${withoutPassword(url)})` : "the private server";
    throw new UnreachableError(`cannot use ${what}: ${message}`, { cause: error });
  }
}

/** The lines of INFO that name the server; Valkey's own version comes first. */
async function versionsOf(redis: Redis): Promise<string> {
  const lines = (await redis.info("server")).split("\r\n");
  return lines.sort((a, b) => (a > b ? -1 : 1)).join("\n");
}

function withoutPassword(text: string): string {
  if (!URL.canParse(text)) return "not a URL";
  const url = new URL(text);
  if (url.password !== "") url.password = "***";
  return url.href;
}
