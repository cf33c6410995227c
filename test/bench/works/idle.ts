import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { waitFor } from "../../../src/testing/index.ts";
import { Child } from "../child.ts";
import { Handling } from "../handling.ts";
import type { IdleFigures } from "../idle-probe.ts";
import { BLOCK, OURS, type Peer } from "../peers/peer.ts";
import { watch } from "../watch.ts";
import type { Bench, Round, Work } from "./work.ts";

const KEY = "bench:idle";
const GROUP = "cg";
/** Longer than a third of a lease, and than two slices of a blocked read. */
const SECONDS = 12;
const SETTLE = 500;
const OPEN_WITHIN = 30_000;
const CLOSE_WITHIN = 20_000;

/** What consumers cost that follow streams to which nothing comes. */
export const idle: Work = {
  name: "idle",
  title: "1,000 consumers in a fresh process follow streams to which nothing comes",
  metrics: ["commands", "serverCpu", "heap"],
  run: async (bench) =>
    bench.peers.some(({ name }) => name === OURS) ? { [OURS]: [await consumersAtRest(bench)] } : {},
};

/** What a worker costs to which nothing comes. */
export const idleWorker: Work = {
  name: "idle-worker",
  title: "one worker to which nothing comes: commands that the server processes, those of scripts among them",
  metrics: ["commands", "serverCpu"],
  async run(bench) {
    const rounds: Record<string, Round[]> = {};
    for (const peer of bench.peers.filter(({ work }) => work !== undefined)) {
      try {
        rounds[peer.name] = [await workerAtRest(bench, peer)];
      } catch (error) {
        bench.failed(peer.name, error);
      }
    }
    return rounds;
  },
};

async function consumersAtRest({ server, scaled }: Bench): Promise<Round> {
  const count = scaled(1_000);
  const { connected } = await server.clients();
  const child = new Child("idle-probe.ts", [server.url, `${KEY}:`, `${count}`], ["--expose-gc"]);
  const told = () => once(child.process, "message", { signal: AbortSignal.timeout(OPEN_WITHIN) });
  try {
    await told();
    child.process.send("open");
    await waitFor(async () => (await server.clients()).blocked === count, {
      timeout: OPEN_WITHIN,
      interval: 50,
      what: `${count} blocked reads`,
    });
    const answer = told();
    child.process.send("tell");
    const [{ heap }] = (await answer) as [IdleFigures];
    const { commands, cpu } = await watch(server, scaled(SECONDS, 1));
    child.process.send("close");
    if (!(await child.end(CLOSE_WITHIN))) throw new Error("the idle probe did not end by itself");
    await waitFor(async () => (await server.clients()).connected === connected, {
      what: `${connected} connections as before`,
    });
    return { commands, serverCpu: cpu, heap: heap / count / 1e3 };
  } finally {
    child.process.kill("SIGKILL");
  }
}

async function workerAtRest({ server, scaled }: Bench, peer: Peer): Promise<Round> {
  await server.admin.del(KEY);
  await server.renewGroup(KEY, GROUP);
  await waitFor(async () => (await server.clients()).blocked === 0, {
    what: "nobody to wait for messages",
    timeout: 2 * BLOCK,
  });
  const handling = new Handling(1); // of the one message that ends it
  const working = peer.work!({ key: KEY, group: GROUP, handle: handling.handle, handling });
  working.catch(() => {}); // seen below
  await waitFor(async () => (await server.clients()).blocked > 0, {
    what: `${peer.name} to wait for messages`,
  });
  await wait(SETTLE); // what it does once at its beginning is not its rest
  const { commands, cpu } = await watch(server, scaled(SECONDS, 2));
  const last = { user: "", action: "", body: "" };
  if (peer.queue) await peer.queue.addMany(KEY, [last]);
  else await server.admin.xadd(KEY, "*", ...Object.entries(last).flat());
  await working;
  await peer.queue?.clear(KEY);
  await server.admin.del(KEY);
  return { commands, serverCpu: cpu };
}
