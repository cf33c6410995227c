import { compareIds } from "../../src/index.ts";
import type { Breach } from "./checker.ts";
import { type Evidence, groupBy, type Run, troublesOf } from "./evidence.ts";

/** What the clocks of server and members, and events, may be apart, in milliseconds. */
const CLOCKS = 50;
/** The shortest delay before a failed message comes back: the schedule's first, less its jitter, in milliseconds. */
const DELAY = 160;
/** For so long after the delay a worker waits for a message that another may have taken, in milliseconds. */
const GRACE = 5000;

const promise = "messages of one key one after another, in order, in one worker";

/**
 * What `orderBy` promises, in one life of a worker: no two handlers of one key at once; what it reads begins in the order
 * of its stream; and while a message waits for its retry, those of its key behind it wait too.
 *
 * What it takes up from others, it may take up when it has handled what comes after.
 */
export function checkOrder(evidence: Evidence): Breach[] {
  const breaches: Breach[] = [];
  const all = groupBy(evidence.runs, ({ stream, id }) => `${stream} ${id}`);
  const buried = new Map(evidence.dead.map(({ stream, id, at }) => [`${stream} ${id}`, at]));
  for (const runs of groupBy(evidence.runs, ({ life, key }) => `${life} ${key}`).values()) {
    let last: Run | null = null;
    const newest = new Map<string, Run>();
    const waits: { readonly run: Run; readonly until: number }[] = [];
    for (const run of runs) {
      const { stream, id, n, life, from } = run;
      const tell = (words: string): unknown =>
        breaches.push({ promise, entry: `${stream} ${id}`, words: `${life} began ${n} (${id}) ${words}`, n });
      if (last !== null && last.to > from) tell(`while it handled ${last.n} (${last.id}) of the same key`);
      if (last === null || run.to > last.to) last = run;
      const before = newest.get(stream);
      if (run.isNew && before !== undefined && compareIds(id, before.id) < 0)
        tell(`after ${before.n} (${before.id}), which is behind it in ${stream}`);
      if (run.isNew) newest.set(stream, run);
      const waiting = waits.find(
        (one) =>
          one.run.stream === stream &&
          from > one.run.to &&
          from < one.until - CLOCKS &&
          compareIds(id, one.run.id) > 0,
      );
      if (waiting !== undefined)
        tell(`while ${waiting.run.n} (${waiting.run.id}), which is ahead of it, waited for its retry`);
      if (run.how === "failed")
        waits.push({ run, until: waitsUntil(evidence, run, all.get(`${stream} ${id}`)!, buried) });
    }
  }
  return breaches;
}

/** Until when a failed message keeps those behind it waiting in this life, as far as that is certain. */
function waitsUntil(
  evidence: Evidence,
  run: Run,
  runs: readonly Run[],
  buried: ReadonlyMap<string, number>,
): number {
  // Another had it before this one ended, or may have had it: its lease had run out.
  if (runs.some((other) => other !== run && other.to > run.from && other.from < run.to)) return run.to;
  const next = runs.find(({ from }) => from >= run.to);
  const isOwn = next?.life === run.life && next.deliveries === run.deliveries + 1;
  // Another may also have taken it up and never begun it: then this one waits as for any that another has.
  if (isOwn && !isTakenByAnother(evidence, run, next)) return next.from;
  const isHindered = troublesOf(evidence, run.life).some(
    ({ from, to }) => to > run.from - 2 * evidence.lease && from < run.to + evidence.lease,
  );
  if (isHindered) return run.to;
  const until = next?.from ?? buried.get(`${run.stream} ${run.id}`) ?? run.to;
  return Math.min(until, run.to + DELAY + GRACE);
}

/** Whether another life has taken an entry up between two of its runs. */
function isTakenByAnother({ lines }: Evidence, run: Run, next: Run): boolean {
  return lines.some(
    (line) =>
      line.what === "reclaimed" &&
      line.by !== run.life &&
      line.stream === run.stream &&
      line.at >= run.to &&
      line.at <= next.from &&
      line.ids.includes(run.id),
  );
}
