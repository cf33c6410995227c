import type { Database } from "../../../src/index.ts";
import { BUILT } from "../build.ts";
import { Handling } from "../handling.ts";
import { type Contender, measure, type Summary } from "../measure.ts";
import { type Payload, payloads } from "../payload.ts";
import { OURS, PAGE } from "../peers/peer.ts";
import { pairedRatio } from "../statistics.ts";
import { decimal, grouped, pairFloor, type Report, type Work } from "./work.ts";

type Library = typeof import("../../../src/index.ts");

const KEY = "bench:app";
const GROUP = "cg";
const BYTES = 100;
const ROUNDS = 5;
const BARE = "worker";
const APP = "app, two middlewares";
/** What an app's publications say of their content. */
const HEADERS = { "content-type": "application/json" };

/** A backlog of JSON through a subscriber with two middlewares, beside a worker that decodes the same. */
export const app: Work = {
  name: "app",
  async run({ server, peers, rounds, scaled }) {
    if (!peers.some(({ name }) => name === OURS)) return [];
    const items = payloads(scaled(200_000), BYTES);
    const library = (await import(BUILT)) as Library;
    const db = new library.Database(server.url);
    try {
      await server.admin.del(KEY);
      await using producer = db.producer(KEY, { codec: library.json<Payload>() });
      for (let i = 0; i < items.length; i += PAGE)
        await producer.pushMany(items.slice(i, i + PAGE), { headers: HEADERS });
      const expected = { messages: items.length, characters: items.length * BYTES };
      const sides: readonly [string, (handling: Handling) => Promise<void>][] = [
        [BARE, (handling) => work(db, library, handling)],
        [APP, (handling) => subscribe(db, handling)],
      ];
      const contenders = sides.map(([name, run]): Contender => {
        return {
          name,
          prepare: async () => {
            await server.admin.xgroup("DESTROY", KEY, GROUP);
            await server.admin.xgroup("CREATE", KEY, GROUP, "0-0");
          },
          run: async () => {
            const handling = new Handling(items.length);
            await run(handling);
            return handling.seen();
          },
          verify: async () => {
            const [pending] = (await server.admin.xpending(KEY, GROUP)) as [number];
            if (pending !== 0) throw new Error(`${name} left ${pending} entries pending`);
          },
        };
      });
      const summaries = await measure(contenders, expected, { rounds: Math.min(ROUNDS, rounds), server });
      return [report(items.length, summaries)];
    } finally {
      await server.admin.del(KEY);
      await db.close();
    }
  },
};

async function work(db: Database, { json }: Library, handling: Handling): Promise<void> {
  const group = db.consumerGroup(GROUP, [KEY], { codec: json<Payload>() });
  await using worker = db.worker(group, handling.handle, { prefetch: PAGE });
  const running = worker.run();
  await Promise.race([handling.finished, running]);
  await worker.stop();
  await running;
}

async function subscribe(db: Database, handling: Handling): Promise<void> {
  await using app = db.app<{ [KEY]: Payload }>({ name: "bench", prefetch: PAGE });
  app.use((_message, _context, next) => next());
  app.use((_message, _context, next) => next());
  app.subscriber(KEY, { group: GROUP }, handling.handle);
  await app.start();
  await handling.finished;
}

function report(messages: number, summaries: readonly Summary[]): Report {
  const rates = (summary: Summary | undefined) => summary?.samples.map(({ rate }) => rate) ?? [];
  const bare = rates(summaries.find(({ name }) => name === BARE));
  return {
    title: `app: ${grouped(messages)} messages of ${BYTES} B as JSON, no-op handler, ${PAGE} held`,
    head: ["way", "msg/s", "min .. max", `x ${BARE}`, "CPU us/msg", "server share"],
    rows: summaries.map((s) => [
      s.name,
      grouped(s.rate),
      `${grouped(s.slowest)} .. ${grouped(s.fastest)}`,
      decimal(pairedRatio(rates(s), bare)),
      decimal(s.cpu),
      `${(s.serverShare * 100).toFixed(0)} %`,
    ]),
    floors: [
      pairFloor("app, JSON and two middlewares, to the bare worker", summaries, 0.8, { of: APP, to: BARE }),
    ],
    figures: summaries,
  };
}
