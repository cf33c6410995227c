import type { Payload, Tally } from "../payload.ts";

/** A message as an object, in whatever class the peer has for it. */
export interface Entry {
  readonly id: string;
  readonly data: Readonly<Record<string, string>>;
}

/**
 * One client with its best reasonable loop for each work. What a peer has no method for, it does not take part in.
 */
export interface Peer {
  /** The name in the tables. */
  readonly name: string;
  /** Reads a whole stream, page by page, one object for each message. */
  scan?(key: string): Promise<Tally>;
  /** The same, taking an array for each page, where the peer offers both. */
  scanByPages?(key: string): Promise<Tally>;
  /** Adds all of them, 1,000 a round trip, and takes the ids. */
  addMany?(key: string, items: readonly Payload[]): Promise<Tally>;
  /** Reads what is new to the group, 1,000 at a time with one acknowledgement for them, until nothing is left. */
  readGroup?(key: string, group: string): Promise<Tally>;
  /** Reads what there is of a stream, one message after the other, up to 1,000 held. */
  consume?(key: string): Promise<Tally>;
  /** The same as a group's consumer, over one or more streams, each message acknowledged by itself, none awaited. */
  consumeGroup?(keys: readonly string[], group: string): Promise<Tally>;
  /** Reads what is new to the group, 1,000 at a time, and waits for each message's own acknowledgement. */
  readGroupSingly?(key: string, group: string): Promise<Tally>;
  /** Follows a stream from its beginning and hands over each message, until `take` says false or it is aborted. */
  tail?(key: string, take: (entry: Entry) => boolean, signal: AbortSignal): Promise<void>;
  /** What adds one and waits for its id. */
  adder?(key: string): (item: Payload) => Promise<unknown>;
  /** What gives the number of entries. */
  counter?(key: string): () => Promise<number>;
  /** What waits up to 5 s for entries after an id. */
  reader?(key: string): (lastId: string) => Promise<readonly Entry[]>;
  /** The first `count` entries as objects, all held at once. */
  hold?(key: string, count: number): Promise<readonly unknown[]>;
  /** Ends the connection. */
  close(): Promise<void>;
}

/** How many entries a page, a batch or a group read has, for every peer. */
export const PAGE = 1_000;
/** What the others are compared with. */
export const BASELINE = "ioredis 6";
/** What is being built here. */
export const OURS = "walrus-streams";
/** Who takes part in a contest of two. */
export const CONTESTED: readonly string[] = [BASELINE, OURS];
