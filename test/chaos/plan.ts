import type { Kind } from "./book.ts";
import { Random } from "./random.ts";

/** What runs the servers: one with AOF behind proxies, or a cluster with replicas. */
export type Topology = "single" | "cluster";

/** How members are broken on purpose, to see the checker notice. */
export type Sabotage = "ack-first" | "no-lease" | "no-idempotency" | "no-backlog";

/** The sabotages by name. */
export const SABOTAGES: readonly Sabotage[] = ["ack-first", "no-lease", "no-idempotency", "no-backlog"];

/** How long a silent worker keeps its entries, in milliseconds. */
export const LEASE = 5000;
/** An entry's deliveries; so many that random kills alone do not use them up. */
export const DELIVERIES = 10;
/** Whose processes there are, and how many. */
export const MEMBERS: Readonly<Record<"producer" | "worker" | "reader", number>> = {
  producer: 2,
  worker: 4,
  reader: 2,
};

/** A fault that is planned. */
export interface Fault {
  /** When, in milliseconds from the beginning. */
  readonly at: number;
  /** Who carries them out one after another: `"server"`, `"network"`, or a member's name. */
  readonly lane: string;
  /** What is done. */
  readonly kind: string;
  /** For how long, in milliseconds, where it lasts. */
  readonly ms: number;
  /** Which of several is struck, from 0 to below 1; or how far a reply gets, for a cut in a reply. */
  readonly part: number;
}

type Menu = readonly (readonly [kind: string, least: number, most: number])[];

const LONG = [LEASE + 500, LEASE + 2500] as const;
/** A fault and how long it lasts; what stands twice is twice as likely. */
const MENUS: Readonly<Record<string, Menu>> = {
  "server, single": [
    ["server killed", 0, 1500],
    ["server killed", 0, 1500],
    ["server frozen", 100, 3000],
    ["server frozen", 100, 3000],
    ["server killed", ...LONG],
    ["server frozen", ...LONG],
  ],
  "server, cluster": [
    ["master killed", 0, 1000],
    ["failover asked for", 0, 0],
    ["slot moved", 0, 0],
    ["slot moved", 0, 0],
    ["master frozen", 100, 700],
    ["master frozen", 4000, LONG[1]],
  ],
  "network, single": [
    ["link cut", 0, 0],
    ["all links cut", 0, 0],
    ["link cut in a reply", 0, 500],
    ["replies swallowed", 100, 2000],
    ["link held", 100, 2000],
    ["link slow", 1000, 4000],
    ["link down", 200, 2000],
    ["link down", ...LONG],
  ],
  "network, cluster": [["connections of a node cut", 0, 0]],
  worker: [
    ["killed", 0, 1000],
    ["killed", 0, 1000],
    ["frozen", 100, 3000],
    ["frozen", ...LONG],
    ["stopped", 0, 500],
  ],
  producer: [
    ["killed", 0, 1000],
    ["frozen", 100, 3000],
  ],
  reader: [
    ["killed", 0, 1000],
    ["stopped", 0, 500],
    ["frozen", 100, 3000],
  ],
};
/** Mean pause between two faults of a lane, in milliseconds. */
const PAUSES: Readonly<Record<string, number>> = {
  server: 6000,
  network: 3000,
  worker: 9000,
  producer: 15_000,
  reader: 12_000,
};
/** What a sabotage needs to show; a lease that ran out by a fault would hide one that was never renewed. */
const SABOTAGED: Readonly<Record<Sabotage, Readonly<Record<string, Menu>>>> = {
  "ack-first": { worker: [["killed", 0, 200]] },
  "no-lease": {},
  "no-idempotency": { network: [["replies swallowed", 100, 300]] },
  "no-backlog": { reader: [["killed", 0, 200]] },
};

/** The names of all members. */
export function memberNames(): string[] {
  return Object.entries(MEMBERS).flatMap(([role, count]) =>
    Array.from({ length: count }, (_, i) => `${role}-${i}`),
  );
}

/** The faults of a run, in the order of their times: the same for the same arguments. */
export function planOf(
  seed: number,
  seconds: number,
  topology: Topology,
  sabotage: Sabotage | null = null,
): Fault[] {
  const faults: Fault[] = [];
  ["server", "network", ...memberNames()].forEach((lane, index) => {
    const role = lane.replace(/-\d+$/, "");
    const menu = sabotage === null ? menuOf(role, topology) : SABOTAGED[sabotage][role];
    if (menu === undefined) return;
    const random = new Random(seed + 7919 * (index + 1));
    const pause = sabotage === null ? PAUSES[role]! : 1500;
    // The first come soon, and others begin before the last are over.
    for (
      let at = random.integer(500, pause);
      at < seconds * 1000;
      at += random.integer(pause / 4, pause * 2)
    ) {
      const [kind, least, most] = random.of(menu);
      const ms = random.integer(least, most);
      faults.push({ at, lane, kind, ms, part: random.next() });
      at += ms;
    }
  });
  return faults.sort((a, b) => a.at - b.at);
}

function menuOf(role: string, topology: Topology): Menu {
  return (MENUS[role] ?? MENUS[`${role}, ${topology}`])!;
}

/**
 * What an entry does to its handler, by its producer's lane and its number there: most are handled in no time; `slow`
 * ones take longer than the lease; `flaky` ones fail once; `poison` fails always, `garbled` does not decode, and a
 * `killer` kills its process each time.
 */
export function kindOf(random: Random, number: number, hasKillers: boolean): Kind {
  const [chance, killer] = [random.integer(0, 299), random.integer(0, 3999)];
  if (hasKillers && killer === 0) return "killer";
  // Each kind is there early, however short the run.
  if (chance < 2 || number === 5) return "poison";
  if (chance < 3 || number === 7) return "garbled";
  if (chance < 6 || number === 3) return "slow";
  return chance < 20 || number === 2 ? "flaky" : "plain";
}
