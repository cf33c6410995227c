import { parseArgs } from "node:util";
import fc from "fast-check";
import { PROPERTIES } from "./properties.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    only: { type: "string", default: "" },
    path: { type: "string" },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error("npm run fuzz -- [--minutes 5] [--seed <number>] [--only <part of a name>] [--path <path>]");
  process.exit(2);
}
const chosen = Object.entries(PROPERTIES).filter(([name]) => name.includes(values.only));
console.log(`fuzzing ${chosen.length} properties for ${minutes} minutes, seed ${seed}`);
for (const [name, property] of chosen) {
  const outcome = fc.check(property, {
    seed,
    ...(values.path === undefined ? {} : { path: values.path }),
    numRuns: 1_000_000_000,
    interruptAfterTimeLimit: (minutes * 60_000) / chosen.length,
    maxSkipsPerRun: 1_000_000_000,
  });
  console.log(`${outcome.failed ? "FAILED" : "ok"}  ${name}: ${outcome.numRuns} runs`);
  if (!outcome.failed) continue;
  process.exitCode = 1;
  console.log(fc.stringify(outcome.counterexample));
  console.log(outcome.errorInstance ?? "");
  const again = `--seed ${outcome.seed} --path "${outcome.counterexamplePath}" --only "${name}"`;
  console.log(`again: npm run fuzz -- ${again}`);
}
