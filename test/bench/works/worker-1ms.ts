import { Handling } from "../handling.ts";
import { type Contender, measure, type Summary } from "../measure.ts";
import { type Payload, payloads } from "../payload.ts";
import { BULLMQ, OURS, PAGE } from "../peers/peer.ts";
import { pairedRatio } from "../statistics.ts";
import { decimal, grouped, type Report, type Work } from "./work.ts";
import { type Line, lineUp } from "./worker.ts";

const KEY = "bench:worker-1ms";
const BYTES = 100;
const ROUNDS = 3;
const CONCURRENCY = 100;
/** Handlers at once, each busy for a thousandth of a second. */
const IDEAL = CONCURRENCY * 1_000;
const BARE = "no Redis: coroutines and timers only";

const LINE = { concurrency: CONCURRENCY, handler: "handleIn1Ms" } as const;
const LINES: readonly Line[] = [
  { ...LINE, name: BULLMQ, peer: BULLMQ },
  { ...LINE, name: OURS, peer: OURS },
  { ...LINE, name: `${OURS}, prefetch ${PAGE}`, peer: OURS, prefetch: PAGE },
];

/** Workers whose handlers wait for a timer of 1 ms, 100 at once: the share of what that allows. */
export const worker1Ms: Work = {
  name: "worker-1ms",
  async run({ server, peers, rounds, scaled }) {
    const items = payloads(scaled(100_000), BYTES);
    const jobs = items.slice(0, Math.max(2_000, scaled(10_000)));
    await server.fill(KEY, items);
    const contenders = lineUp(LINES, peers, { server, key: KEY, items, jobs });
    const expected = { messages: items.length, characters: items.length * BYTES };
    const all = [bare(items), ...contenders];
    const summaries = await measure(all, expected, { rounds: Math.min(ROUNDS, rounds), server });
    await server.admin.del(KEY);
    return [report(items.length, jobs.length, summaries)];
  },
};

/** What this machine's timers allow: as many coroutines, each of which takes one message after the other. */
function bare(items: readonly Payload[]): Contender {
  return {
    name: BARE,
    run: async () => {
      const handling = new Handling(items.length);
      let next = 0;
      const coroutine = async (): Promise<void> => {
        while (next < items.length) await handling.handleIn1Ms({ data: items[next++]! });
      };
      await Promise.all(Array.from({ length: CONCURRENCY }, coroutine));
      return handling.seen();
    },
  };
}

function report(messages: number, jobs: number, summaries: readonly Summary[]): Report {
  const rates = (summary: Summary | undefined) => summary?.samples.map(({ rate }) => rate) ?? [];
  const bareRates = rates(summaries[0]);
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  const ours = summaries.find(({ name }) => name === OURS);
  return {
    title: `worker-1ms: ${grouped(messages)} messages of ${BYTES} B, a timer of 1 ms in each handler, concurrency \
${CONCURRENCY}, ideally ${grouped(IDEAL)} a second (${BULLMQ}: ${grouped(jobs)} jobs)`,
    head: ["peer", "msg/s", "min .. max", "of the ideal", "x no Redis", "CPU us/msg", "server share"],
    rows: summaries.map((s) => [
      s.name,
      grouped(s.rate),
      `${grouped(s.slowest)} .. ${grouped(s.fastest)}`,
      percent(s.rate / IDEAL),
      decimal(pairedRatio(rates(s), bareRates)),
      decimal(s.cpu),
      percent(s.serverShare),
    ]),
    floors: [
      {
        what: "worker, handlers of 1 ms",
        measured: (ours?.rate ?? Number.NaN) / IDEAL,
        limit: 0.9,
        at: "least",
        unit: `x ${grouped(IDEAL)}/s`,
      },
    ],
    figures: summaries,
  };
}
