import { once } from "node:events";
import { waitFor } from "../../src/testing/index.ts";
import { Child } from "./child.ts";
import type { Order } from "./latency-producer.ts";
import { openPeer } from "./peers/line-up.ts";
import { BASELINE, CONTESTED, OURS, type Peer } from "./peers/peer.ts";
import { median, pairedRatio, quantile } from "./statistics.ts";
import { type Bench, decimal, type Floor, grouped, type Report } from "./works/work.ts";

/** Messages a second that the other process adds. */
export const RATE = 1_000;
const SECONDS = 2.5;
const LEAST = 250;

/** A contest about how soon a message that another process adds is in hand. */
export interface DelayContest {
  readonly key: string;
  /** Goes before the figures in the title. */
  readonly title: string;
  /** Goes before the figures in the floors; there are none without it. */
  readonly what?: string;
  /** Who takes part. @defaultValue {@link CONTESTED} */
  readonly names?: readonly string[];
  /** Measured rounds, unless it is a quick run: a tail needs more than a rate does. */
  readonly rounds: number;
  /** Sets the stage, where the stream has been removed. */
  prepare?(bench: Bench): Promise<unknown>;
  /** Reads until everything has arrived, and gives the delay of each message in microseconds. */
  delaysOf(peer: Peer, total: number): Promise<number[]>;
}

interface Delays {
  readonly name: string;
  /** Microseconds from XADD being called to the message being in hand, one figure a round. */
  readonly p50: number[];
  readonly p99: number[];
}

/** The delay of a message that is in hand now, in microseconds. */
export function delayOf(sent: string | undefined, now: bigint): number {
  return Number(now - BigInt(sent!)) / 1_000;
}

/** When so many messages are overdue, in milliseconds from their start. */
export function patienceFor(total: number): number {
  return (total / RATE) * 1_000 + 20_000;
}

/** Runs it, each peer on connections of its own: nothing else may stand in front of a blocked read. */
export async function contestDelays(bench: Bench, contest: DelayContest): Promise<Report> {
  const total = Math.max(LEAST, bench.scaled(RATE * SECONDS));
  const { names = CONTESTED } = contest;
  const peers: Peer[] = [];
  const producer = new Child("latency-producer.ts", [bench.server.url, contest.key, `${RATE}`]);
  try {
    for (const { name } of bench.peers) {
      if (names.includes(name)) peers.push(await openPeer(name, bench.server.url));
    }
    await once(producer.process, "message", { signal: AbortSignal.timeout(20_000) });
    return report(contest, await listen(bench, contest, peers, producer, total), total);
  } finally {
    if (producer.process.connected) producer.process.disconnect();
    await producer.end(2_000);
    for (const peer of peers) await peer.removeQueue?.(contest.key);
    for (const peer of peers) await peer.close();
    await bench.server.admin.del(contest.key);
  }
}

async function listen(
  bench: Bench,
  contest: DelayContest,
  peers: readonly Peer[],
  producer: Child,
  total: number,
): Promise<Delays[]> {
  const rounds = bench.rounds < 3 ? bench.rounds : contest.rounds;
  const results = peers.map(({ name }): Delays => ({ name, p50: [], p99: [] }));
  for (let round = -1; round < rounds; round++) {
    const count = round < 0 ? Math.min(RATE, total) : total; // the round before the first warms up
    for (let turn = 0; turn < peers.length; turn++) {
      const index = (turn + round + 1) % peers.length;
      const peer = peers[index]!;
      const delays = await turnOf(bench, contest, peer, producer, count);
      if (delays.length !== count) throw new Error(`${peer.name} saw ${delays.length} of ${count} messages`);
      if (round < 0) continue;
      results[index]!.p50.push(quantile(delays, 0.5));
      results[index]!.p99.push(quantile(delays, 0.99));
    }
  }
  return results;
}

/** Everybody waits for the first message when it is sent: what it takes to begin is no delay. */
async function turnOf(
  bench: Bench,
  contest: DelayContest,
  peer: Peer,
  producer: Child,
  count: number,
): Promise<number[]> {
  const { server } = bench;
  await server.admin.del(contest.key);
  await peer.removeQueue?.(contest.key);
  await contest.prepare?.(bench);
  const isWaiting = async () => (await server.clients()).blocked > 0;
  await waitFor(async () => !(await isWaiting()), { what: "nobody to wait for messages" });
  const arriving = contest.delaysOf(peer, count);
  arriving.catch(() => {}); // seen below, if not before
  await Promise.race([waitFor(isWaiting, { what: `${peer.name} to wait for messages` }), arriving]);
  producer.process.send({ count, medium: peer.enqueue ? "queue" : "stream" } satisfies Order);
  return arriving;
}

function report({ title, what }: DelayContest, results: readonly Delays[], total: number): Report {
  const ours = results.find(({ name }) => name === OURS);
  const base = results.find(({ name }) => name === BASELINE);
  const ratio = (of: Delays | undefined, which: "p50" | "p99") =>
    pairedRatio(of?.[which] ?? [], base?.[which] ?? []);
  const floor = (which: "p50" | "p99"): Floor => ({
    what: `${what} ${which}`,
    measured: ratio(ours, which),
    limit: 1.1,
    at: "most",
    unit: "x ioredis 6",
  });
  const column = (values: readonly number[]) => [
    grouped(median(values)),
    `${grouped(Math.min(...values))} .. ${grouped(Math.max(...values))}`,
  ];
  return {
    title: `${title}: ${grouped(total)} messages at ${grouped(RATE)} a second from another process, microseconds`,
    head: ["peer", "p50", "min .. max", "p99", "min .. max", "p50 x ioredis 6", "p99 x ioredis 6"],
    rows: results.map((r) => [
      r.name,
      ...column(r.p50),
      ...column(r.p99),
      decimal(ratio(r, "p50")),
      decimal(ratio(r, "p99")),
    ]),
    floors: what === undefined ? [] : [floor("p50"), floor("p99")],
    figures: results,
  };
}
