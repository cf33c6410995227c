import type { MetricName } from "../metrics.ts";
import { BASELINE, OURS, type Peer } from "../peers/peer.ts";
import type { BenchServer } from "../server.ts";

/** What a work is given. */
export interface Bench {
  readonly server: BenchServer;
  /** Those who take part, connected. */
  readonly peers: readonly Peer[];
  /** How many measured rounds, for works that are measured in many. */
  readonly rounds: number;
  /** Whether figures mean little. */
  readonly isQuick: boolean;
  /** `count` at full length, fewer in a quick run; at least `least`. */
  scaled(count: number, least?: number): number;
  /** Takes down that a peer could not do what it says it can; it has no figures in this work. */
  failed(peer: string, error: unknown): void;
}

/** What one peer measured in one round: a figure for each metric that it could measure. */
export type Round = Readonly<Partial<Record<MetricName, number>>>;

/** All measured rounds by peer; a peer that cannot do the work is not in it. */
export type Rounds = Readonly<Record<string, readonly Round[]>>;

/** What is promised of this library, about the first metric. */
export interface Target {
  /** At least (or, where less is better, at most) so many times the figure of ioredis 6. */
  readonly ratio: number;
  /** At least this share of the figure of the least decoder on a bare socket. */
  readonly limitShare?: number;
}

/** One thing that peers can do: one row of the table. */
export interface Work {
  /** The name in the table and on the command line. */
  readonly name: string;
  /** What is done, in one line. */
  readonly title: string;
  /** What comes out; the first is what the work is about. */
  readonly metrics: readonly MetricName[];
  readonly target?: Target;
  /** Measures the peers of the bench that can do it, in interleaved rounds. */
  run(bench: Bench): Promise<Rounds>;
}

/** The two that a work is content with where the others would only take time, if they take part. */
export function contested(peers: readonly Peer[]): readonly Peer[] {
  return peers.filter(({ name }) => name === BASELINE || name === OURS);
}
