import { PAGE, type Peer } from "../peers/peer.ts";
import { throughGroup, throughput } from "./throughput.ts";
import type { Target, Work } from "./work.ts";

const GROUP = "cg";

/** A whole stream, each message visited as an object. */
export const scan: Work = ofSize("scan", 100, 200_000, { ratio: 3, limitShare: 0.7 });

/** The same with longer messages. */
export const scan1Kb: Work = ofSize("scan-1kb", 1_024, 50_000, { ratio: 2 });

function ofSize(name: string, bytes: number, messages: number, target: Target): Work {
  return throughput({
    ...{ name, bytes, messages, target },
    title: `a stream of messages of ${bytes} bytes is read, ${PAGE} a read, each visited as an object`,
    before: ({ bench, key, items }) => bench.server.fill(key, items),
    turnOf: (peer: Peer, { key, items }) => (peer.scan ? { items, run: () => peer.scan!(key) } : null),
  });
}

/** A whole stream, page by page. */
export const pages: Work = throughput({
  name: "pages",
  title: `a stream is read page by page, ${PAGE} each, in the shape in which the client gives them`,
  messages: 200_000,
  target: { ratio: 3, limitShare: 0.7 },
  before: ({ bench, key, items }) => bench.server.fill(key, items),
  turnOf: (peer, { key, items }) => (peer.pages ? { items, run: () => peer.pages!(key) } : null),
});

/** A backlog through a group. */
export const group: Work = throughput({
  name: "group",
  title: `a group reads what is new, ${PAGE} a read with one acknowledgement for them`,
  messages: 100_000,
  target: { ratio: 2.5 },
  before: async ({ bench: { server, peers }, key, items }) => {
    await server.fill(key, items);
    const ids = await server.ids(key);
    for (const peer of peers) peer.learn?.(key, ids);
  },
  turnOf: (peer, stage) =>
    peer.readGroup ? throughGroup(stage, GROUP, () => peer.readGroup!(stage.key, GROUP)) : null,
});
