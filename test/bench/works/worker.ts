import { type Handle, Handling } from "../handling.ts";
import { type Contender, measure } from "../measure.ts";
import { type Payload, payloads } from "../payload.ts";
import { BASELINE, BULLMQ, OURS, PAGE, type Peer } from "../peers/peer.ts";
import type { BenchServer } from "../server.ts";
import { bestFloor, grouped, throughput, type Work } from "./work.ts";

const KEY = "bench:worker";
const GROUP = "cg";
const BYTES = 100;
const ROUNDS = 3;

/** A way in which a peer works. */
export interface Line {
  /** In the tables. */
  readonly name: string;
  readonly peer: string;
  readonly concurrency?: number;
  readonly prefetch?: number;
  /** @defaultValue `"handle"` */
  readonly handler?: "handle" | "handleAsync" | "handleIn1Ms";
}

const LINES: readonly Line[] = [
  { name: BASELINE, peer: BASELINE, prefetch: PAGE },
  { name: `${BASELINE}, COUNT 100`, peer: BASELINE, prefetch: 100 },
  { name: `${BULLMQ}, concurrency 50`, peer: BULLMQ, concurrency: 50 },
  { name: `${BULLMQ}, concurrency 100`, peer: BULLMQ, concurrency: 100 },
  { name: OURS, peer: OURS, prefetch: PAGE },
  { name: `${OURS}, concurrency 100`, peer: OURS, prefetch: PAGE, concurrency: 100 },
  { name: `${OURS}, async handler`, peer: OURS, prefetch: PAGE, handler: "handleAsync" },
  { name: `${OURS}, default prefetch`, peer: OURS },
];

/** A backlog through workers whose handlers do nothing but look at the message. */
export const worker: Work = {
  name: "worker",
  async run({ server, peers, rounds, scaled }) {
    const items = payloads(scaled(200_000), BYTES);
    const jobs = items.slice(0, Math.max(2_000, scaled(10_000)));
    await server.fill(KEY, items);
    const contenders = lineUp(LINES, peers, { server, key: KEY, items, jobs });
    const expected = { messages: items.length, characters: items.length * BYTES };
    const summaries = await measure(contenders, expected, { rounds: Math.min(ROUNDS, rounds), server });
    await server.admin.del(KEY);
    const title = `worker: ${grouped(items.length)} messages of ${BYTES} B, no-op handler, ${PAGE} held or a read \
(${BASELINE}: one XACK a read; ${BULLMQ}: ${grouped(jobs.length)} jobs)`;
    return [
      throughput(title, summaries, [
        bestFloor("worker, to one XACK a batch at its best", summaries, 1.5, { of: OURS, to: BASELINE }),
        bestFloor("worker, to BullMQ at its best", summaries, 10, { of: OURS, to: BULLMQ }),
      ]),
    ];
  },
};

/** What {@link lineUp} sets before the workers. */
export interface Stage {
  readonly server: BenchServer;
  /** A stream of these items, and the name of the queue. */
  readonly key: string;
  readonly items: readonly Payload[];
  /** What stands in the queue instead. */
  readonly jobs: readonly Payload[];
}

/** The lines whose peers are there: each handles everything, and leaves nothing pending. */
export function lineUp(lines: readonly Line[], peers: readonly Peer[], stage: Stage): Contender[] {
  return lines.flatMap((line) => {
    const peer = peers.find(({ name }) => name === line.peer);
    if (peer?.work === undefined) return [];
    return [peer.enqueue ? throughQueue(line, peer, stage) : throughGroup(line, peer, stage)];
  });
}

function throughGroup(line: Line, peer: Peer, { server, key, items }: Stage): Contender {
  return {
    name: line.name,
    prepare: async () => {
      await server.admin.xgroup("DESTROY", key, GROUP);
      await server.admin.xgroup("CREATE", key, GROUP, "0-0");
    },
    run: () => work(line, peer, key, items.length),
    verify: async () => {
      const [pending] = (await server.admin.xpending(key, GROUP)) as [number];
      if (pending !== 0) throw new Error(`${line.name} left ${pending} entries pending`);
    },
  };
}

function throughQueue(line: Line, peer: Peer, { key, jobs }: Stage): Contender {
  return {
    name: line.name,
    expected: { messages: jobs.length, characters: jobs.length * BYTES },
    prepare: async () => {
      await peer.removeQueue!(key);
      await peer.enqueue!(key, jobs);
    },
    run: () => work(line, peer, key, jobs.length),
    verify: async () => {
      const unfinished = await peer.unfinished!(key);
      if (unfinished !== 0) throw new Error(`${line.name} left ${unfinished} jobs`);
    },
  };
}

async function work({ handler = "handle", ...line }: Line, peer: Peer, key: string, total: number) {
  const handling = new Handling(total);
  const handle: Handle = handling[handler];
  await peer.work!({ key, group: GROUP, handle, handling, ...line });
  return handling.seen();
}
