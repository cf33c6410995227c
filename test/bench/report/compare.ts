import { METRICS } from "../metrics.ts";
import { comparedOf, figureOf, type Run, valuesOf, type WorkFigures } from "./run.ts";
import { draw, NONE, ratio } from "./table.ts";

/** How one figure changed. */
export interface Change {
  /** Median now by median then; NaN where one of them is missing. */
  readonly ratio: number;
  /**
   * Whether no round of now lies within the rounds of then: a change beyond the spread. `null` where the spreads
   * overlap, or where there was one round only, which has none.
   */
  readonly verdict: "better" | "worse" | null;
}

/** How a peer's figure of a work changed in one of its metrics. */
export function changeOf(
  now: WorkFigures,
  then: WorkFigures,
  peer: string,
  name: WorkFigures["metrics"][number],
): Change {
  const [a, b] = [valuesOf(now, peer, name), valuesOf(then, peer, name)];
  const change = figureOf(now, peer, name) / figureOf(then, peer, name);
  const isApart = Math.min(...a) > Math.max(...b) || Math.max(...a) < Math.min(...b);
  if (a.length < 2 || b.length < 2 || !isApart) return { ratio: change, verdict: null };
  return { ratio: change, verdict: change > 1 === (METRICS[name].better === "more") ? "better" : "worse" };
}

/** Every figure that both runs have: now by then, marked `+` where it is better beyond the spread and `-` where worse. */
export function comparison(now: Run, then: Run): string {
  const rows = now.works.flatMap((work) => {
    const before = then.works.find(({ name }) => name === work.name);
    if (before === undefined) return [];
    const names = comparedOf(work).filter((name) => before.metrics.includes(name));
    const cell = (peer: string) =>
      work.rounds[peer] && before.rounds[peer]
        ? names.map((name) => written(changeOf(work, before, peer, name))).join("\n")
        : NONE;
    return [[work.name, names.map((name) => METRICS[name].label).join("\n"), ...now.peers.map(cell)]];
  });
  return draw(now.peers, rows);
}

function written({ ratio: change, verdict }: Change): string {
  if (Number.isNaN(change)) return NONE;
  const mark = { better: " +", worse: " -", none: "  " }[verdict ?? "none"];
  return `${ratio(change)}${mark}`;
}
