import Table from "cli-table3";
import { PROMISES } from "./checker.ts";
import type { Report } from "./run.ts";

/** Broken promises that are told, of each kind. */
const TOLD = 3;

/** What a report says, line by line. */
export function linesOf({ counts, faults, expiries, breaches, failures }: Report): string[] {
  const table = (head: string, facts: Readonly<Record<string, number>>): string => {
    const rows = Object.entries(facts).map(([name, count]) => [
      name,
      { content: count, hAlign: "right" as const },
    ]);
    const made = new Table({ head: [head, "count"], style: { head: [], border: [], compact: true } });
    made.push(...rows);
    return made.toString();
  };
  const lines = [table("what happened", counts), table("faults", faults)];
  if (Object.keys(expiries).length > 0)
    lines.push(table("begun again after the lease had run out, by", expiries));
  for (const promise of PROMISES) {
    const broken = breaches.filter((breach) => breach.promise === promise);
    lines.push(broken.length === 0 ? `kept: ${promise}` : `BROKEN ${broken.length} times: ${promise}`);
    for (const { entry, words, history } of broken.slice(0, TOLD))
      lines.push(`  ${entry}: ${words}`, ...history.map((line) => `    ${line}`));
  }
  lines.push(...failures.map((failure) => `FAILED: ${failure}`));
  return lines;
}
