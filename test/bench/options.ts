import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";

/** What the command was told. */
export interface Options {
  /** What to type to measure the same again. */
  readonly command: string;
  /** Names, in the order of the table. */
  readonly works: readonly string[];
  readonly peers: readonly string[];
  /** Whether the peers were named, so that each of them has to be there. */
  readonly arePeersNamed: boolean;
  readonly rounds: number;
  readonly isQuick: boolean;
  readonly json: string | null;
  readonly compare: string | null;
}

/** What there is to choose from. */
export interface Choice {
  readonly mainWorks: readonly string[];
  readonly works: readonly string[];
  readonly peers: readonly string[];
}

const ROUNDS = 5;
const QUICK_ROUNDS = 2;

/** What `--help` prints. */
export function help({ mainWorks, works, peers }: Choice): string {
  const further = works.filter((work) => !mainWorks.includes(work));
  return `npm run bench -- [options]
  --works a,b     of ${mainWorks.join(", ")} (default: these),
                  ${further.join(", ")}; or: all
  --peers a,b     of ${peers.join(", ")} (default: all)
  --rounds n      measured rounds (default: ${ROUNDS}; quick: ${QUICK_ROUNDS})
  --quick         a fiftieth of the messages: shows that everything runs, its figures mean little
  --json FILE     writes all rounds and where and when they were measured
  --compare FILE  prints what changed since a run that --json wrote`;
}

/**
 * Reads the command line.
 *
 * @returns `null` where it asks for help
 * @throws Error that says option, rule and value
 */
export function readOptions(args: readonly string[], choice: Choice): Options | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      works: { type: "string" },
      peers: { type: "string" },
      rounds: { type: "string" },
      json: { type: "string" },
      compare: { type: "string" },
      quick: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const asked = values.works === "all" ? choice.works.join(",") : values.works;
  const { works, peers, rounds, quick } = values;
  const given = Object.entries({ works, peers, rounds }).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name} ${value}`],
  );
  const said = [...given, ...(quick ? ["--quick"] : [])];
  return {
    command: ["npm run bench", ...(said.length > 0 ? ["--", ...said] : [])].join(" "),
    works: asked === undefined ? choice.mainWorks : chosen("works", asked, choice.works),
    peers: peers === undefined ? choice.peers : chosen("peers", peers, choice.peers),
    arePeersNamed: peers !== undefined,
    rounds: rounds === undefined ? (quick ? QUICK_ROUNDS : ROUNDS) : roundsOf(rounds),
    isQuick: quick,
    json: values.json === undefined ? null : writable(values.json),
    compare: values.compare ?? null,
  };
}

/** In the order of all, whatever the order asked for. */
function chosen(option: string, list: string, all: readonly string[]): readonly string[] {
  const names = list.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !all.includes(name));
  if (unknown !== undefined) {
    throw new Error(`--${option} must be names out of ${all.join(", ")}, got ${JSON.stringify(unknown)}`);
  }
  return all.filter((name) => names.includes(name));
}

function roundsOf(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 100) return value;
  throw new Error(`--rounds must be a whole number from 1 to 100, got ${JSON.stringify(text)}`);
}

/** Minutes of measuring are not to be lost for a folder that is not there. */
function writable(file: string): string {
  const path = resolve(file);
  const isFolder = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch {
    throw new Error(`--json must be a file in a folder that can be written to, got ${JSON.stringify(file)}`);
  }
  if (isFolder) throw new Error(`--json must be a file, got the folder ${JSON.stringify(file)}`);
  return path;
}
