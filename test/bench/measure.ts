import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Tally } from "./payload.ts";
import type { Bench, Round, Rounds } from "./works/work.ts";

/** One peer at one work. */
export interface Contender {
  /** The peer. */
  readonly name: string;
  /** Sets the stage; not measured. */
  prepare?(): Promise<unknown>;
  /** The measured work. */
  run(): Promise<Tally>;
  /** What it has to see. */
  readonly expected: Tally;
  /** Judges what it left behind, and throws; not measured. */
  verify?(): Promise<unknown>;
}

/** Whose CPU time is set against this process's, in microseconds. */
export interface Consumption {
  cpu(): Promise<number>;
}

/** The longest that one turn may take, in milliseconds. */
const PATIENCE = 120_000;
/** What the system counts the time of processes in, on every Linux. */
const TICK = 10_000;

/** Collects all garbage, so that no peer pays for the one before it. */
export const collectGarbage: () => void = (() => {
  if (globalThis.gc) return globalThis.gc as () => void;
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
})();

/** The CPU time of this process and, where the system tells, of the children that have ended, in microseconds. */
function cpuUsed(): number {
  const { user, system } = process.cpuUsage();
  let ofChildren = 0;
  try {
    // Behind the name in brackets: fields 3 and so on; 16 and 17 are the time of children that were waited for.
    const fields = readFileSync("/proc/self/stat", "latin1")
      .replace(/^.*\) /, "")
      .split(" ");
    ofChildren = (Number(fields[13]) + Number(fields[14])) * TICK;
  } catch {} // not Linux
  return user + system + ofChildren;
}

async function turn(contender: Contender, server: Consumption): Promise<Round> {
  await contender.prepare?.();
  const serverBefore = await server.cpu();
  collectGarbage();
  const cpuBefore = cpuUsed();
  const started = performance.now();
  const seen = await within(contender.run());
  const seconds = (performance.now() - started) / 1_000;
  const used = cpuUsed() - cpuBefore;
  const serverUsed = (await server.cpu()) - serverBefore;
  const { messages, characters } = contender.expected;
  const isSeen = seen.characters === null || seen.characters === characters;
  if (seen.messages !== messages || !isSeen) {
    throw new Error(`saw ${JSON.stringify(seen)} instead of ${JSON.stringify(contender.expected)}`);
  }
  await contender.verify?.();
  return {
    rate: messages / seconds,
    cpu: used / messages,
    serverShare: serverUsed / (serverUsed + used),
  };
}

async function within<T>(run: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took more than ${PATIENCE / 1_000} s`)), PATIENCE);
  });
  try {
    return await Promise.race([run, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Runs the contenders in interleaved rounds: whatever the machine does meanwhile, it does to all of them. Each round
 * starts with another contender. One round before the first warms up and does not count. One that fails is out.
 *
 * @param take - what a turn comes to
 * @returns the rounds of each that did not fail, in the order given
 */
export async function interleave<T extends { readonly name: string }>(
  contenders: readonly T[],
  bench: Pick<Bench, "rounds" | "failed">,
  take: (contender: T, round: number) => Promise<Round>,
): Promise<Rounds> {
  const rounds = new Map<string, Round[]>(contenders.map(({ name }) => [name, []]));
  for (let round = -1; round < bench.rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const contender = contenders[(turn + round + 1) % contenders.length]!;
      const own = rounds.get(contender.name);
      if (own === undefined) continue;
      try {
        const result = await take(contender, round);
        if (round >= 0) own.push(result);
      } catch (error) {
        rounds.delete(contender.name);
        bench.failed(contender.name, error);
      }
    }
  }
  return Object.fromEntries(rounds);
}

/** Measures messages a second, CPU for each and the server's part of all CPU time, in {@link interleave}d rounds. */
export function measure(
  contenders: readonly Contender[],
  bench: Pick<Bench, "rounds" | "failed">,
  server: Consumption,
): Promise<Rounds> {
  return interleave(contenders, bench, (contender) => turn(contender, server));
}
