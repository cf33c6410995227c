import { Redis } from "ioredis";
import { startServer } from "../../src/testing/index.ts";
import type { Payload } from "./payload.ts";

const BATCH = 1_000;
const FILL = `for i = 1, #ARGV, 3 do
  redis.call("XADD", KEYS[1], "*", "user", ARGV[i], "action", ARGV[i + 1], "body", ARGV[i + 2])
end`;

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
  async cpu(): Promise<number> {
    const info = await this.admin.info("cpu");
    const seconds = (name: string) => Number(new RegExp(`^${name}:(.*)$`, "m").exec(info)?.[1] ?? 0);
    return (seconds("used_cpu_user") + seconds("used_cpu_sys")) * 1e6;
  }

  /** The version that `INFO server` gives. */
  async version(): Promise<string> {
    return /^redis_version:(\S+)/m.exec(await this.admin.info("server"))?.[1] ?? "?";
  }

  /** Replaces a stream by these payloads, repeated until there are `count` of them. */
  async fill(key: string, items: readonly Payload[], count: number = items.length): Promise<void> {
    await this.admin.del(key);
    for (let done = 0; done < count; ) {
      const values: string[] = [];
      for (const end = Math.min(count, done + BATCH); done < end; done++) {
        const { user, action, body } = items[done % items.length]!;
        values.push(user, action, body);
      }
      await this.admin.eval(FILL, 1, key, ...values);
    }
  }

  /** Ends the connection and the server. */
  async stop(): Promise<void> {
    this.admin.disconnect();
    await this.#stop();
  }
}
