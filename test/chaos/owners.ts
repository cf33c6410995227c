import type { Breach } from "./checker.ts";
import { type Evidence, groupBy, type Run, type Trouble, troublesOf } from "./evidence.ts";

/** The clocks of server and members may differ by so much within a lease, and the server rounds to one, in milliseconds. */
const CLOCKS = 50;
/** What a worker that nothing hinders may need to be connected again and have its renewal answered, in milliseconds. */
const SLACK = 1500;

/** So long may a worker that nothing hinders leave a lease of this length unrenewed: it looks once a second, or a third. */
function restOf(lease: number): number {
  return lease / 3 + Math.min(1000, lease / 3) + SLACK;
}

/**
 * No two handlers have an entry at once, unless its lease had run out.
 *
 * That is not taken on trust. Where a second handler begins while the first one has not ended, three things are asked:
 * can a whole lease have passed since the entry was given to the first; had the server granted it a renewal less than a
 * lease ago; and was it hindered, by something that is written down, for so much of the last lease that it could not
 * have renewed?
 */
export function checkOwners(evidence: Evidence): { breaches: Breach[]; expiries: Record<string, number> } {
  const breaches: Breach[] = [];
  const expiries: Record<string, number> = {};
  for (const runs of groupBy(evidence.runs, ({ stream, id }) => `${stream} ${id}`).values())
    for (const [i, second] of runs.entries())
      for (const first of runs.slice(0, i)) {
        if (first.to <= second.from) continue;
        const { wrong, cause } = judge(evidence, runs, first, second);
        if (wrong === null) {
          expiries[cause] = (expiries[cause] ?? 0) + 1;
          continue;
        }
        const { stream, id, n } = first;
        const words =
          `${second.life} began ${n} (delivery ${second.deliveries}) ${since(first.from, second.from)} after ` +
          `${first.life} (delivery ${first.deliveries}), which had not ended: ${wrong}`;
        const promise = "one owner at a time while its lease is renewed";
        breaches.push({ promise, entry: `${stream} ${id}`, words, n });
      }
  return { breaches, expiries };
}

/** What is wrong with a second handler, or what has made the first one's lease run out. */
function judge(
  evidence: Evidence,
  runs: readonly Run[],
  first: Run,
  second: Run,
): { wrong: string | null; cause: string } {
  const { lease, losses, renewals, pushes } = evidence;
  const at = second.from;
  // It was given out after it was pushed, and after the delivery before had begun.
  const before = runs.filter((run) => run.from < first.from && run.deliveries < first.deliveries);
  const given = Math.max(pushes.get(first.n)?.at ?? 0, ...before.map(({ from }) => from));
  const loss = losses.filter(({ from, to }) => from < at && to > given).at(-1);
  if (loss === undefined && at < given + lease - CLOCKS)
    return { wrong: `its lease was ${since(given, at)} old at most`, cause: "" };
  const renewed = (renewals.get(`${first.life} ${first.stream} ${first.id}`) ?? []).filter(
    (sent) => sent < at && (loss === undefined || sent > loss.to),
  );
  const last = Math.max(...renewed);
  if (at < last + lease - CLOCKS)
    return { wrong: `its lease had been renewed ${since(last, at)} before`, cause: "" };
  const troubles = troublesOf(evidence, first.life);
  const free = longestFree(troubles, at - lease, at);
  if (free >= restOf(lease))
    return {
      wrong: `for ${Math.round(free)} ms of the lease before nothing had hindered it from renewing`,
      cause: "",
    };
  return { wrong: null, cause: loss === undefined ? worst(troubles, at - lease, at) : "failover" };
}

/** The longest time between two times without a trouble. */
function longestFree(troubles: readonly Trouble[], from: number, to: number): number {
  let free = 0;
  let since = from;
  for (const trouble of [...troubles].sort((a, b) => a.from - b.from)) {
    if (trouble.to <= since || trouble.from >= to) continue;
    free = Math.max(free, trouble.from - since);
    since = Math.max(since, trouble.to);
  }
  return Math.max(free, to - since);
}

/** The trouble that took most of the time between two times. */
function worst(troubles: readonly Trouble[], from: number, to: number): string {
  let [most, why] = [0, "unknown"];
  for (const trouble of troubles) {
    const share = Math.min(trouble.to, to) - Math.max(trouble.from, from);
    if (share > most) [most, why] = [share, trouble.why];
  }
  return why;
}

function since(from: number, to: number): string {
  return `${Math.round(to - from)} ms`;
}
