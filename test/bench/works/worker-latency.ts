import { contestDelays, delayOf, patienceFor } from "../delays.ts";
import { type Handled, Handling } from "../handling.ts";
import { BASELINE, BULLMQ, OURS, type Peer } from "../peers/peer.ts";
import type { Bench, Work } from "./work.ts";

const KEY = "bench:worker-latency";
const GROUP = "cg";

/** How long after another process adds a message a worker's handler has it; no promise. */
export const workerLatency: Work = {
  name: "worker-latency",
  async run(bench) {
    const contest = {
      key: KEY,
      title: "worker-latency",
      names: [BASELINE, BULLMQ, OURS],
      rounds: 4,
      prepare: ({ server }: Bench) => server.admin.xgroup("CREATE", KEY, GROUP, "0-0", "MKSTREAM"),
      delaysOf,
    };
    return [await contestDelays(bench, contest)];
  },
};

async function delaysOf(peer: Peer, total: number): Promise<number[]> {
  const delays: number[] = [];
  const handling = new Handling(total, patienceFor(total));
  const handle = (message: Handled): void => {
    delays.push(delayOf(message.data.sent, process.hrtime.bigint()));
    handling.count();
  };
  await peer.work!({ key: KEY, group: GROUP, handle, handling });
  return delays;
}
