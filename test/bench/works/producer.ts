import { type Contender, measure } from "../measure.ts";
import { payloads, type Tally } from "../payload.ts";
import { BASELINE, BULLMQ, OURS, PAGE } from "../peers/peer.ts";
import { grouped, pairFloor, throughput, type Work } from "./work.ts";

const KEY = "bench:producer";
const BYTES = 100;
const ROUNDS = 3;
const CALLERS = 1_000;
const EACH = `${OURS}, push by ${grouped(CALLERS)} callers`;

/** Messages added by a producer: all at once, and by many callers that wait for their ids. */
export const producer: Work = {
  name: "producer",
  async run({ server, peers, rounds, scaled }) {
    const items = payloads(scaled(100_000), BYTES);
    const jobs = items.slice(0, Math.max(2_000, scaled(10_000)));
    const peerOf = (name: string) => peers.find((peer) => peer.name === name);
    const stream = (name: string, run: (() => Promise<Tally>) | undefined): Contender[] => {
      if (!run) return [];
      const verify = async () => {
        const stored = await server.admin.xlen(KEY);
        if (stored !== items.length) throw new Error(`${name} stored ${stored} of ${items.length} messages`);
      };
      return [{ name, run, prepare: () => server.admin.del(KEY), verify }];
    };
    const baseline = peerOf(BASELINE);
    const bullMq = peerOf(BULLMQ);
    const ours = peerOf(OURS);
    const contenders: Contender[] = [
      ...stream(BASELINE, baseline && (() => baseline.addMany!(KEY, items))),
      ...(bullMq
        ? [
            {
              name: BULLMQ,
              expected: { messages: jobs.length, characters: jobs.length * BYTES },
              prepare: () => bullMq.removeQueue!(KEY),
              run: () => bullMq.enqueue!(KEY, jobs),
              verify: async () => {
                const stored = await bullMq.unfinished!(KEY);
                if (stored !== jobs.length)
                  throw new Error(`${BULLMQ} stored ${stored} of ${jobs.length} jobs`);
              },
            },
          ]
        : []),
      ...stream(OURS, ours && (() => ours.pushMany!(KEY, items))),
      ...stream(EACH, ours && (() => ours.pushEach!(KEY, items, CALLERS))),
    ];
    const expected = { messages: items.length, characters: items.length * BYTES };
    const summaries = await measure(contenders, expected, { rounds: Math.min(ROUNDS, rounds), server });
    await server.admin.del(KEY);
    await bullMq?.removeQueue?.(KEY);
    const title = `producer: ${grouped(items.length)} messages of ${BYTES} B, pushMany (${BASELINE}: pipelines of \
${PAGE} XADD; ${BULLMQ}: addBulk of ${PAGE}, ${grouped(jobs.length)} jobs)`;
    return [
      throughput(title, summaries, [
        pairFloor("producer, pushMany to addBulk", summaries, 10, { of: OURS, to: BULLMQ }),
      ]),
    ];
  },
};
