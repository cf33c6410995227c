import { once } from "node:events";
import { Child } from "../child.ts";
import type { Order } from "../feeder.ts";
import { Handling } from "../handling.ts";
import { type Contender, measure } from "../measure.ts";
import type { Peer } from "../peers/peer.ts";
import type { Bench, Work } from "./work.ts";

const KEY = "bench:consume";
const GROUP = "cg";
const BYTES = 100;

/** A consumer that follows, while another process adds. */
export const consume: Work = {
  name: "consume",
  title:
    "a group's consumer follows a stream to which another process adds 1,000 at a time, and acknowledges",
  metrics: ["rate", "cpu", "serverShare"],
  target: { ratio: 1.5 },
  async run(bench) {
    const feeder = new Child("feeder.ts", [bench.server.url, KEY]);
    try {
      await once(feeder.process, "message", { signal: AbortSignal.timeout(20_000) });
      const contenders = bench.peers.flatMap((peer) =>
        peer.consume ? [contender(bench, peer, feeder)] : [],
      );
      return await measure(contenders, bench, bench.server);
    } finally {
      await feeder.release();
      await bench.server.admin.del(KEY);
    }
  },
};

function contender({ server, scaled }: Bench, peer: Peer, feeder: Child): Contender {
  const messages = scaled(100_000);
  return {
    name: peer.name,
    expected: { messages, characters: messages * BYTES },
    prepare: async () => {
      await server.admin.del(KEY);
      await server.renewGroup(KEY, GROUP);
    },
    run: async () => {
      const handling = new Handling(messages);
      const consuming = peer.consume!({ key: KEY, group: GROUP, handle: handling.handle, handling });
      feeder.process.send({ count: messages, medium: "stream" } satisfies Order);
      await consuming;
      return handling.seen();
    },
    verify: () => server.verifyAcknowledged(KEY, GROUP),
  };
}
