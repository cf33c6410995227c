import Table from "cli-table3";
import { METRICS, percent } from "../metrics.ts";
import { BASELINE, OURS, RAW_DECODER } from "../peers/peer.ts";
import { comparedOf, type Environment, figureOf, type Run, ratioOf, type WorkFigures } from "./run.ts";

/** What stands where a peer cannot do a work. */
export const NONE = "–";

/** Draws a table: two columns of words, then one for each peer. */
export function draw(peers: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = ["work", "", ...peers.map((peer) => peer.replaceAll("-", "-\n"))];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column < 2 ? "left" : "right")),
    style: { head: [], border: [], "padding-left": 1, "padding-right": 1 },
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

/** The one table: works by peers, in each cell the figures of a work below each other. */
export function table({ peers, works }: Run): string {
  const rows = works.map((work) => {
    const lines = linesOf(work, peers);
    const cells = peers.map((peer) => {
      if (work.failures[peer] !== undefined) return "failed";
      return work.rounds[peer] ? lines.map(({ cell }) => cell(peer)).join("\n") : NONE;
    });
    return [work.name, lines.map(({ label }) => label).join("\n"), ...cells];
  });
  return draw(peers, rows);
}

interface Line {
  readonly label: string;
  cell(peer: string): string;
}

function linesOf(work: WorkFigures, peers: readonly string[]): Line[] {
  const has = (peer: string) => peers.includes(peer) && work.rounds[peer] !== undefined;
  return work.metrics.flatMap((name, i): Line[] => {
    const { label, better, isAbsolute, format } = METRICS[name];
    const lines: Line[] = [{ label, cell: (peer) => written(figureOf(work, peer, name), format) }];
    if (better === undefined || isAbsolute) return lines;
    if (has(BASELINE)) {
      lines.push({ label: `x ${BASELINE}`, cell: (peer) => written(ratioOf(work, peer, name), ratio) });
    }
    if (i === 0 && has(RAW_DECODER)) {
      const share = (peer: string) => ratioOf(work, peer, name, RAW_DECODER);
      lines.push({ label: `of ${RAW_DECODER}`, cell: (peer) => written(share(peer), percent) });
    }
    return lines;
  });
}

function written(value: number, format: (value: number) => string): string {
  return Number.isNaN(value) ? NONE : format(value);
}

/** A ratio, with as many digits as it bears. */
export function ratio(value: number): string {
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** What the works are, one a line. */
export function legend({ works }: Run): string {
  const width = Math.max(0, ...works.map(({ name }) => name.length));
  return works.map(({ name, title }) => `${name.padEnd(width)}  ${title}`).join("\n");
}

/** Where this library misses what is promised of it, one a line. */
export function missedTargets({ works }: Run): string[] {
  return works.flatMap((work) => {
    const [name] = comparedOf(work);
    if (work.target === undefined || name === undefined) return [];
    const isMore = METRICS[name].better === "more";
    const { ratio: limit, limitShare } = work.target;
    const measured = ratioOf(work, OURS, name);
    const share = ratioOf(work, OURS, name, RAW_DECODER);
    const missed: string[] = [];
    if (isMore ? measured < limit : measured > limit) {
      missed.push(
        `${work.name}: ${ratio(measured)} x ${BASELINE}, promised ${isMore ? "at least" : "at most"} ${limit}`,
      );
    }
    if (limitShare !== undefined && share < limitShare) {
      missed.push(
        `${work.name}: ${percent(share)} of ${RAW_DECODER}, promised at least ${percent(limitShare)}`,
      );
    }
    return missed;
  });
}

/** Where and when, in one line. */
export function whereAndWhen({ cpu, cores, system, node, server, load, date }: Environment): string {
  const loads = load.map((value) => value.toFixed(1)).join(" and ");
  return `${cpu}, ${cores} cores, ${system}, Node.js ${node}, ${server}, ${date.slice(0, 10)}, load ${loads}`;
}
