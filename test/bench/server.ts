import { type Cluster, Redis } from "ioredis";
import { startServer } from "../../src/testing/index.ts";
import type { Payload } from "./payload.ts";

const BATCH = 1_000;
const FILL = `for i = 1, #ARGV, 3 do
  redis.call("XADD", KEYS[1], "*", "user", ARGV[i], "action", ARGV[i + 1], "body", ARGV[i + 2])
end`;
const FILL_JSON = `for i = 1, #ARGV do
  redis.call("XADD", KEYS[1], "*", "json", ARGV[i])
end`;

/** {@link BenchServer.cpu} of any server. */
export async function cpuOf(redis: Redis): Promise<number> {
  const info = await redis.info("cpu");
  const seconds = (name: string) => Number(new RegExp(`^${name}:(.*)$`, "m").exec(info)?.[1] ?? 0);
  return (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6;
}

/** {@link BenchServer.fill} of any server or cluster. */
export async function fill(
  redis: Redis | Cluster,
  key: string,
  items: readonly Payload[],
  count: number = items.length,
): Promise<void> {
  await redis.del(key);
  await append(redis, key, items, count);
}

/** Adds these payloads, repeated until there are `count` of them: 1,000 a script, which costs its caller next to nothing. */
export async function append(
  redis: Redis | Cluster,
  key: string,
  items: readonly Payload[],
  count: number,
): Promise<void> {
  for (let done = 0; done < count; ) {
    const values: string[] = [];
    for (const end = Math.min(count, done + BATCH); done < end; done++) {
      const { user, action, body } = items[done % items.length]!;
      values.push(user, action, body);
    }
    await redis.eval(FILL, 1, key, ...values);
  }
}

/** {@link BenchServer.renewGroup} of any server or cluster. */
export async function renewGroup(redis: Redis | Cluster, key: string, group: string): Promise<void> {
  if ((await redis.exists(key)) === 1) await redis.xgroup("DESTROY", key, group);
  await redis.xgroup("CREATE", key, group, "0-0", "MKSTREAM");
}

/** {@link BenchServer.verifyAcknowledged} of any server or cluster. */
export async function verifyAcknowledged(redis: Redis | Cluster, key: string, group: string): Promise<void> {
  const [pending] = (await redis.xpending(key, group)) as [number];
  if (pending !== 0) throw new Error(`${pending} entries of ${key} are pending`);
}

/** The server under the bench: one for all peers, on TCP loopback, nothing saved. */
export class BenchServer {
  /** Where the peers connect to: `redis://127.0.0.1:<port>`. */
  readonly url: string;
  /** The bench's own connection, for what is not measured. */
  readonly admin: Redis;
  readonly #stop: () => Promise<void>;

  private constructor(url: string, stop: () => Promise<void>) {
    this.url = url;
    this.#stop = stop;
    this.admin = new Redis(url);
    this.admin.on("error", (error) => console.error(`bench server: ${error.message}`));
  }

  /** Starts a server of its own on a free port. */
  static async start(): Promise<BenchServer> {
    const server = await startServer();
    return new BenchServer(server.url, () => server.stop());
  }

  /** The CPU time that the server has used so far, user and system, in microseconds: `INFO cpu`. */
  cpu(): Promise<number> {
    return cpuOf(this.admin);
  }

  /** How many connections it has, the bench's own among them, and how many of those are blocked: `INFO clients`. */
  async clients(): Promise<{ readonly connected: number; readonly blocked: number }> {
    const info = await this.admin.info("clients");
    const count = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, "m").exec(info)?.[1] ?? 0);
    return { connected: count("connected_clients"), blocked: count("blocked_clients") };
  }

  /** How many commands it has processed so far, without `INFO`, which the bench itself sends. */
  async commands(): Promise<number> {
    const info = await this.admin.info("stats", "commandstats");
    const count = (pattern: RegExp) => Number(pattern.exec(info)?.[1] ?? 0);
    return count(/^total_commands_processed:(\d+)/m) - count(/^cmdstat_info:calls=(\d+)/m);
  }

  /** Name and version that `INFO server` gives. */
  async version(): Promise<string> {
    const info = await this.admin.info("server");
    const [, valkey] = /^valkey_version:(\S+)/m.exec(info) ?? [];
    return valkey ? `Valkey ${valkey}` : `Redis ${/^redis_version:(\S+)/m.exec(info)?.[1] ?? "?"}`;
  }

  /** Replaces a stream by these payloads, repeated until there are `count` of them. */
  fill(key: string, items: readonly Payload[], count: number = items.length): Promise<void> {
    return fill(this.admin, key, items, count);
  }

  /** Replaces a stream by these payloads as JSON, each in the field `json`. */
  async fillJson(key: string, items: readonly Payload[]): Promise<void> {
    await this.admin.del(key);
    for (let done = 0; done < items.length; done += BATCH) {
      const values = items.slice(done, done + BATCH).map((item) => JSON.stringify(item));
      await this.admin.eval(FILL_JSON, 1, key, ...values);
    }
  }

  /** The ids of a stream's entries. */
  async ids(key: string): Promise<string[]> {
    const ids: string[] = [];
    for (let start = "-"; ; start = `(${ids.at(-1)}`) {
      const page = await this.admin.xrange(key, start, "+", "COUNT", BATCH);
      for (const [id] of page) ids.push(id);
      if (page.length < BATCH) return ids;
    }
  }

  /** Makes a group that begins with the first entry, in place of one that is there. */
  async renewGroup(key: string, group: string): Promise<void> {
    await renewGroup(this.admin, key, group);
  }

  /** Throws where a group has entries that are not acknowledged. */
  async verifyAcknowledged(key: string, group: string): Promise<void> {
    await verifyAcknowledged(this.admin, key, group);
  }

  /** Throws where a stream does not have this number of entries. */
  async verifyLength(key: string, length: number): Promise<void> {
    const stored = await this.admin.xlen(key);
    if (stored !== length) throw new Error(`${stored} of ${length} entries are in the stream`);
  }

  /** Ends the connection and the server. */
  async stop(): Promise<void> {
    this.admin.disconnect();
    await this.#stop();
  }
}
