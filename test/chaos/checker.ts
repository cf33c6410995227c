import type { Line } from "./book.ts";
import { type Evidence, groupBy } from "./evidence.ts";
import { checkOrder } from "./order.ts";
import { checkOwners } from "./owners.ts";

/** The promises that are checked. */
export const PROMISES = [
  "every acknowledged push is in the stream once",
  "nothing is handled that nobody pushed",
  "every entry is handled at least once",
  "every entry is seen by the readers' group",
  "one owner at a time while its lease is renewed",
  "messages of one key one after another, in order, in one worker",
  "the dead letters are the poison, each once",
  "nothing is pending at the end",
] as const;

/** A promise. */
export type Promised = (typeof PROMISES)[number];

/** A promise that was broken. */
export interface Breach {
  readonly promise: Promised;
  /** The stream and id of the entry, or its number where it has no id. */
  readonly entry: string;
  /** What is wrong. */
  readonly words: string;
  /** The number of the push, to tell its history. */
  readonly n: string | null;
}

/** What a check found. */
export interface Verdict {
  readonly breaches: readonly Breach[];
  /** How often two handlers had one entry after its lease had run out, by what had kept it from being renewed. */
  readonly expiries: Readonly<Record<string, number>>;
}

/** Whether the promises were kept. */
export function check(evidence: Evidence): Verdict {
  const { breaches: doubles, expiries } = checkOwners(evidence);
  const breaches = [
    ...checkPushes(evidence),
    ...checkHandled(evidence),
    ...checkSeen(evidence),
    ...doubles,
    ...checkOrder(evidence),
    ...checkDead(evidence),
    ...checkLeft(evidence),
  ];
  return { breaches, expiries };
}

/** What is known of an entry, line by line in the order of time. */
export function historyOf({ lines, troubles }: Evidence, n: string): string[] {
  const own = lines.filter((line) => "n" in line && line.n === n);
  // A push that was repeated in vain has several.
  const places = new Set(own.flatMap((line) => ("id" in line ? [`${line.stream} ${line.id}`] : [])));
  const lives = new Set(own.map(({ by }) => by));
  const told: { at: number; text: string }[] = [];
  for (const line of lines) {
    const text = wordsOf(line, n, places, lives);
    if (text !== null) told.push({ at: line.at, text });
  }
  const [first, last] = [told[0]?.at ?? 0, told.at(-1)?.at ?? 0];
  for (const { whom, why, from, to } of troubles)
    if (to >= first && from <= last && (whom === "server" || [...lives].some((life) => isOf(life, whom))))
      told.push({
        at: from,
        text: `${whom === "server" ? "all" : whom}: ${why}, for ${Math.round(to - from)} ms`,
      });
  const zero = lines[0]?.at ?? 0;
  return told
    .sort((a, b) => a.at - b.at)
    .map(({ at, text }) => `${((at - zero) / 1000).toFixed(3)} s: ${text}`);
}

function isOf(life: string, whom: string): boolean {
  return life === whom || life.startsWith(`${whom}.`);
}

/** A fact in words, where it is about an entry or a life that had it. */
function wordsOf(
  line: Line,
  n: string,
  places: ReadonlySet<string>,
  lives: ReadonlySet<string>,
): string | null {
  const { by } = line;
  if (line.what === "died") return lives.has(line.life) ? `${line.life} is gone: ${line.how}` : null;
  if (line.what === "renewed" || line.what === "reclaimed") {
    if (!line.ids.some((id) => places.has(`${line.stream} ${id}`))) return null;
    return `${by} ${line.what === "renewed" ? "has renewed its lease" : "has taken it up"}`;
  }
  if (line.what === "end")
    return places.has(`${line.stream} ${line.id}`) ? `${by} ends ${line.id}: ${line.how}` : null;
  if (!("n" in line) || line.n !== n) return null;
  if (line.what === "push") return `${by} pushes ${n} (${line.kind}) to ${line.stream}`;
  if (line.what === "stored") return `${by} is told that it is stored as ${line.id}`;
  if (line.what === "begin") return `${by} begins ${line.id}, delivery ${line.deliveries}`;
  return `${by} sees ${line.id}`;
}

function checkPushes({ pushes, entries }: Evidence): Breach[] {
  const promise = PROMISES[0];
  const copies = groupBy(entries, ({ n }) => n);
  const breaches: Breach[] = [];
  for (const [n, { id, stream }] of pushes) {
    const there = (copies.get(n) ?? []).map((entry) => entry.id);
    if (there.length > 1) {
      const words = `${n} is in ${stream} ${there.length} times: ${there.join(", ")}`;
      breaches.push({ promise, entry: `${stream} ${there[1]}`, words, n });
    } else if (id !== null && there[0] !== id) {
      const found = there.length === 0 ? "it is not there" : `${n} is there as ${there[0]}`;
      const words = `${n} was acknowledged as ${id}, and ${found}`;
      breaches.push({ promise, entry: `${stream} ${id}`, words, n });
    }
  }
  return breaches;
}

function checkHandled({ pushes, entries, runs }: Evidence): Breach[] {
  const breaches: Breach[] = [];
  for (const { n, stream, id } of runs)
    if (!pushes.has(n))
      breaches.push({
        promise: PROMISES[1],
        entry: `${stream} ${id}`,
        words: `${n} was handled, and nobody has pushed it`,
        n,
      });
  const done = new Set(runs.filter(({ how }) => how === "done").map(({ n }) => n));
  for (const { n, stream, id } of entries) {
    if (done.has(n) || isPoison(pushes, n)) continue;
    const begun = runs.filter((run) => run.n === n);
    const ends = begun.map(({ life, how }) => `${life} (${how})`);
    const words =
      begun.length === 0
        ? `no handler was ever called for ${n}`
        : `no handler has ever finished ${n}; it was begun by ${ends.join(", ")}`;
    breaches.push({ promise: PROMISES[2], entry: `${stream} ${id}`, words, n });
  }
  return breaches;
}

function checkSeen({ entries, seen, lines }: Evidence): Breach[] {
  // A run without readers promises nothing of them.
  if (!lines.some((line) => line.what === "born" && line.life.startsWith("reader"))) return [];
  return entries
    .filter(({ n }) => !seen.has(n))
    .map(({ n, stream, id }) => ({
      ...{ promise: PROMISES[3], entry: `${stream} ${id}`, n },
      words: `no reader was ever given ${n}`,
    }));
}

function checkDead({ pushes, entries, dead }: Evidence): Breach[] {
  const promise = PROMISES[6];
  const letters = groupBy(dead, ({ n }) => n);
  const breaches: Breach[] = [];
  for (const [n, copies] of letters) {
    const { stream, id } = copies[0]!;
    if (!isPoison(pushes, n)) {
      const words = `${n} (${pushes.get(n)?.kind ?? "unknown"}) is among the dead letters`;
      breaches.push({ promise, entry: `${stream} ${id}`, words, n });
    } else if (copies.length > 1) {
      const words = `${n} is among the dead letters ${copies.length} times`;
      breaches.push({ promise, entry: `${stream} ${id}`, words, n });
    }
  }
  for (const { n, stream, id } of entries) {
    if (!isPoison(pushes, n) || letters.has(n)) continue;
    const words = `${n} (${pushes.get(n)!.kind}) is not among the dead letters`;
    breaches.push({ promise, entry: `${stream} ${id}`, words, n });
  }
  return breaches;
}

function checkLeft({ left, entries }: Evidence): Breach[] {
  return left.map(({ stream, id, group, holder }) => ({
    ...{ promise: PROMISES[7], entry: `${stream} ${id}` },
    words: `${id} of ${stream} is left in the group ${group}: ${holder}`,
    n: entries.find((entry) => entry.stream === stream && entry.id === id)?.n ?? null,
  }));
}

function isPoison(pushes: Evidence["pushes"], n: string): boolean {
  return ["poison", "garbled", "killer"].includes(pushes.get(n)?.kind ?? "");
}
