import { openBullMq } from "./bullmq.ts";
import { openIoredis } from "./ioredis.ts";
import { openNodeRedis } from "./node-redis.ts";
import { BASELINE, BULLMQ, OURS, type Peer } from "./peer.ts";
import { openWalrus } from "./walrus.ts";

/**
 * Who takes part and how each is opened. The module names are values, so that the type check of the project passes
 * where the bench's own dependencies are not installed.
 */
const LINE_UP: Readonly<Record<string, (url: string) => Promise<Peer>>> = {
  [BASELINE]: (url) => openIoredis(BASELINE, "ioredis", url),
  "ioredis 5.11": (url) => openIoredis("ioredis 5.11", "ioredis5", url),
  "node-redis 6.3": (url) => openNodeRedis("node-redis 6.3", "redis", url),
  "iovalkey 0.4": (url) => openIoredis("iovalkey 0.4", "iovalkey", url),
  [BULLMQ]: (url) => openBullMq(BULLMQ, "bullmq", url),
  [OURS]: openWalrus,
};

/** The names of all peers. */
export const PEER_NAMES: readonly string[] = Object.keys(LINE_UP);

/** Opens one peer on a connection of its own. */
export async function openPeer(name: string, url: string): Promise<Peer> {
  const open = LINE_UP[name];
  if (!open) throw new Error(`peer must be one of ${PEER_NAMES.join(", ")}, got ${name}`);
  return open(url);
}

/** Opens these peers; one that cannot be loaded is left out with a notice. */
export async function openPeers(names: readonly string[], url: string): Promise<Peer[]> {
  const peers: Peer[] = [];
  for (const name of names) {
    try {
      peers.push(await openPeer(name, url));
    } catch (error) {
      console.error(`${name} is left out: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return peers;
}
