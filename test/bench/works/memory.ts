import { Child } from "../child.ts";
import { interleave } from "../measure.ts";
import type { MemoryFigures } from "../memory-probe.ts";
import { payloads } from "../payload.ts";
import { type Bench, contested, type Round, type Work } from "./work.ts";

const KEY = "bench:memory";
const BYTES = 100;
const MEGABYTE = 1e6;
/** Figures of memory hardly differ between rounds. */
const ROUNDS = 2;

/** What messages cost while they are held. */
export const memory: Work = {
  name: "memory",
  title:
    "messages of a stream are held as objects, in a fresh process: heap and buffers after a garbage collection",
  metrics: ["held"],
  target: { ratio: 1.1 },
  async run(bench) {
    const count = bench.scaled(100_000, 20_000);
    await bench.server.fill(KEY, payloads(count, BYTES));
    const holders = (bench.isQuick ? contested(bench.peers) : bench.peers).filter((peer) => peer.hold);
    try {
      return await interleave(holders, few(bench), async ({ name }, round): Promise<Round> => {
        if (round < 0) return {}; // nothing warms up a process that is not there yet
        return { held: (await probe(bench, name, "hold", count)).heap / count };
      });
    } finally {
      await bench.server.admin.del(KEY);
    }
  },
};

/** What a long scan costs while it runs. */
export const memoryScan: Work = {
  name: "memory-scan",
  title:
    "a stream of a million messages is scanned, in a fresh process: resident memory at its highest, above the start",
  metrics: ["peak"],
  async run(bench) {
    const count = bench.scaled(1_000_000, 100_000);
    await bench.server.fill(KEY, payloads(Math.min(count, 100_000), BYTES), count);
    const scanners = contested(bench.peers);
    try {
      return await interleave(scanners, few(bench), async ({ name }, round): Promise<Round> => {
        if (round < 0) return {};
        return { peak: (await probe(bench, name, "scan", count)).rss / MEGABYTE };
      });
    } finally {
      await bench.server.admin.del(KEY);
    }
  },
};

function few(bench: Bench): Bench {
  return { ...bench, rounds: Math.min(bench.isQuick ? 1 : ROUNDS, bench.rounds) };
}

async function probe(
  { server }: Bench,
  name: string,
  question: "hold" | "scan",
  count: number,
): Promise<MemoryFigures> {
  const child = new Child("memory-probe.ts", [server.url, name, question, KEY, `${count}`], ["--expose-gc"]);
  let figures: MemoryFigures | undefined;
  child.process.once("message", (message) => {
    figures = message as MemoryFigures;
  });
  await child.end(60_000);
  if (!figures) throw new Error("the memory probe ended without an answer");
  return figures;
}
