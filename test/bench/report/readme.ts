/**
 * `npm run bench:readme`: writes the README's speed table from `test/bench/baseline.json`.
 */
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { METRICS } from "../metrics.ts";
import { BASELINE, OURS } from "../peers/peer.ts";
import { comparedOf, figureOf, type Run, ratioOf, readRun } from "./run.ts";
import { NONE, ratio, whereAndWhen } from "./table.ts";

/** The run that the README shows. */
export const STORED: URL = new URL("../baseline.json", import.meta.url);
/** The README. */
export const README: URL = new URL("../../../README.md", import.meta.url);

const START = "<!-- bench:start -->";
const END = "<!-- bench:end -->";

/** The README's table with its legend, as Markdown. */
export function readmeTable(run: Run): string {
  const { works, environment } = run;
  const peers = run.peers.filter((peer) => works.some(({ rounds }) => rounds[peer] !== undefined));
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const rows = works.flatMap((work) =>
    comparedOf(work).map((name) => {
      const { label, isAbsolute, format } = METRICS[name];
      const cell = (peer: string): string => {
        const value = figureOf(work, peer, name);
        const share = ratioOf(work, peer, name);
        if (Number.isNaN(value)) return NONE;
        if (peer === BASELINE || isAbsolute || Number.isNaN(share)) return format(value);
        return peer === OURS ? `**${ratio(share)}**` : ratio(share);
      };
      return row([`\`${work.name}\``, label, ...peers.map(cell)]);
    }),
  );
  const versions = Object.entries(environment.versions).filter(([name]) => name !== OURS);
  return [
    row(["work", "", ...peers]),
    row(["---", "---", ...peers.map(() => "---:")]),
    ...rows,
    "",
    `The figures of ${BASELINE} are its own, the others are multiples of it; where it has none, and for commands and KB, all`,
    `figures are their own. Of \`us\`, \`bytes\`, \`MB\`, \`KB\` and \`commands\` less is better. ${NONE}: cannot be done by this one.`,
    "",
    ...works.map(({ name, title }) => `- \`${name}\`: ${title}`),
    "",
    ...(environment.command.includes("--quick") ? ["**A quick run: its figures mean little.**", ""] : []),
    `Medians of interleaved rounds by \`${environment.command}\`: ${whereAndWhen(environment)};`,
    `${versions.map(([name, version]) => `${name} ${version}`).join(", ")}.`,
  ].join("\n");
}

/**
 * Puts a table between the two marks.
 *
 * @throws Error where the text does not have both, in their order
 */
export function withTable(text: string, markdown: string): string {
  const start = text.indexOf(START);
  const end = text.indexOf(END);
  if (start < 0 || end < start) throw new Error(`README.md must hold ${START} and after it ${END}`);
  return `${text.slice(0, start)}${START}\n${markdown}\n${text.slice(end)}`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const text = await readFile(README, "utf8");
  await writeFile(README, withTable(text, readmeTable(await readRun(STORED))));
}
