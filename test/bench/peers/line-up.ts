import { readFile } from "node:fs/promises";
import type { Address } from "../../../src/testing/index.ts";
import { openBullMq } from "./bullmq.ts";
import { openIoredis } from "./ioredis.ts";
import { openNodeRedis } from "./node-redis.ts";
import { BASELINE, OURS, type Peer, RAW_DECODER, RAW_SOCKET, REDIS_BENCHMARK } from "./peer.ts";
import { openRawDecoder, openRawSocket } from "./raw-socket.ts";
import { openRedisBenchmark } from "./redis-benchmark.ts";
import { openBroker } from "./redis-streams-broker.ts";
import { openGlide } from "./valkey-glide.ts";
import { openWalrus } from "./walrus.ts";

/** How a peer comes to the table. */
interface Seat {
  /** Where its version stands, from the project's root; none for what is no package. */
  readonly manifest?: string;
  open(url: string): Promise<Peer>;
  openCluster?(nodes: readonly Address[]): Promise<Peer>;
}

const BENCH = "test/bench/node_modules";

function seat(
  module: string,
  open: (name: string, module: string, to: string | readonly Address[]) => Promise<Peer>,
  name: string,
  manifest: string = `${BENCH}/${module}/package.json`,
): Seat {
  const openIt = (to: string | readonly Address[]) => open(name, module, to);
  return { manifest, open: openIt, openCluster: openIt };
}

/**
 * Who takes part, in the order of the table. The module names are values, so that the type check of the project passes
 * where the bench's own dependencies are not installed.
 */
const LINE_UP: Readonly<Record<string, Seat>> = {
  [OURS]: { manifest: "package.json", open: openWalrus, openCluster: openWalrus },
  [BASELINE]: seat("ioredis", openIoredis, BASELINE, "node_modules/ioredis/package.json"),
  "ioredis-5.11": seat("ioredis5", openIoredis, "ioredis-5.11"),
  "node-redis": seat("redis", openNodeRedis, "node-redis"),
  iovalkey: seat("iovalkey", openIoredis, "iovalkey"),
  "valkey-glide": seat("@valkey/valkey-glide", openGlide, "valkey-glide"),
  bullmq: {
    manifest: `${BENCH}/bullmq/package.json`,
    open: (url) => openBullMq("bullmq", "bullmq", url),
  },
  "redis-streams-broker": {
    manifest: `${BENCH}/redis-streams-broker/package.json`,
    open: (url) => openBroker("redis-streams-broker", "redis-streams-broker", url),
  },
  [REDIS_BENCHMARK]: { open: openRedisBenchmark },
  [RAW_SOCKET]: { open: openRawSocket },
  [RAW_DECODER]: { open: openRawDecoder },
};

/** The names of all peers. */
export const PEER_NAMES: readonly string[] = Object.keys(LINE_UP);

/** Opens one peer on connections of its own. */
export function openPeer(name: string, url: string): Promise<Peer> {
  return LINE_UP[name]!.open(url);
}

/** Opens one peer on a cluster; `null` where it has no client for one. */
export async function openClusterPeer(name: string, nodes: readonly Address[]): Promise<Peer | null> {
  return (await LINE_UP[name]!.openCluster?.(nodes)) ?? null;
}

/** The versions of those peers that are packages. */
export async function versionsOf(names: readonly string[]): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  for (const name of names) {
    const { manifest } = LINE_UP[name]!;
    if (manifest === undefined) continue;
    const text = await readFile(new URL(`../../../${manifest}`, import.meta.url), "utf8");
    versions[name] = (JSON.parse(text) as { version: string }).version;
  }
  return versions;
}
