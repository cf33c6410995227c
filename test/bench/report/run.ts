import { readFile } from "node:fs/promises";
import { METRICS, type MetricName } from "../metrics.ts";
import { BASELINE } from "../peers/peer.ts";
import type { Round, Rounds, Target } from "../works/work.ts";
import { median, pairedRatio } from "./statistics.ts";

/** Where and when a run was made. */
export interface Environment {
  /** What was typed. */
  readonly command: string;
  /** The beginning, ISO 8601. */
  readonly date: string;
  readonly seconds: number;
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly node: string;
  /** Name and version. */
  readonly server: string;
  /** Processes that wanted to run on average of the minute before the beginning, and before the end. */
  readonly load: readonly [before: number, after: number];
  /** Of the peers that are packages. */
  readonly versions: Readonly<Record<string, string>>;
}

/** What came out of one work. */
export interface WorkFigures {
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly MetricName[];
  readonly target?: Target;
  readonly rounds: Rounds;
  /** What went wrong, by peer. */
  readonly failures: Readonly<Record<string, string>>;
}

/** A whole run: what `--json` writes. */
export interface Run {
  /** Of this file's layout. */
  readonly format: 1;
  readonly environment: Environment;
  /** Those who took part, in the order of the table. */
  readonly peers: readonly string[];
  readonly works: readonly WorkFigures[];
}

/** All rounds of a peer in one metric; empty where there are none. */
export function valuesOf({ rounds }: Pick<WorkFigures, "rounds">, peer: string, name: MetricName): number[] {
  return (rounds[peer] ?? []).flatMap((round: Round) => round[name] ?? []);
}

/** The median of a peer's rounds in one metric; NaN where there are none. */
export function figureOf(work: Pick<WorkFigures, "rounds">, peer: string, name: MetricName): number {
  return median(valuesOf(work, peer, name));
}

/** What a peer has to another one (ioredis 6) in the same round, then the median; NaN where one has none. */
export function ratioOf(
  work: Pick<WorkFigures, "rounds">,
  peer: string,
  name: MetricName,
  to: string = BASELINE,
): number {
  return pairedRatio(valuesOf(work, peer, name), valuesOf(work, to, name));
}

/** The metrics of a work that are compared, the first among them. */
export function comparedOf({ metrics }: Pick<WorkFigures, "metrics">): MetricName[] {
  return metrics.filter((name) => METRICS[name].better !== undefined);
}

/**
 * Reads what `--json` wrote.
 *
 * @throws Error that names the file, where it is not there or holds something else
 */
export async function readRun(file: string | URL): Promise<Run> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${file} must be a run that --json wrote: ${why}`);
  }
  if (!isRun(value)) throw new Error(`${file} must be a run that --json wrote, of format 1`);
  return value;
}

function isRun(value: unknown): value is Run {
  const { format, environment, peers, works } = (value ?? {}) as Partial<Run>;
  if (format !== 1 || typeof environment !== "object" || !Array.isArray(peers) || !Array.isArray(works)) {
    return false;
  }
  return works.every(
    ({ name, metrics, rounds }) =>
      typeof name === "string" &&
      Array.isArray(metrics) &&
      metrics.every((one) => one in METRICS) &&
      typeof rounds === "object",
  );
}
