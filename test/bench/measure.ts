import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Tally } from "./payload.ts";
import { BASELINE } from "./peers/peer.ts";
import { median, pairedRatio } from "./statistics.ts";

/** One side of a contest. */
export interface Contender {
  readonly name: string;
  /** Sets the stage; not measured. */
  prepare?(): Promise<unknown>;
  /** The measured work. */
  run(): Promise<Tally>;
  /** What it has to see, where that differs from the others. */
  readonly expected?: Tally;
  /** Judges what it left behind, and throws; not measured. */
  verify?(): Promise<unknown>;
}

/** One measured run. */
export interface Sample {
  /** Messages a second. */
  readonly rate: number;
  /** CPU time of this process for each message, in microseconds. */
  readonly cpu: number;
  /** The server's part of all CPU time, its own and this process's: 0 to 1. */
  readonly serverShare: number;
}

/** What all rounds of one contender come to. */
export interface Summary {
  readonly name: string;
  /** Messages a second: the median, the slowest and the fastest round. */
  readonly rate: number;
  readonly slowest: number;
  readonly fastest: number;
  /** To the baseline of the same round, then the median; NaN where there is no baseline. */
  readonly ratio: number;
  readonly cpu: number;
  readonly serverShare: number;
  readonly samples: readonly Sample[];
}

/** Collects all garbage, so that no peer pays for the one before it. */
export const collectGarbage: () => void = (() => {
  if (globalThis.gc) return globalThis.gc as () => void;
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();

/** Whose CPU time is set against this process's, in microseconds. */
export interface Consumption {
  cpu(): Promise<number>;
}

async function sample(contender: Contender, all: Tally, server: Consumption): Promise<Sample> {
  await contender.prepare?.();
  const serverBefore = await server.cpu();
  collectGarbage();
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const seen = await contender.run();
  const seconds = (performance.now() - started) / 1_000;
  const { user, system } = process.cpuUsage(cpuBefore);
  const serverUsed = (await server.cpu()) - serverBefore;
  const expected = contender.expected ?? all;
  if (seen.messages !== expected.messages || seen.characters !== expected.characters) {
    throw new Error(`${contender.name} saw ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
  }
  await contender.verify?.();
  return {
    rate: seen.messages / seconds,
    cpu: (user + system) / seen.messages,
    serverShare: serverUsed / (serverUsed + user + system),
  };
}

/**
 * Runs the contenders in interleaved rounds: whatever the machine does meanwhile, it does to all of them. Each round
 * starts with another contender. One round before the first warms up and does not count.
 *
 * @param expected - what every run has to see that does not say otherwise
 * @returns a summary for each contender, in the order given
 */
export async function measure(
  contenders: readonly Contender[],
  expected: Tally,
  options: { readonly rounds: number; readonly server: Consumption },
): Promise<Summary[]> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]));
  for (let round = -1; round < options.rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(turn + round + 1) % contenders.length]!;
      const result = await sample(contender, expected, options.server);
      if (round >= 0) samples.get(contender.name)!.push(result);
    }
  }
  const base = (samples.get(BASELINE) ?? []).map(({ rate }) => rate);
  return contenders.map(({ name }) => {
    const own = samples.get(name)!;
    const rates = own.map(({ rate }) => rate);
    return {
      name,
      rate: median(rates),
      slowest: Math.min(...rates),
      fastest: Math.max(...rates),
      ratio: pairedRatio(rates, base),
      cpu: median(own.map(({ cpu }) => cpu)),
      serverShare: median(own.map(({ serverShare }) => serverShare)),
      samples: own,
    };
  });
}
