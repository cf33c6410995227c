import type { Client } from "../connection/client.ts";
import { WAITING } from "../connection/scripts.ts";
import { assertOptionalInteger, assertOptions } from "../ground/assert.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { WrongTypeError } from "../ground/errors.ts";
import { deadLetterKey } from "./beside.ts";
import type { GroupStream } from "./group-stream.ts";
import type { ConsumerInfo } from "./info.ts";

/** One stream's part of {@link GroupStats}. */
export interface GroupStreamStats {
  /** Number of entries in the stream. */
  readonly length: number;
  /** Entries not delivered to the group yet; `null` where the server cannot say. */
  readonly lag: number | null;
  /** Entries delivered and not acknowledged. */
  readonly pending: number;
  /** Age of the oldest pending entry in milliseconds, by its id and the server's clock; `null` where none is. */
  readonly oldestPendingAge: number | null;
  /** Entries among its dead letters, under the default key; `null` where that key holds something else. */
  readonly deadLetters: number | null;
  /** The group's consumers on this stream; `@retry:<milliseconds>` holds what waits for its next delivery. */
  readonly consumers: readonly ConsumerInfo[];
}

/** What {@link Group.stats} gives. */
export interface GroupStats<K extends string> {
  /** Entries in all streams. */
  readonly length: number;
  /** Entries not delivered yet, of the streams whose lag is known. */
  readonly lag: number;
  /** How many streams' lag the server cannot say. */
  readonly unknownLags: number;
  /** Entries delivered and not acknowledged. */
  readonly pending: number;
  /** Age of the oldest pending entry in milliseconds; `null` where nothing is pending. */
  readonly oldestPendingAge: number | null;
  /** Entries among the dead letters of all streams, under the default keys. */
  readonly deadLetters: number;
  /** The same stream by stream. */
  readonly streams: Readonly<Record<K, GroupStreamStats>>;
}

/** Limits of {@link Group.health}; what is absent is not looked at. */
export interface HealthLimits {
  /** Most entries not delivered yet, a stream; an unknown lag is an issue too. */
  readonly maxLag?: number | undefined;
  /** Longest that a consumer which holds entries may be idle. */
  readonly maxIdle?: Time | undefined;
  /** Most pending entries, a stream. */
  readonly maxPending?: number | undefined;
}

/** One finding of {@link Group.health}. */
export interface HealthIssue {
  /** Which stream. */
  readonly stream: string;
  /** What is wrong. */
  readonly kind: "missing" | "lag" | "idle" | "pending";
  /** The same in words. */
  readonly message: string;
}

/** What {@link Group.health} finds. */
export interface Health {
  /** Whether there is no issue. */
  readonly healthy: boolean;
  /** What is wrong; `[]` where nothing is. */
  readonly issues: readonly HealthIssue[];
}

/** How far a group is on one stream. */
export async function groupStreamStats(
  client: Client,
  stream: GroupStream<unknown, never>,
  group: string,
): Promise<GroupStreamStats> {
  const dead = deadLetterKey(stream.key);
  const [length, groups, consumers, { count: pending, first }, time, deadLetters] = await Promise.all([
    stream.length(),
    stream.groupsInfo(),
    stream.consumersInfo(),
    stream.pendingSummary(),
    client.command("time", [], {}) as Promise<[string, string]>,
    client.command("xlen", [dead], { stream: dead }).then(Number, (error) => {
      if (error instanceof WrongTypeError) return null;
      throw error;
    }),
  ]);
  const now = Number(time[0]) * 1000 + Number(time[1]) / 1000;
  const oldestPendingAge = first === null ? null : Math.max(0, Math.round(now - Number(first.split("-")[0])));
  const lag = groups.find(({ name }) => name === group)?.lag ?? null;
  return { length, lag, pending, oldestPendingAge, deadLetters, consumers };
}

/** The sum of what streams have. */
export function totalOf(all: readonly GroupStreamStats[]): Omit<GroupStats<never>, "streams"> {
  const sum = (of: (stats: GroupStreamStats) => number): number =>
    all.reduce((total, stats) => total + of(stats), 0);
  const ages = all.flatMap(({ oldestPendingAge }) => (oldestPendingAge === null ? [] : [oldestPendingAge]));
  return {
    length: sum(({ length }) => length),
    lag: sum(({ lag }) => lag ?? 0),
    unknownLags: all.filter(({ lag }) => lag === null).length,
    pending: sum(({ pending }) => pending),
    oldestPendingAge: ages.length === 0 ? null : Math.max(...ages),
    deadLetters: sum(({ deadLetters }) => deadLetters ?? 0),
  };
}

/** Check the limits, and give what judges one stream by them. */
export function healthJudge(
  limits: HealthLimits,
): (stream: string, stats: GroupStreamStats) => HealthIssue[] {
  assertOptions("health", limits, ["maxLag", "maxIdle", "maxPending"]);
  const { maxLag, maxPending } = limits;
  assertOptionalInteger("maxLag", maxLag);
  assertOptionalInteger("maxPending", maxPending);
  const maxIdle = limits.maxIdle === undefined ? undefined : toMilliseconds("maxIdle", limits.maxIdle);
  return (stream, { lag, pending, consumers }) => {
    const issues: HealthIssue[] = [];
    const issue = (kind: HealthIssue["kind"], message: string) => issues.push({ stream, kind, message });
    if (maxLag !== undefined && lag === null) issue("lag", "the server cannot say the lag");
    if (maxLag !== undefined && lag !== null && lag > maxLag)
      issue("lag", `the lag is ${lag}, above ${maxLag}`);
    if (maxPending !== undefined && pending > maxPending)
      issue("pending", `${pending} are pending, above ${maxPending}`);
    for (const { name, pending: held, idle } of consumers) {
      // What waits for its next delivery is to be idle, for so long.
      const most = name.startsWith(WAITING) ? Number(name.slice(WAITING.length)) : 0;
      if (maxIdle !== undefined && held > 0 && idle - most > maxIdle)
        issue("idle", `consumer ${name} holds ${held} and is idle for ${idle} ms, above ${maxIdle + most}`);
    }
    return issues;
  };
}
