import { type Ending, type Kind, type Line, memberOf } from "./book.ts";

/** What the servers hold at the end. */
export interface Remains {
  /** The entries of all streams. */
  readonly entries: readonly { readonly stream: string; readonly id: string; readonly n: string }[];
  /** The dead letters of all streams: the stream and id they had there, and when they were buried. */
  readonly dead: readonly {
    readonly stream: string;
    readonly id: string;
    readonly n: string;
    readonly at: number;
  }[];
  /** What is pending, or was never given to a group. */
  readonly left: readonly {
    readonly stream: string;
    readonly id: string;
    readonly group: string;
    readonly holder: string;
  }[];
}

/** One run of a handler. */
export interface Run {
  readonly life: string;
  readonly stream: string;
  readonly id: string;
  readonly n: string;
  readonly key: string;
  readonly deliveries: number;
  readonly from: number;
  /** When it ended, or its process did. */
  to: number;
  how: Ending | "cut short";
  /** Whether it was the first delivery of what this life read by itself. */
  isNew: boolean;
}

/** Something that stood in the way of a member, a life, or all. */
export interface Trouble {
  readonly whom: string;
  readonly why: string;
  readonly from: number;
  readonly to: number;
}

/** All that is known of a run, sorted for the rules. */
export interface Evidence extends Remains {
  /** How long a silent worker keeps its entries, in milliseconds. */
  readonly lease: number;
  /** All facts, in the order of time. */
  readonly lines: readonly Line[];
  /** What was pushed, by number: when first, and the id it was acknowledged with, if it was. */
  readonly pushes: ReadonlyMap<
    string,
    { readonly stream: string; readonly kind: Kind; readonly at: number; id: string | null }
  >;
  /** In the order in which they began. */
  readonly runs: readonly Run[];
  /** Numbers that readers were given. */
  readonly seen: ReadonlySet<string>;
  /** When the lease of an entry was renewed by a life: by `<life> <stream> <id>`, in the order of time. */
  readonly renewals: ReadonlyMap<string, readonly number[]>;
  readonly troubles: readonly Trouble[];
  /** Times of which failovers may have lost what was written. */
  readonly losses: readonly { readonly from: number; readonly to: number }[];
}

/** Between the event of a worker and the handler that it is about may be so much, in milliseconds. */
const EVENT = 1000;

/** Sort the facts of a run. */
export function evidenceOf(lines: readonly Line[], remains: Remains, lease: number): Evidence {
  const pushes = new Map<string, { stream: string; kind: Kind; at: number; id: string | null }>();
  const runs: Run[] = [];
  const open = new Map<string, Run>();
  const seen = new Set<string>();
  const renewals = new Map<string, number[]>();
  const troubles: Trouble[] = [];
  const losses: { from: number; to: number }[] = [];
  const reclaims = new Map<string, number[]>();
  for (const line of lines) {
    const { at, by } = line;
    if (line.what === "push") {
      const { n, stream, kind } = line;
      if (!pushes.has(n)) pushes.set(n, { stream, kind, at, id: null });
    } else if (line.what === "stored") {
      const push = pushes.get(line.n);
      if (push !== undefined) push.id = line.id;
    } else if (line.what === "begin") {
      const { stream, id, n, key, deliveries } = line;
      const run: Run = {
        ...{ life: by, stream, id, n, key, deliveries, from: at },
        ...{ to: Number.POSITIVE_INFINITY, how: "cut short", isNew: deliveries === 1 },
      };
      runs.push(run);
      open.set(`${by} ${stream} ${id}`, run);
    } else if (line.what === "end") {
      const run = open.get(`${by} ${line.stream} ${line.id}`);
      if (run === undefined) continue;
      run.to = at;
      run.how = line.how;
      open.delete(`${by} ${line.stream} ${line.id}`);
    } else if (line.what === "died") {
      for (const run of runs) if (run.life === line.life && run.to > at) run.to = at;
    } else if (line.what === "renewed") {
      for (const id of line.ids) push(renewals, `${by} ${line.stream} ${id}`, line.sent);
    } else if (line.what === "reclaimed") {
      for (const id of line.ids) push(reclaims, `${by} ${line.stream} ${id}`, at);
    } else if (line.what === "seen") seen.add(line.n);
    else if (line.what === "trouble") {
      troubles.push({ whom: line.whom, why: line.why, from: line.from, to: at });
    } else if (line.what === "loss") losses.push({ from: line.from, to: at });
  }
  // What was given back unstarted has no more deliveries than what is new, and comes later.
  for (const run of runs) {
    const times = reclaims.get(`${run.life} ${run.stream} ${run.id}`) ?? [];
    if (times.some((at) => at < run.from + EVENT)) run.isNew = false;
  }
  return { ...remains, lease, lines, pushes, runs, seen, renewals, troubles, losses };
}

/** What stood in the way of a life, of its member, or of all. */
export function troublesOf({ troubles }: Evidence, life: string): Trouble[] {
  const member = memberOf(life);
  return troubles.filter(({ whom }) => whom === "server" || whom === life || whom === member);
}

/** Things by what they have in common. */
export function groupBy<T>(things: Iterable<T>, nameOf: (thing: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const thing of things) push(groups, nameOf(thing), thing);
  return groups;
}

function push<T>(lists: Map<string, T[]>, name: string, item: T): void {
  const list = lists.get(name);
  if (list === undefined) lists.set(name, [item]);
  else list.push(item);
}
