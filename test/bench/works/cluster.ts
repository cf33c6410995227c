import { Cluster, Redis } from "ioredis";
import { startServer } from "../../../src/testing/index.ts";
import { type Contender, measure } from "../measure.ts";
import { payloads } from "../payload.ts";
import { openClusterPeer } from "../peers/line-up.ts";
import type { Peer } from "../peers/peer.ts";
import { cpuOf, fill, renewGroup, verifyAcknowledged } from "../server.ts";
import type { Bench, Rounds, Work } from "./work.ts";

const KEYS: readonly string[] = Array.from({ length: 30 }, (_, i) => `bench:cluster:${i}`);
const GROUP = "cg";
const BYTES = 100;

/** A group over many streams of a cluster. */
export const cluster: Work = {
  name: "cluster",
  title: "a group reads and acknowledges 30 streams of a cluster with three masters",
  metrics: ["rate", "cpu", "serverShare"],
  target: { ratio: 1 },
  async run(bench) {
    const server = await startServer({ cluster: true });
    const masters = server.masters.map(({ url }) => new Redis(url));
    const admin = new Cluster(server.startupNodes);
    for (const redis of [...masters, admin]) redis.on("error", (error) => console.error(`cluster: ${error}`));
    const peers: Peer[] = [];
    try {
      for (const { name } of bench.peers) {
        const peer = await openClusterPeer(name, server.startupNodes);
        if (peer) peers.push(peer);
      }
      return await contest(bench, peers, admin, masters);
    } finally {
      for (const peer of peers) await peer.close();
      for (const redis of [...masters, admin]) redis.disconnect();
      await server.stop();
    }
  },
};

async function contest(
  bench: Bench,
  peers: readonly Peer[],
  admin: Cluster,
  masters: readonly Redis[],
): Promise<Rounds> {
  const items = payloads(bench.scaled(5_000), BYTES);
  const messages = items.length * KEYS.length;
  await Promise.all(KEYS.map((key) => fill(admin, key, items)));
  const contenders = peers.map(
    (peer): Contender => ({
      name: peer.name,
      expected: { messages, characters: messages * BYTES },
      prepare: () => Promise.all(KEYS.map((key) => renewGroup(admin, key, GROUP))),
      run: () => peer.readGroups!(KEYS, GROUP),
      verify: () => Promise.all(KEYS.map((key) => verifyAcknowledged(admin, key, GROUP))),
    }),
  );
  const cpu = async () => (await Promise.all(masters.map(cpuOf))).reduce((sum, used) => sum + used, 0);
  return measure(contenders, bench, { cpu });
}
