import { once } from "node:events";
import { waitFor } from "../../../src/testing/index.ts";
import { Child } from "../child.ts";
import type { IdleFigures } from "../idle-probe.ts";
import { OURS } from "../peers/peer.ts";
import { commandsOf, type Watch, watch } from "../watch.ts";
import { type Bench, decimal, grouped, type Report, type Work } from "./work.ts";

const PREFIX = "bench:idle:";
const SECONDS = 6;
const BEFORE = 2;
const OPEN_WITHIN = 30_000;
const CLOSE_WITHIN = 20_000;

/** What consumers cost that follow streams to which nothing comes, in a fresh process; no promise. */
export const idle: Work = {
  name: "idle",
  async run(bench) {
    return bench.peers.some(({ name }) => name === OURS) ? [await probe(bench)] : [];
  },
};

async function probe({ server, scaled }: Bench): Promise<Report> {
  const count = scaled(1_000);
  const seconds = Math.max(1, scaled(SECONDS));
  const { connected } = await server.clients();
  const without = await watch(server, Math.min(BEFORE, seconds));
  const child = new Child("idle-probe.ts", [server.url, PREFIX, `${count}`], ["--expose-gc"]);
  const told = () => once(child.process, "message", { signal: AbortSignal.timeout(OPEN_WITHIN) });
  const ask = async (): Promise<unknown> => {
    const answer = told();
    child.process.send("next");
    return (await answer)[0];
  };
  try {
    await told();
    child.process.send("open");
    await waitFor(async () => (await server.clients()).blocked === count, {
      timeout: OPEN_WITHIN,
      interval: 50,
      what: `${count} blocked reads`,
    });
    await ask();
    const watched = await watch(server, seconds);
    const figures = (await ask()) as IdleFigures;
    const started = performance.now();
    child.process.send("close");
    const isClean = await child.end(CLOSE_WITHIN);
    const closing = performance.now() - started;
    if (!isClean) throw new Error("the idle probe did not end by itself");
    await waitFor(async () => (await server.clients()).connected === connected, {
      what: `${connected} connections as before`,
    });
    return report(count, seconds, figures, without, watched, closing);
  } finally {
    child.process.kill("SIGKILL");
  }
}

function report(
  count: number,
  seconds: number,
  figures: IdleFigures,
  without: Watch,
  watched: Watch,
  closing: number,
): Report {
  const percent = (value: number) => `${decimal(value)} %`;
  const kilobytes = (value: number) => `${decimal(value / count / 1e3)} KB`;
  const clientCpu = figures.cpu / seconds / 1e4;
  return {
    title: `idle: ${grouped(count)} consumers that follow, on one database, over ${seconds} s; closed in \
${grouped(closing)} ms`,
    head: ["", "heap each", "rss each", "sockets", "server CPU", "client CPU", "commands/s", "of these"],
    rows: [
      ["without", "-", "-", grouped(without.sockets), percent(without.cpu), "-", ...commandsOf(without)],
      [
        OURS,
        kilobytes(figures.heap),
        kilobytes(figures.rss),
        grouped(watched.sockets),
        percent(watched.cpu),
        percent(clientCpu),
        ...commandsOf(watched),
      ],
    ],
    floors: [],
    figures: {
      ...{ count, seconds, closing, ...figures },
      without: { ...without, commands: Object.fromEntries(without.commands) },
      watched: { ...watched, commands: Object.fromEntries(watched.commands) },
    },
  };
}
