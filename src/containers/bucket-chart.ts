import { escaped } from "../ground/table.ts";

/** What is drawn of an interval. */
interface Drawn {
  readonly start: Date;
  readonly end: Date;
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
}

const WIDTH = 640;
const HEIGHT = 180;
const MARGIN = { top: 12, right: 8, bottom: 22, left: 56 } as const;
/** Readable on light and on dark ground. */
const COLOUR = "#4c8dd6";

/**
 * Intervals as a chart: a line through the means, and the band between the least and the greatest values; empty intervals
 * break both. `""` where there is nothing to draw.
 */
export function bucketChart(buckets: readonly Drawn[]): string {
  const runs = runsOf(buckets);
  if (runs.length === 0) return "";
  const filled = runs.flat();
  const low = Math.min(...filled.map(({ min }) => min));
  const high = Math.max(...filled.map(({ max }) => max));
  const from = buckets[0]!.start.getTime();
  const until = buckets.at(-1)!.end.getTime();
  const x = (time: number): string =>
    (MARGIN.left + ((time - from) / (until - from)) * (WIDTH - MARGIN.left - MARGIN.right)).toFixed(1);
  const y = (value: number): string => {
    const height = HEIGHT - MARGIN.top - MARGIN.bottom;
    return (MARGIN.top + (high === low ? 0.5 : (high - value) / (high - low)) * height).toFixed(1);
  };
  const shapes = runs.map((run) => {
    const upper = run.map(({ middle, max }) => `${x(middle)},${y(max)}`);
    const lower = run.map(({ middle, min }) => `${x(middle)},${y(min)}`).reverse();
    const means = run.map(({ middle, mean }) => `${x(middle)},${y(mean)}`);
    const band = `<polygon points="${[...upper, ...lower].join(" ")}" fill="${COLOUR}" fill-opacity="0.25" stroke="none"/>`;
    const line = `<polyline points="${means.join(" ")}" fill="none" stroke="${COLOUR}" stroke-width="1.5"/>`;
    const [x1, y1] = means[0]!.split(",");
    return run.length > 1 ? band + line : `<circle cx="${x1}" cy="${y1}" r="2.5" fill="${COLOUR}"/>`;
  });
  const text = (at: string, words: string): string =>
    `<text ${at} fill="currentColor" font-size="11" font-family="sans-serif">${escaped(words)}</text>`;
  const base = HEIGHT - MARGIN.bottom;
  const labels = [
    text(`x="${MARGIN.left - 6}" y="${MARGIN.top + 4}" text-anchor="end"`, short(high)),
    high === low ? "" : text(`x="${MARGIN.left - 6}" y="${base + 4}" text-anchor="end"`, short(low)),
    text(`x="${MARGIN.left}" y="${HEIGHT - 6}"`, moment(buckets[0]!.start)),
    text(`x="${WIDTH - MARGIN.right}" y="${HEIGHT - 6}" text-anchor="end"`, moment(buckets.at(-1)!.end)),
  ];
  const axis = `<path d="M${MARGIN.left} ${MARGIN.top}V${base}H${WIDTH - MARGIN.right}" fill="none" stroke="currentColor" stroke-opacity="0.35"/>`;
  const title = "mean as a line, least to greatest as a band";
  return (
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" style="max-width:100%;height:auto" ` +
    `role="img" aria-label="${title}"><title>${title}</title>${axis}${shapes.join("")}${labels.join("")}</svg>`
  );
}

interface Point {
  readonly middle: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
}

/** Neighbours that have values. */
function runsOf(buckets: readonly Drawn[]): Point[][] {
  const runs: Point[][] = [];
  let end: number | null = null;
  for (const { start, end: until, min, max, mean } of buckets) {
    if (min === null || max === null || mean === null) continue;
    const point = { middle: (start.getTime() + until.getTime()) / 2, min, max, mean };
    if (end === start.getTime()) runs.at(-1)!.push(point);
    else runs.push([point]);
    end = until.getTime();
  }
  return runs;
}

function short(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** A moment, as long as it has to be. */
function moment(date: Date): string {
  return date
    .toISOString()
    .replace(/:\d\d\.000Z$/, "")
    .replace(/T00:00$/, "")
    .replace("T", " ");
}
