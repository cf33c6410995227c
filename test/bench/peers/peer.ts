import type { Data, Handle, Handling } from "../handling.ts";
import type { Payload, Tally } from "../payload.ts";

/** What a consumer or a worker is to do. */
export interface Task {
  /** The stream, with its group there; or the queue. */
  readonly key: string;
  readonly group: string;
  readonly handle: Handle;
  /** Whose handler it is: says when to stop. */
  readonly handling: Pick<Handling, "finished" | "isFinished">;
  /** Handlers at once. @defaultValue 1 */
  readonly concurrency?: number;
}

/** Jobs in place of a stream, for who has its own. */
export interface Queue {
  /** Adds one job after the other, each awaited. */
  addOne(key: string, items: readonly Payload[]): Promise<Tally>;
  /** Adds them, 1,000 a round trip. */
  addMany(key: string, items: readonly Payload[]): Promise<Tally>;
  /** How many are not done. */
  unfinished(key: string): Promise<number>;
  /** Removes the queue with all of its jobs. */
  clear(key: string): Promise<void>;
}

/**
 * One client, and for each work the best that its documentation shows. What a peer has no method for, it cannot do;
 * the table has a dash there.
 */
export interface Peer {
  /** The name in the table and on the command line. */
  readonly name: string;
  /** Where it is a queue: its works are done on that. */
  readonly queue?: Queue;
  /** Is told the ids of a stream's entries beforehand, where it does not look at them while it works. */
  learn?(key: string, ids: readonly string[]): void;
  /** Adds one after the other, and waits for each id. */
  addOne?(key: string, items: readonly Payload[]): Promise<Tally>;
  /** Adds all of them, 1,000 a round trip, and takes the ids. */
  addMany?(key: string, items: readonly Payload[]): Promise<Tally>;
  /** Adds them by so many callers at once, each of which waits for one id after the other. */
  addByMany?(key: string, items: readonly Payload[], callers: number): Promise<Tally>;
  /** Reads a whole stream, 1,000 a read, each message as an object with its fields. */
  scan?(key: string): Promise<Tally>;
  /** Reads a whole stream, 1,000 a read, each page in the shape in which the client gives it. */
  pages?(key: string): Promise<Tally>;
  /** Reads what is new to the group, 1,000 a read with one acknowledgement for them, until nothing is left. */
  readGroup?(key: string, group: string): Promise<Tally>;
  /** The same of several streams at once. */
  readGroups?(keys: readonly string[], group: string): Promise<Tally>;
  /** Follows a stream through a group and acknowledges, until told to stop. */
  consume?(task: Task): Promise<void>;
  /** Handles messages as a worker, at least once, until told; when it ends, what was handled is acknowledged. */
  work?(task: Task): Promise<void>;
  /** Handles messages with JSON in the field `json` as a subscriber of an app with two middlewares. */
  app?(task: Task): Promise<void>;
  /** Follows a stream from its beginning without a group, and hands over each message until `take` says false. */
  tail?(key: string, take: (data: Data) => boolean, signal: AbortSignal): Promise<void>;
  /** What waits up to 5 s for messages after an id. */
  reader?(key: string): (lastId: string) => Promise<readonly Received[]>;
  /** The first `count` messages as objects, all held at once. */
  hold?(key: string, count: number): Promise<readonly unknown[]>;
  /** Ends the connection. */
  close(): Promise<void>;
}

/** A message with its id. */
export interface Received {
  readonly id: string;
  readonly data: Data;
}

/** How many entries a page, a batch or a group read has, for every peer. */
export const PAGE = 1_000;
/** How long a blocking read waits, in milliseconds. */
export const BLOCK = 5_000;
/** What is being built here. */
export const OURS = "walrus-streams";
/** What the others are compared with. */
export const BASELINE = "ioredis-6";
/** The physical limit of reads: counts bytes, decodes nothing. */
export const RAW_SOCKET = "raw-socket";
/** What a client can reach that gives text: a bare socket with the least decoder. */
export const RAW_DECODER = "raw-decoder";
/** The physical limit of adds. */
export const REDIS_BENCHMARK = "redis-benchmark";

/** The characters of the values of a payload, or of a message with its fields. */
export function sizeOf({ user, action, body }: Data): number {
  return user!.length + action!.length + body!.length;
}

/** {@link Peer.addOne}, by what adds one. */
export async function addOne(
  items: readonly Payload[],
  add: (item: Payload) => Promise<unknown>,
): Promise<Tally> {
  let characters = 0;
  for (const item of items) {
    await add(item);
    characters += sizeOf(item);
  }
  return { messages: items.length, characters };
}

/** {@link Peer.addMany}, by what adds {@link PAGE} in a round trip and gives their ids. */
export async function addMany(
  items: readonly Payload[],
  addBatch: (batch: readonly Payload[]) => Promise<readonly (string | undefined)[]>,
): Promise<Tally> {
  const ids: (string | undefined)[] = [];
  let characters = 0;
  for (let start = 0; start < items.length; start += PAGE) {
    const batch = items.slice(start, start + PAGE);
    for (const id of await addBatch(batch)) ids.push(id);
    for (const item of batch) characters += sizeOf(item);
  }
  return { messages: ids.length, characters };
}

/** {@link Peer.addByMany}, by what adds one. */
export async function addByMany(
  items: readonly Payload[],
  callers: number,
  add: (item: Payload) => Promise<unknown>,
): Promise<Tally> {
  let next = 0;
  let characters = 0;
  const call = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next++]!;
      await add(item);
      characters += sizeOf(item);
    }
  };
  await Promise.all(Array.from({ length: callers }, call));
  return { messages: items.length, characters };
}
