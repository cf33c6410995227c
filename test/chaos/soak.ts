// Faults at random while producers write and group members read: `npm run soak [seconds] [seed]`.
import { fileURLToPath } from "node:url";
import { type Report, soak } from "./run.ts";

/** What a report says, line by line. */
function lines({ seed, seconds, counts, faults, failures }: Report): string[] {
  const list = (record: object): string =>
    Object.entries(record)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ");
  return [
    `soak: seed ${seed}, ${seconds} s`,
    `  ${list(counts)}`,
    `  faults: ${list(faults)}`,
    ...failures.map((failure) => `  FAILED: ${failure}`),
    failures.length === 0
      ? "  every acknowledged add was seen, nothing is pending"
      : `  ${failures.length} checks failed`,
  ];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds = "60", seed = String(Math.floor(Math.random() * 2 ** 32))] = process.argv.slice(2);
  console.log(`soak: seed ${seed} for ${seconds} s (again: npm run soak ${seconds} ${seed})`);
  const report = await soak({ seconds: Number(seconds), seed: Number(seed) });
  console.log(lines(report).join("\n"));
  process.exitCode = report.failures.length === 0 ? 0 : 1;
}
