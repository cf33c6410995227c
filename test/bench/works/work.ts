import type { Sample, Summary } from "../measure.ts";
import { OURS, type Peer } from "../peers/peer.ts";
import type { BenchServer } from "../server.ts";
import { pairedRatio } from "../statistics.ts";

/** What a work is given. */
export interface Bench {
  readonly server: BenchServer;
  readonly peers: readonly Peer[];
  /** How many measured rounds. */
  readonly rounds: number;
  /** The payload sizes to run, in bytes. */
  readonly sizes: readonly number[];
  /** `count` at full length, fewer in a quick run. */
  scaled(count: number): number;
}

/** A promise about speed or memory and what came out. */
export interface Floor {
  readonly what: string;
  /** NaN where ours did not take part. */
  readonly measured: number;
  readonly limit: number;
  /** `least`: the figure must not be below the limit; `most`: not above it. */
  readonly at: "least" | "most";
  /** Stands behind both figures. */
  readonly unit: string;
}

/** One table and its floors. */
export interface Report {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly floors: readonly Floor[];
  /** The figures behind the table, for `--json`. */
  readonly figures: unknown;
}

/** One thing to measure. */
export interface Work {
  /** The name on the command line. */
  readonly name: string;
  run(bench: Bench): Promise<Report[]>;
}

const count: Intl.NumberFormat = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A number with its thousands set apart. */
export function grouped(value: number): string {
  return count.format(value);
}

/** A number with two digits, or a dash where there is none. */
export function decimal(value: number): string {
  return Number.isNaN(value) ? "-" : value.toFixed(2);
}

/** The table that all works about throughput have. */
export function throughput(title: string, summaries: readonly Summary[], floors: readonly Floor[]): Report {
  return {
    title,
    head: ["peer", "msg/s", "min .. max", "x ioredis 6", "CPU us/msg", "server share"],
    rows: summaries.map((s) => [
      s.name,
      grouped(s.rate),
      `${grouped(s.slowest)} .. ${grouped(s.fastest)}`,
      decimal(s.ratio),
      decimal(s.cpu),
      `${(s.serverShare * 100).toFixed(0)} %`,
    ]),
    floors,
    figures: summaries,
  };
}

/** The floor "at least `limit` times as fast as ioredis 6". */
export function ratioFloor(
  what: string,
  summaries: readonly Summary[],
  limit: number,
  name: string = OURS,
): Floor {
  const ratio = summaries.find((s) => s.name === name)?.ratio ?? Number.NaN;
  return { what, measured: ratio, limit, at: "least", unit: "x ioredis 6" };
}

/** The floor "at least `limit` times as fast as another contender", round by round. */
export function pairFloor(
  what: string,
  summaries: readonly Summary[],
  limit: number,
  names: { readonly of: string; readonly to: string },
): Floor {
  const rates = (name: string) =>
    summaries.find((s) => s.name === name)?.samples.map(({ rate }) => rate) ?? [];
  return {
    what,
    measured: pairedRatio(rates(names.of), rates(names.to)),
    limit,
    at: "least",
    unit: `x ${names.to}`,
  };
}

/** The floor "at least `limit` times as fast as the fastest of a peer's lines", round by round. */
export function bestFloor(
  what: string,
  summaries: readonly Summary[],
  limit: number,
  names: { readonly of: string; readonly to: string },
): Floor {
  const lines = summaries.filter((s) => s.name.startsWith(names.to));
  const ratios = lines.map((s) => pairFloor(what, summaries, limit, { of: names.of, to: s.name }).measured);
  const measured = ratios.length === 0 ? Number.NaN : Math.min(...ratios);
  return { what, measured, limit, at: "least", unit: `x ${names.to}` };
}

/** The floor "ahead of every other client": ours to the fastest of the others, round by round. */
export function leadFloor(what: string, summaries: readonly Summary[]): Floor {
  const rates = (s: { samples: readonly Sample[] }) => s.samples.map(({ rate }) => rate);
  const ours = summaries.find((s) => s.name === OURS);
  const ratios = summaries
    .filter((s) => !s.name.startsWith(OURS))
    .map((s) => (ours ? pairedRatio(rates(ours), rates(s)) : Number.NaN));
  return { what, measured: Math.min(...ratios), limit: 1, at: "least", unit: "x the fastest other" };
}

/** The size as it stands in titles. */
export function sizeName(bytes: number): string {
  return bytes < 1_024 ? `${bytes} B` : `${bytes / 1_024} KB`;
}
