/**
 * `npm run bench`: this library beside the clients that one would otherwise use, and beside what the machine allows.
 *
 * @example
 * ```sh
 * npm run bench                                       # the table, in less than ten minutes
 * npm run bench -- --quick                            # shows that everything runs
 * npm run bench -- --works scan,group --rounds 9 --json figures.json
 * npm run bench -- --compare test/bench/baseline.json # what changed since
 * ```
 */
import { writeFile } from "node:fs/promises";
import { cpus, loadavg, release, type } from "node:os";
import { build } from "./build.ts";
import { help, type Options, readOptions } from "./options.ts";
import { openPeer, PEER_NAMES, versionsOf } from "./peers/line-up.ts";
import type { Peer } from "./peers/peer.ts";
import { comparison } from "./report/compare.ts";
import { type Run, readRun, type WorkFigures } from "./report/run.ts";
import { legend, missedTargets, table, whereAndWhen } from "./report/table.ts";
import { BenchServer } from "./server.ts";
import { MAIN_WORKS, WORKS } from "./works/line-up.ts";
import type { Bench, Rounds } from "./works/work.ts";

const QUICK_SCALE = 0.02;
const NAMES = {
  mainWorks: MAIN_WORKS.map(({ name }) => name),
  works: WORKS.map(({ name }) => name),
  peers: PEER_NAMES,
};

try {
  const options = readOptions(process.argv.slice(2), NAMES);
  if (options === null) console.log(help(NAMES));
  else await main(options);
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  process.exitCode = 1;
}

async function main(options: Options): Promise<void> {
  const before = options.compare === null ? null : await readRun(options.compare);
  const run = await measureAll(options);
  if (options.json !== null) await writeFile(options.json, `${JSON.stringify(run, null, 1)}\n`);
  console.log(whereAndWhen(run.environment));
  console.log(table(run));
  console.log(legend(run));
  if (options.isQuick) console.log("\nA quick run shows that everything runs; its figures mean little.");
  else for (const missed of missedTargets(run)) console.log(`\nbelow what is promised: ${missed}`);
  if (before !== null) {
    console.log(
      `\nNow by then, + better and - worse beyond the spread; then: ${whereAndWhen(before.environment)}`,
    );
    console.log(comparison(run, before));
  }
  if (run.works.some(({ failures }) => Object.keys(failures).length > 0)) process.exitCode = 1;
}

async function measureAll(options: Options): Promise<Run> {
  const [date, loadBefore, started] = [new Date().toISOString(), loadavg()[0]!, performance.now()];
  await build();
  const server = await BenchServer.start();
  const peers: Peer[] = [];
  try {
    for (const name of options.peers) {
      try {
        peers.push(await openPeer(name, server.url));
      } catch (error) {
        if (options.arePeersNamed) throw new Error(`${name} cannot be opened: ${messageOf(error)}`);
        console.error(`bench: ${name} is left out: ${messageOf(error)}`);
      }
    }
    const names = peers.map(({ name }) => name);
    const works = await figuresOf(options, server, peers);
    const environment = {
      command: options.command,
      date,
      seconds: Math.round((performance.now() - started) / 1_000),
      cpu: cpus()[0]?.model.trim() ?? "?",
      cores: cpus().length,
      system: `${type()} ${release()}`,
      node: process.versions.node,
      server: await server.version(),
      load: [loadBefore, loadavg()[0]!] as const,
      versions: await versionsOf(names),
    };
    return { format: 1, environment, peers: names, works };
  } finally {
    await Promise.all(peers.map((peer) => peer.close()));
    await server.stop();
  }
}

async function figuresOf(
  { works, rounds, isQuick }: Options,
  server: BenchServer,
  peers: readonly Peer[],
): Promise<WorkFigures[]> {
  const figures: WorkFigures[] = [];
  for (const work of WORKS.filter(({ name }) => works.includes(name))) {
    const failures: Record<string, string> = {};
    const bench: Bench = {
      ...{ server, peers, rounds, isQuick },
      scaled: (count, least = 1) => Math.max(least, Math.ceil(isQuick ? count * QUICK_SCALE : count)),
      failed: (peer, error) => {
        failures[peer] = messageOf(error);
        console.error(`bench: ${work.name}: ${peer} failed: ${messageOf(error)}`);
      },
    };
    const started = performance.now();
    const { name, title, metrics, target } = work;
    let measured: Rounds = {};
    try {
      measured = await work.run(bench);
    } catch (error) {
      for (const peer of peers) bench.failed(peer.name, error); // one work that breaks does not take the others along
    }
    figures.push({ name, title, metrics, ...(target ? { target } : {}), rounds: measured, failures });
    console.error(`bench: ${name}: ${((performance.now() - started) / 1_000).toFixed(0)} s`);
  }
  return figures;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
