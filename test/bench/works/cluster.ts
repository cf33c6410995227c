import { Cluster, Redis } from "ioredis";
import { type ClusterServer, startServer } from "../../../src/testing/index.ts";
import { type Contender, measure, type Summary } from "../measure.ts";
import { payloads } from "../payload.ts";
import { OURS, type Peer } from "../peers/peer.ts";
import { openWalrus, openWalrusCluster } from "../peers/walrus.ts";
import { cpuOf, fill } from "../server.ts";
import { pairedRatio } from "../statistics.ts";
import { type Bench, decimal, grouped, type Report, type Work } from "./work.ts";

const KEYS: readonly string[] = Array.from({ length: 30 }, (_, i) => `bench:cluster:${i}`);
const GROUP = "cg";
const BYTES = 100;
const ROUNDS = 3;
const ONE = "one server";
const THREE = "three masters";

/** A group's consumer over 30 streams, on one server and on a cluster; no promise. */
export const cluster: Work = {
  name: "cluster",
  async run(bench) {
    if (!bench.peers.some(({ name }) => name === OURS)) return [];
    const server = await startServer({ cluster: true });
    const masters = server.masters.map(({ url }) => new Redis(url));
    const admin = new Cluster(server.startupNodes);
    for (const redis of [...masters, admin]) redis.on("error", (error) => console.error(`cluster: ${error}`));
    try {
      return [await compare(bench, server, masters, admin)];
    } finally {
      for (const redis of [...masters, admin]) redis.disconnect();
      await server.stop();
    }
  },
};

async function compare(
  bench: Bench,
  server: ClusterServer,
  masters: readonly Redis[],
  admin: Cluster,
): Promise<Report> {
  const items = payloads(bench.scaled(5_000), BYTES);
  const messages = items.length * KEYS.length;
  const sides = [
    { name: ONE, redis: bench.server.admin, peer: await openWalrus(bench.server.url) },
    { name: THREE, redis: admin, peer: await openWalrusCluster(server.startupNodes) },
  ];
  // All servers' CPU: those that have nothing to do use next to none.
  const cpus = [bench.server.admin, ...masters];
  const cpu = async () => (await Promise.all(cpus.map(cpuOf))).reduce((sum, used) => sum + used, 0);
  try {
    for (const { redis } of sides)
      await Promise.all(KEYS.map((key) => fill(redis, key, items, items.length)));
    const summaries = await measure(
      sides.map(contender),
      { messages, characters: messages * BYTES },
      { rounds: Math.min(ROUNDS, bench.rounds), server: { cpu } },
    );
    const held = await Promise.all(masters.map((master) => master.dbsize()));
    return report(messages, held, summaries);
  } finally {
    for (const { peer } of sides) await peer.close();
    await Promise.all(KEYS.map((key) => bench.server.admin.del(key)));
  }
}

function contender(side: { name: string; redis: Redis | Cluster; peer: Peer }): Contender {
  const { name, redis, peer } = side;
  const prepare = async (key: string): Promise<void> => {
    await redis.xgroup("DESTROY", key, GROUP);
    await redis.xgroup("CREATE", key, GROUP, "0-0");
  };
  const verify = async (key: string): Promise<void> => {
    const [pending] = (await redis.xpending(key, GROUP)) as [number];
    if (pending !== 0) throw new Error(`${name} left ${pending} entries of ${key} pending`);
  };
  return {
    name,
    prepare: () => Promise.all(KEYS.map(prepare)),
    run: () => peer.consumeGroup!(KEYS, GROUP),
    verify: () => Promise.all(KEYS.map(verify)),
  };
}

function report(messages: number, held: readonly number[], summaries: readonly Summary[]): Report {
  const rates = ({ samples }: Summary) => samples.map(({ rate }) => rate);
  return {
    title: `cluster: ${grouped(messages)} messages of ${BYTES} B in ${KEYS.length} streams through a group, \
ack() for each; ${held.join(" + ")} streams on the masters`,
    head: ["servers", "msg/s", "min .. max", `x ${ONE}`, "CPU us/msg", "server share"],
    rows: summaries.map((s) => [
      s.name,
      grouped(s.rate),
      `${grouped(s.slowest)} .. ${grouped(s.fastest)}`,
      decimal(pairedRatio(rates(s), rates(summaries[0]!))),
      decimal(s.cpu),
      `${(s.serverShare * 100).toFixed(0)} %`,
    ]),
    floors: [],
    figures: summaries,
  };
}
