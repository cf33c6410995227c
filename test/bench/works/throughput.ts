import { type Contender, measure } from "../measure.ts";
import { type Payload, payloads, type Tally } from "../payload.ts";
import type { Peer, Queue } from "../peers/peer.ts";
import type { Bench, Target, Work } from "./work.ts";

/** What a work about messages a second puts before its peers. */
export interface Stage {
  readonly bench: Bench;
  /** The stream, or the queue, of this work. */
  readonly key: string;
  readonly items: readonly Payload[];
  /** Fewer of them, for who is so slow that all of them take too long. */
  readonly few: readonly Payload[];
}

/** A work about messages a second. */
export interface Throughput {
  readonly name: string;
  readonly title: string;
  readonly target?: Target;
  /** How many messages. */
  readonly messages: number;
  /** The size of each, of its three values together. @defaultValue 100 */
  readonly bytes?: number;
  /** Sets the stage once for all turns. */
  before?(stage: Stage): Promise<unknown>;
  /** What a peer does in a turn; `null` where it cannot. */
  turnOf(peer: Peer, stage: Stage): Turn | null;
}

/** A turn of one peer. */
export type Turn = Omit<Contender, "name" | "expected"> & {
  /** The messages that it has to see. */
  readonly items: readonly Payload[];
};

/** How many messages those have in hand who are slow. */
const FEW = 10_000;

/** Makes a work of it. */
export function throughput({ bytes = 100, before, turnOf, messages, ...of }: Throughput): Work {
  return {
    ...of,
    metrics: ["rate", "cpu", "serverShare"],
    async run(bench) {
      const { server, peers } = bench;
      const key = `bench:${of.name}`;
      const items = payloads(bench.scaled(messages), bytes);
      const stage: Stage = { bench, key, items, few: items.slice(0, bench.scaled(FEW, 1_000)) };
      await before?.(stage);
      const contenders = peers.flatMap((peer): Contender[] => {
        const turn = turnOf(peer, stage);
        if (turn === null) return [];
        const expected: Tally = { messages: turn.items.length, characters: turn.items.length * bytes };
        return [{ ...turn, name: peer.name, expected }];
      });
      try {
        return await measure(contenders, bench, server);
      } finally {
        await server.admin.del(key);
        for (const { queue } of peers) await queue?.clear(key);
      }
    },
  };
}

/** A turn that adds: into a stream that is not there before and holds everything after. */
export function adding(
  peer: Peer,
  { bench: { server }, key, items, few }: Stage,
  add: (items: readonly Payload[]) => Promise<Tally>,
): Turn {
  const { queue } = peer;
  if (queue === undefined) {
    return {
      items,
      prepare: () => server.admin.del(key),
      run: () => add(items),
      verify: () => server.verifyLength(key, items.length),
    };
  }
  return {
    items: few,
    prepare: () => queue.clear(key),
    run: () => add(few),
    verify: () => verifyJobs(queue, key, few.length),
  };
}

/** A turn that reads a stream through a group of its own, and leaves nothing pending. */
export function throughGroup(
  { bench: { server }, key, items }: Stage,
  group: string,
  run: () => Promise<Tally>,
): Turn {
  return {
    items,
    run,
    prepare: () => server.renewGroup(key, group),
    verify: () => server.verifyAcknowledged(key, group),
  };
}

/** A turn that works off a queue, and leaves no job. */
export function throughQueue(queue: Queue, { key, few }: Stage, run: () => Promise<Tally>): Turn {
  return {
    items: few,
    run,
    prepare: async () => {
      await queue.clear(key);
      await queue.addMany(key, few);
    },
    verify: () => verifyJobs(queue, key, 0),
  };
}

async function verifyJobs(queue: Queue, key: string, length: number): Promise<void> {
  const unfinished = await queue.unfinished(key);
  if (unfinished !== length) throw new Error(`${unfinished} jobs are in the queue instead of ${length}`);
}
