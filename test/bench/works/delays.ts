import { once } from "node:events";
import { waitFor } from "../../../src/testing/index.ts";
import { Child } from "../child.ts";
import type { Order } from "../feeder.ts";
import { type Data, Handling } from "../handling.ts";
import { interleave } from "../measure.ts";
import { openPeer } from "../peers/line-up.ts";
import type { Peer } from "../peers/peer.ts";
import { quantile } from "../report/statistics.ts";
import type { Bench, Target, Work } from "./work.ts";

/** Messages a second that the other process adds. */
const RATE = 1_000;
const SECONDS = 1.5;
/** Messages of a quick run, and of the turn that warms up. */
const LEAST = 250;
const GROUP = "cg";

/** A work about how soon a message that another process adds is in hand. */
interface Contest {
  readonly name: string;
  readonly title: string;
  readonly target: Target;
  can(peer: Peer): boolean;
  /** Reads until everything has arrived, and gives the delay of each message in microseconds. */
  delaysOf(peer: Peer, key: string, total: number): Promise<number[]>;
}

/** Until a worker's handler has it. */
export const latency: Work = delays({
  name: "latency",
  title:
    "from the call that adds, in another process at 1,000 a second, until a worker's handler has the message",
  target: { ratio: 1.1 },
  can: (peer) => peer.work !== undefined,
  delaysOf: async (peer, key, total) => {
    const seen: number[] = [];
    const handling = new Handling(total, patienceFor(total));
    const handle = (data: Data): void => {
      seen.push(delayOf(data));
      handling.count();
    };
    await peer.work!({ key, group: GROUP, handle, handling });
    return seen;
  },
});

/** Until a consumer that follows has it. */
export const tail: Work = delays({
  name: "tail",
  title: "the same until one who follows the stream without a group has it",
  target: { ratio: 1.1 },
  can: (peer) => peer.tail !== undefined,
  delaysOf: async (peer, key, total) => {
    const seen: number[] = [];
    const take = (data: Data): boolean => seen.push(delayOf(data)) < total;
    await peer.tail!(key, take, AbortSignal.timeout(patienceFor(total)));
    return seen;
  },
});

/** Until a blocked read has it. */
export const blockedRead: Work = delays({
  name: "blocked-read",
  title: "the same until a blocked read gives it",
  target: { ratio: 1.1 },
  can: (peer) => peer.reader !== undefined,
  delaysOf: async (peer, key, total) => {
    const seen: number[] = [];
    const deadline = performance.now() + patienceFor(total);
    const read = peer.reader!(key);
    for (let lastId = "0-0"; seen.length < total && performance.now() < deadline; ) {
      for (const { id, data } of await read(lastId)) {
        seen.push(delayOf(data));
        lastId = id;
      }
    }
    return seen;
  },
});

/** The delay of a message that is in hand now, in microseconds. */
function delayOf({ sent }: Data): number {
  return Number(process.hrtime.bigint() - BigInt(sent!)) / 1_000;
}

/** When so many messages are overdue, in milliseconds from their start. */
function patienceFor(total: number): number {
  return (total / RATE) * 1_000 + 20_000;
}

/** Each peer on connections of its own: nothing else may stand in front of a blocked read. */
function delays({ can, delaysOf, ...of }: Contest): Work {
  const key = `bench:${of.name}`;
  return {
    ...of,
    metrics: ["p50", "p99"],
    async run(bench) {
      const { server } = bench;
      const total = bench.scaled(RATE * SECONDS, LEAST);
      const peers: Peer[] = [];
      const feeder = new Child("feeder.ts", [server.url, key]);
      try {
        for (const { name } of bench.peers.filter(can)) peers.push(await openPeer(name, server.url));
        await once(feeder.process, "message", { signal: AbortSignal.timeout(20_000) });
        return await interleave(peers, bench, async (peer, round) => {
          const count = round < 0 ? LEAST : total;
          const seen = await turn(bench, { key, peer, feeder, count }, () => delaysOf(peer, key, count));
          if (seen.length !== count) throw new Error(`saw ${seen.length} of ${count} messages`);
          return { p50: quantile(seen, 0.5), p99: quantile(seen, 0.99) };
        });
      } finally {
        await feeder.release();
        for (const peer of peers) await peer.queue?.clear(key);
        for (const peer of peers) await peer.close();
        await server.admin.del(key);
      }
    },
  };
}

/** Everybody waits for the first message when it is sent: what it takes to begin is no delay. */
async function turn(
  { server }: Bench,
  { key, peer, feeder, count }: { key: string; peer: Peer; feeder: Child; count: number },
  begin: () => Promise<number[]>,
): Promise<number[]> {
  await server.admin.del(key);
  await peer.queue?.clear(key);
  await server.renewGroup(key, GROUP);
  const isWaiting = async () => (await server.clients()).blocked > 0;
  await waitFor(async () => !(await isWaiting()), { what: "nobody to wait for messages", timeout: 20_000 });
  const arriving = begin();
  arriving.catch(() => {}); // seen below, if not before
  await Promise.race([waitFor(isWaiting, { what: `${peer.name} to wait for messages` }), arriving]);
  const medium = peer.queue ? "queue" : "stream";
  feeder.process.send({ count, rate: RATE, medium } satisfies Order);
  return arriving;
}
