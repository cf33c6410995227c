import type { Handle, Handling } from "../handling.ts";
import type { Payload, Tally } from "../payload.ts";

/** A message as an object, in whatever class the peer has for it. */
export interface Entry {
  readonly id: string;
  readonly data: Readonly<Record<string, string>>;
}

/** What a worker is to do. */
export interface Task {
  /** The stream, with its group there; or the queue. */
  readonly key: string;
  readonly group: string;
  readonly handle: Handle;
  /** Whose handler it is: says when to stop. */
  readonly handling: Pick<Handling, "finished" | "isFinished">;
  /** Handlers at once. */
  readonly concurrency?: number;
  /** Most entries a read, or held unstarted. */
  readonly prefetch?: number;
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
  /** Handles messages as a worker, at least once, until told; when it ends, what was handled is acknowledged. */
  work?(task: Task): Promise<void>;
  /** Adds all of them by a producer, and takes the ids. */
  pushMany?(key: string, items: readonly Payload[]): Promise<Tally>;
  /** Adds them by so many callers at once, each of which waits for one id after the other. */
  pushEach?(key: string, items: readonly Payload[], callers: number): Promise<Tally>;
  /** Adds jobs to a queue, 1,000 a round trip, where workers take them from one instead of a stream. */
  enqueue?(key: string, items: readonly Payload[]): Promise<Tally>;
  /** Removes a queue with all of its jobs. */
  removeQueue?(key: string): Promise<void>;
  /** Jobs of a queue that are not done. */
  unfinished?(key: string): Promise<number>;
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
/** What people use for workers. */
export const BULLMQ = "BullMQ 6.7";
/** What is being built here. */
export const OURS = "walrus-streams";
/** Who takes part in a contest of two. */
export const CONTESTED: readonly string[] = [BASELINE, OURS];
