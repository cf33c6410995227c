import { Child } from "../child.ts";
import type { MemoryFigures } from "../memory-probe.ts";
import { payloads } from "../payload.ts";
import { BASELINE, CONTESTED, OURS } from "../peers/peer.ts";
import { median, pairedRatio } from "../statistics.ts";
import { type Bench, decimal, grouped, type Report, type Work } from "./work.ts";

const KEY = "bench:memory";
const BYTES = 100;
const ROUNDS = 2;
const MEGABYTE = 1e6;

/** What messages cost while they are held, and what a long scan costs while it runs; each in a fresh process. */
export const memory: Work = {
  name: "memory",
  async run(bench) {
    const held = await hold(bench);
    const scanned = await scanLong(bench);
    await bench.server.admin.del(KEY);
    return [held, scanned];
  },
};

async function hold(bench: Bench): Promise<Report> {
  const count = Math.max(20_000, bench.scaled(100_000));
  await bench.server.fill(KEY, payloads(count, BYTES));
  const isShort = bench.rounds < 3; // most of the time goes to starting the processes
  const rounds = isShort ? 1 : ROUNDS;
  const names = bench.peers
    .filter((peer) => peer.hold && (!isShort || CONTESTED.includes(peer.name)))
    .map(({ name }) => name);
  const figures: Record<string, number[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const name of names) figures[name]!.push((await probe(bench, name, "hold", count)).heap / count);
  }
  const ratio = (name: string) => pairedRatio(figures[name] ?? [], figures[BASELINE] ?? []);
  return {
    title: `memory: ${grouped(count)} messages of ${BYTES} B held, heap and external after gc`,
    head: ["peer", "bytes/msg", "x ioredis 6"],
    rows: names.map((name) => [name, grouped(median(figures[name]!)), decimal(ratio(name))]),
    floors: [{ what: "memory held", measured: ratio(OURS), limit: 1.15, at: "most", unit: "x ioredis 6" }],
    figures,
  };
}

async function scanLong(bench: Bench): Promise<Report> {
  const count = bench.scaled(1_000_000);
  await bench.server.fill(KEY, payloads(Math.min(count, 100_000), BYTES), count);
  const names = bench.peers.map(({ name }) => name).filter((name) => CONTESTED.includes(name));
  const figures: Record<string, MemoryFigures> = {};
  for (const name of names) figures[name] = await probe(bench, name, "scan", count);
  return {
    title: `memory: a scan of ${grouped(count)} messages of ${BYTES} B, highest above the start`,
    head: ["peer", "resident MB", "heap MB"],
    rows: names.map((name) => [
      name,
      decimal(figures[name]!.rss / MEGABYTE),
      decimal(figures[name]!.heap / MEGABYTE),
    ]),
    floors: [
      {
        what: "memory of a long scan",
        measured: (figures[OURS]?.rss ?? Number.NaN) / MEGABYTE,
        limit: 100,
        at: "most",
        unit: "MB",
      },
    ],
    figures,
  };
}

async function probe(
  { server }: Bench,
  name: string,
  question: string,
  count: number,
): Promise<MemoryFigures> {
  const child = new Child("memory-probe.ts", [server.url, name, question, KEY, `${count}`], ["--expose-gc"]);
  let figures: MemoryFigures | undefined;
  child.process.once("message", (message) => {
    figures = message as MemoryFigures;
  });
  await child.end(60_000);
  if (!figures) throw new Error(`the memory probe of ${name} ended without an answer`);
  return figures;
}
