/**
 * Child process of the memory work, started with `--expose-gc`: one peer, one question, one answer, in bytes.
 *
 * Arguments: url, peer, `hold` or `scan`, key, how many.
 */
import { openPeer } from "./peers/line-up.ts";

/** What the probe sends back, above what stood before; in bytes. */
export interface MemoryFigures {
  /** `heapUsed + external` with everything held (`hold`), or at its highest (`scan`). */
  readonly heap: number;
  /** The resident set at its highest. */
  readonly rss: number;
}

const SAMPLE_EVERY = 5;

const [url = "", name = "", question = "", key = "", count = "0"] = process.argv.slice(2);
const inUse = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};
const settled = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  return inUse();
};

const peer = await openPeer(name, url);

if (question === "hold") {
  await peer.hold?.(key, 1_000); // what is loaded on first use is not what a message costs
  const before = settled();
  const rss = process.memoryUsage.rss();
  const held = (await peer.hold?.(key, Number(count))) ?? [];
  const heap = settled() - before;
  if (held.length !== Number(count))
    throw new Error(`${name} holds ${held.length} messages instead of ${count}`);
  process.send?.({ heap, rss: process.memoryUsage.rss() - rss } satisfies MemoryFigures);
} else {
  const before = settled();
  const rss = process.memoryUsage.rss();
  let highest: MemoryFigures = { heap: 0, rss: 0 };
  const timer = setInterval(() => {
    highest = {
      heap: Math.max(highest.heap, inUse() - before),
      rss: Math.max(highest.rss, process.memoryUsage.rss() - rss),
    };
  }, SAMPLE_EVERY);
  const seen = await peer.scan?.(key);
  clearInterval(timer);
  if (seen?.messages !== Number(count))
    throw new Error(`${name} saw ${seen?.messages} messages instead of ${count}`);
  process.send?.(highest);
}
await peer.close();
process.disconnect?.();
