import { spawn } from "node:child_process";
import { once } from "node:events";
import { basename, dirname, join } from "node:path";
import type { Payload, Tally } from "../payload.ts";
import { PAGE, type Peer, REDIS_BENCHMARK } from "./peer.ts";

/** Beside the server that `REDIS_SERVER` names; else on the `PATH`, by either project's name. */
function candidates({ REDIS_SERVER: server = "" }: NodeJS.ProcessEnv = process.env): string[] {
  const names = ["redis-benchmark", "valkey-benchmark"];
  const beside = basename(server) === server ? [] : names.map((name) => join(dirname(server), name));
  return [...beside, ...names];
}

/**
 * Finds `redis-benchmark`, which comes with the server.
 *
 * @throws Error where there is none
 */
export async function openRedisBenchmark(url: string): Promise<Peer> {
  for (const file of candidates()) {
    try {
      await run(file, ["--version"]);
      return new RedisBenchmarkPeer(file, new URL(url));
    } catch {} // the next one
  }
  throw new Error("there is no redis-benchmark beside the server or on the PATH (Debian: redis-tools)");
}

/** The physical limit of adds: a C program that sends the same command again and again, and counts replies. */
class RedisBenchmarkPeer implements Peer {
  readonly name: string = REDIS_BENCHMARK;
  readonly #file: string;
  readonly #url: URL;

  constructor(file: string, url: URL) {
    this.#file = file;
    this.#url = url;
  }

  addOne(key: string, items: readonly Payload[]): Promise<Tally> {
    return this.#add(key, items, 1);
  }

  addMany(key: string, items: readonly Payload[]): Promise<Tally> {
    return this.#add(key, items, PAGE);
  }

  addByMany(key: string, items: readonly Payload[], callers: number): Promise<Tally> {
    return this.#add(key, items, callers);
  }

  async #add(key: string, items: readonly Payload[], depth: number): Promise<Tally> {
    const { user, action, body } = items[0]!;
    const where = ["-h", this.#url.hostname, "-p", this.#url.port];
    const shape = ["-c", "1", "-n", `${items.length}`, "-P", `${Math.min(depth, items.length)}`, "-q"];
    const command = ["XADD", key, "*", "user", user, "action", action, "body", body];
    await run(this.#file, [...where, ...shape, ...command]);
    return { messages: items.length, characters: null };
  }

  async close(): Promise<void> {}
}

async function run(file: string, args: readonly string[]): Promise<void> {
  const child = spawn(file, args, { stdio: "ignore", timeout: 60_000, killSignal: "SIGKILL" });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${file} ended with ${code}`);
}
