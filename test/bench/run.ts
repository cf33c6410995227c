/**
 * `npm run bench`: this library beside the clients that one would otherwise use.
 *
 * @example
 * ```sh
 * npm run bench                                       # everything, some minutes
 * npm run bench -- --quick                            # a smoke test; its figures mean little
 * npm run bench -- --works scan,group --rounds 9 --json figures.json
 * ```
 */
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { build } from "./build.ts";
import { openPeers, PEER_NAMES } from "./peers/line-up.ts";
import { BenchServer } from "./server.ts";
import { floorTable, isReached, reportTable } from "./table.ts";
import { addMany } from "./works/add-many.ts";
import { app } from "./works/app.ts";
import { cluster } from "./works/cluster.ts";
import { consume } from "./works/consume.ts";
import { groupRead } from "./works/group-read.ts";
import { idle } from "./works/idle.ts";
import { latency } from "./works/latency.ts";
import { memory } from "./works/memory.ts";
import { producer } from "./works/producer.ts";
import { scan } from "./works/scan.ts";
import { single } from "./works/single.ts";
import { tail } from "./works/tail.ts";
import type { Bench, Report, Work } from "./works/work.ts";
import { worker } from "./works/worker.ts";
import { worker1Ms } from "./works/worker-1ms.ts";
import { workerIdle } from "./works/worker-idle.ts";
import { workerLatency } from "./works/worker-latency.ts";

const WORKS: readonly Work[] = [
  ...[scan, addMany, groupRead, single, latency, memory],
  ...[consume, tail, idle, cluster],
  ...[producer, worker, worker1Ms, workerIdle, workerLatency, app],
];
const QUICK_SCALE = 0.02;

const HELP = `npm run bench -- [options]
  --works a,b     of ${WORKS.map(({ name }) => name).join(", ")} (default: all)
  --peers a,b     of ${PEER_NAMES.join(", ")} (default: all)
  --sizes a,b     payload bytes of scan and addMany (default: 100,1024)
  --rounds n      measured rounds (default: 5; quick: 2)
  --json FILE     writes all figures there
  --quick         a fiftieth of the messages; memory of two peers`;

const { values: options } = parseArgs({
  options: {
    works: { type: "string" },
    peers: { type: "string" },
    sizes: { type: "string", default: "100,1024" },
    rounds: { type: "string" },
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (options.help) {
  console.log(HELP);
} else {
  await main();
}

async function main(): Promise<void> {
  const works = chosen(
    options.works,
    WORKS.map(({ name }) => name),
    "works",
  );
  const names = chosen(options.peers, PEER_NAMES, "peers");
  await build();
  const server = await BenchServer.start();
  const peers = await openPeers(names, server.url);
  const bench: Bench = {
    server,
    peers,
    rounds: atLeast(options.rounds ?? (options.quick ? "2" : "5"), 1, "rounds"),
    sizes: options.sizes.split(",").map((size) => atLeast(size, 41, "sizes")),
    scaled: (count) => Math.ceil(options.quick ? count * QUICK_SCALE : count),
  };
  const reports: Report[] = [];
  try {
    const versions = `Node ${process.versions.node}, Redis ${await server.version()}`;
    console.log(`${versions}, ${availableParallelism()} processors, ${bench.rounds} interleaved rounds`);
    for (const work of WORKS.filter(({ name }) => works.includes(name))) {
      for (const report of await work.run(bench)) {
        reports.push(report);
        console.log(reportTable(report));
      }
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
    await server.stop();
  }
  const floors = reports.flatMap((report) => report.floors);
  console.log(floorTable(floors));
  if (options.quick) console.log("A quick run shows that everything runs; its figures mean little.");
  if (options.json) {
    const verdicts = floors.map((floor) => ({ ...floor, reached: isReached(floor) }));
    const figures = reports.map(({ title, figures }) => ({ title, figures }));
    await writeFile(options.json, `${JSON.stringify({ reports: figures, floors: verdicts }, null, 2)}\n`);
  }
}

function chosen(list: string | undefined, all: readonly string[], option: string): readonly string[] {
  const names = list?.split(",") ?? all;
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`--${option} must be of ${all.join(", ")}, got ${unknown}`);
  return names;
}

function atLeast(text: string, least: number, option: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new Error(`--${option} must be whole numbers from ${least} up, got ${text}`);
  }
  return value;
}
