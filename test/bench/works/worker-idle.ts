import { setTimeout as wait } from "node:timers/promises";
import { waitFor } from "../../../src/testing/index.ts";
import { Handling } from "../handling.ts";
import { BULLMQ, OURS, type Peer } from "../peers/peer.ts";
import { commandsOf, type Watch, watch } from "../watch.ts";
import { type Bench, decimal, type Report, type Work } from "./work.ts";

const KEY = "bench:worker-idle";
const GROUP = "cg";
/** Longer than a third of a lease, and than a slice of a blocked read. */
const SECONDS = 12;
const SETTLE = 500;

/** What one worker asks of the server while nothing comes. */
export const workerIdle: Work = {
  name: "worker-idle",
  async run(bench) {
    const { server, peers, scaled } = bench;
    const seconds = Math.max(2, scaled(SECONDS));
    const watches: [name: string, watched: Watch][] = [
      ["without", await watch(server, Math.min(2, seconds))],
    ];
    for (const name of [BULLMQ, OURS]) {
      const peer = peers.find((peer) => peer.name === name);
      if (peer) watches.push([name, await idle(bench, peer, seconds)]);
    }
    return [report(seconds, watches)];
  },
};

async function idle({ server }: Bench, peer: Peer, seconds: number): Promise<Watch> {
  await server.admin.del(KEY);
  await server.admin.xgroup("CREATE", KEY, GROUP, "0-0", "MKSTREAM");
  const handling = new Handling(1); // of the one message that ends it
  const { handle } = handling;
  const working = peer.work!({ key: KEY, group: GROUP, handle, handling });
  await waitFor(async () => (await server.clients()).blocked > 0, {
    what: `${peer.name} to wait for messages`,
  });
  await wait(SETTLE);
  const watched = await watch(server, seconds);
  const last = { user: "", action: "", body: "" };
  if (peer.enqueue) await peer.enqueue(KEY, [last]);
  else await server.admin.xadd(KEY, "*", ...Object.entries(last).flat());
  await working;
  await peer.removeQueue?.(KEY);
  await server.admin.del(KEY);
  return watched;
}

function report(seconds: number, watches: readonly (readonly [string, Watch])[]): Report {
  const ours = watches.find(([name]) => name === OURS)?.[1];
  return {
    title: `worker-idle: one worker to which nothing comes, over ${seconds} s; commands a second at the server, \
those of scripts among them`,
    head: ["peer", "processed/s", "calls/s", "of these", "server CPU"],
    rows: watches.map(([name, watched]) => [
      name,
      decimal(watched.processed),
      ...commandsOf(watched),
      `${decimal(watched.cpu)} %`,
    ]),
    floors: [
      {
        what: "worker, idle",
        measured: ours?.processed ?? Number.NaN,
        limit: 5,
        at: "most",
        unit: "commands/s",
      },
    ],
    figures: watches.map(([name, watched]) => ({
      name,
      ...watched,
      commands: Object.fromEntries(watched.commands),
    })),
  };
}
