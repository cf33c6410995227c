/**
 * `npm run chaos`: producers, workers and readers in processes of their own, under faults; then a check of every promise.
 *
 * @example
 * ```sh
 * npm run chaos -- --minutes 10 --seed 42       # the same faults again for the same seed
 * npm run chaos -- --topology cluster           # failovers and slots that move
 * npm run chaos -- --sabotage ack-first         # workers that break a promise: the checker must say so
 * ```
 */
import { parseArgs } from "node:util";
import { SABOTAGES, type Sabotage, type Topology } from "./plan.ts";
import { linesOf } from "./report.ts";
import { chaos } from "./run.ts";

const HELP = `npm run chaos -- [options]
  --minutes n     how long faults strike (default: 1; 0.5 is half a minute)
  --seed n        what determines the faults (default: any; it is printed)
  --topology t    single: one server with AOF behind proxies (default); cluster: three masters with replicas
  --sabotage s    break the members: ${SABOTAGES.join(", ")}`;

const { values: given } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 32)) },
    topology: { type: "string", default: "single" },
    sabotage: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** Say what is wrong with the arguments; `null` where nothing is. */
function refusal(): string | null {
  const { minutes, seed, topology, sabotage } = given;
  if (!(Number(minutes) > 0)) return `--minutes must be a number above 0, got ${minutes}`;
  if (!/^\d+$/.test(seed)) return `--seed must be an integer of at least 0, got ${seed}`;
  if (topology !== "single" && topology !== "cluster")
    return `--topology must be single or cluster, got ${topology}`;
  if (sabotage !== undefined && !SABOTAGES.includes(sabotage as Sabotage))
    return `--sabotage must be one of ${SABOTAGES.join(", ")}, got ${sabotage}`;
  return null;
}

const wrong = refusal();
if (given.help || wrong !== null) {
  console.log(wrong === null ? HELP : `${wrong}\n${HELP}`);
  process.exit(wrong === null ? 0 : 2);
}
const { minutes, seed, topology, sabotage } = given;
const again = `npm run chaos -- --minutes ${minutes} --seed ${seed}${topology === "single" ? "" : ` --topology ${topology}`}`;
console.log(`seed ${seed}; again: ${again}${sabotage === undefined ? "" : ` --sabotage ${sabotage}`}`);
const report = await chaos({
  seconds: Number(minutes) * 60,
  seed: Number(seed),
  topology: topology as Topology,
  sabotage: (sabotage as Sabotage | undefined) ?? null,
  tell: (line) => console.log(line),
});
console.log(linesOf(report).join("\n"));
process.exitCode = report.breaches.length + report.failures.length === 0 ? 0 : 1;
