import { type Cluster, Redis } from "ioredis";
import { startServer } from "../../src/testing/index.ts";
import type { Payload } from "./payload.ts";

const BATCH = 1_000;
const FILL = `for i = 1, #ARGV, 3 do
  redis.call("XADD", KEYS[1], "*", "user", ARGV[i], "action", ARGV[i + 1], "body", ARGV[i + 2])
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
  count: number,
): Promise<void> {
  await redis.del(key);
  for (let done = 0; done < count; ) {
    const values: string[] = [];
    for (const end = Math.min(count, done + BATCH); done < end; done++) {
      const { user, action, body } = items[done % items.length]!;
      values.push(user, action, body);
    }
    await redis.eval(FILL, 1, key, ...values);
  }
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

  /**
   * How many commands it has processed so far, and how often each: `INFO stats commandstats`. Without `INFO`, which
   * the bench itself sends.
   */
  async commands(): Promise<{ readonly processed: number; readonly commands: Map<string, number> }> {
    const info = await this.admin.info("stats", "commandstats");
    const total = Number(/^total_commands_processed:(\d+)/m.exec(info)?.[1] ?? 0);
    const matches = info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
    const commands = new Map([...matches].map(([, name, calls]) => [name!, Number(calls)] as const));
    const own = commands.get("info") ?? 0;
    commands.delete("info");
    return { processed: total - own, commands };
  }

  /** The version that `INFO server` gives. */
  async version(): Promise<string> {
    return /^redis_version:(\S+)/m.exec(await this.admin.info("server"))?.[1] ?? "?";
  }

  /** Replaces a stream by these payloads, repeated until there are `count` of them. */
  fill(key: string, items: readonly Payload[], count: number = items.length): Promise<void> {
    return fill(this.admin, key, items, count);
  }

  /** Ends the connection and the server. */
  async stop(): Promise<void> {
    this.admin.disconnect();
    await this.#stop();
  }
}
