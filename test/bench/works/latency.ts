import { contestDelays, delayOf, patienceFor } from "../delays.ts";
import type { Peer } from "../peers/peer.ts";
import type { Work } from "./work.ts";

const KEY = "bench:latency";

/** How long after another process adds a message a blocked read has it: `XREAD BLOCK` in a loop at 1,000 a second. */
export const latency: Work = {
  name: "latency",
  async run(bench) {
    const contest = { key: KEY, title: "latency", what: "blocking read latency", rounds: 8, delaysOf };
    return [await contestDelays(bench, contest)];
  },
};

async function delaysOf(peer: Peer, total: number): Promise<number[]> {
  const delays: number[] = [];
  const deadline = performance.now() + patienceFor(total);
  const read = peer.reader!(KEY);
  for (let lastId = "0-0"; delays.length < total && performance.now() < deadline; ) {
    const entries = await read(lastId);
    const now = process.hrtime.bigint();
    for (const { id, data } of entries) {
      delays.push(delayOf(data.sent, now));
      lastId = id;
    }
  }
  return delays;
}
