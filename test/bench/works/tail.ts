import { contestDelays, delayOf, patienceFor } from "../delays.ts";
import type { Entry, Peer } from "../peers/peer.ts";
import type { Work } from "./work.ts";

const KEY = "bench:tail";

/** The same delay through a consumer that follows: `for await`, each message looked at by itself. */
export const tail: Work = {
  name: "tail",
  async run(bench) {
    const contest = {
      key: KEY,
      title: "tail",
      what: "latency of a consumer that follows,",
      rounds: 6,
      delaysOf,
    };
    return [await contestDelays(bench, contest)];
  },
};

async function delaysOf(peer: Peer, total: number): Promise<number[]> {
  const delays: number[] = [];
  const take = ({ data }: Entry): boolean => {
    delays.push(delayOf(data.sent, process.hrtime.bigint()));
    return delays.length < total;
  };
  await peer.tail!(KEY, take, AbortSignal.timeout(patienceFor(total)));
  return delays;
}
