import { once } from "node:events";
import { Child } from "../child.ts";
import { openPeer } from "../peers/line-up.ts";
import { BASELINE, OURS, type Peer } from "../peers/peer.ts";
import { median, pairedRatio, quantile } from "../statistics.ts";
import { type Bench, decimal, type Floor, grouped, type Work } from "./work.ts";

const KEY = "bench:latency";
const RATE = 1_000;
const SECONDS = 2.5;
const ROUNDS = 8;

interface Latency {
  readonly name: string;
  /** Microseconds from XADD being called to the message being in hand, one figure a round. */
  readonly p50: number[];
  readonly p99: number[];
}

const CONTESTED: readonly string[] = [BASELINE, OURS];

/** How long after another process adds a message a blocked read has it: `XREAD BLOCK` in a loop at 1,000 a second. */
export const latency: Work = {
  name: "latency",
  async run(bench) {
    const total = Math.max(RATE, bench.scaled(RATE * SECONDS));
    const names = bench.peers.map(({ name }) => name).filter((name) => CONTESTED.includes(name));
    // Connections of their own: nothing else may stand in front of a blocked read.
    const peers: Peer[] = [];
    const producer = new Child("latency-producer.ts", [bench.server.url, KEY, `${RATE}`]);
    try {
      for (const name of names) peers.push(await openPeer(name, bench.server.url));
      await once(producer.process, "message", { signal: AbortSignal.timeout(20_000) });
      return [report(await listen(bench, peers, producer, total), total)];
    } finally {
      if (producer.process.connected) producer.process.disconnect();
      await producer.end(2_000);
      for (const peer of peers) await peer.close();
      await bench.server.admin.del(KEY);
    }
  },
};

async function listen(
  bench: Bench,
  peers: readonly Peer[],
  producer: Child,
  total: number,
): Promise<Latency[]> {
  const rounds = bench.rounds < 3 ? bench.rounds : ROUNDS; // a tail needs more rounds than a rate
  const results = peers.map(({ name }): Latency => ({ name, p50: [], p99: [] }));
  for (let round = -1; round < rounds; round++) {
    const count = round < 0 ? RATE : total; // the round before the first warms up
    for (let turn = 0; turn < peers.length; turn++) {
      const index = (turn + round + 1) % peers.length;
      await bench.server.admin.del(KEY);
      producer.process.send(count);
      const delays = await delaysOf(peers[index]!, count);
      if (round < 0) continue;
      results[index]!.p50.push(quantile(delays, 0.5));
      results[index]!.p99.push(quantile(delays, 0.99));
    }
  }
  return results;
}

/** Reads until everything has arrived, and gives the delay of each message in microseconds. */
async function delaysOf(peer: Peer, total: number): Promise<number[]> {
  const delays: number[] = [];
  const deadline = performance.now() + (total / RATE) * 1_000 + 20_000;
  const read = peer.reader!(KEY);
  for (let lastId = "0-0"; delays.length < total && performance.now() < deadline; ) {
    const entries = await read(lastId);
    const now = process.hrtime.bigint();
    for (const { id, data } of entries) {
      delays.push(Number(now - BigInt(data.sent!)) / 1_000);
      lastId = id;
    }
  }
  if (delays.length !== total) throw new Error(`${peer.name} saw ${delays.length} of ${total} messages`);
  return delays;
}

function report(results: readonly Latency[], total: number) {
  const ours = results.find(({ name }) => name === OURS);
  const base = results.find(({ name }) => name === BASELINE);
  const ratio = (of: Latency | undefined, which: "p50" | "p99") =>
    pairedRatio(of?.[which] ?? [], base?.[which] ?? []);
  const floor = (which: "p50" | "p99"): Floor => ({
    what: `blocking read latency ${which}`,
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
    title: `latency: ${grouped(total)} messages at ${grouped(RATE)} a second from another process, microseconds`,
    head: ["peer", "p50", "min .. max", "p99", "min .. max", "p50 x ioredis 6", "p99 x ioredis 6"],
    rows: results.map((r) => [
      r.name,
      ...column(r.p50),
      ...column(r.p99),
      decimal(ratio(r, "p50")),
      decimal(ratio(r, "p99")),
    ]),
    floors: [floor("p50"), floor("p99")],
    figures: results,
  };
}
