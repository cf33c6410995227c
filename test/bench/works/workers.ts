import { type Data, type Handle, Handling } from "../handling.ts";
import type { Payload, Tally } from "../payload.ts";
import type { Peer, Task } from "../peers/peer.ts";
import { type Stage, type Turn, throughGroup, throughput, throughQueue } from "./throughput.ts";
import type { Work } from "./work.ts";

const GROUP = "cg";
const CONCURRENCY = 100;

type Handler = (handling: Handling) => Handle;

/** A backlog through handlers that look at the message and do nothing else. */
export const worker: Work = throughput({
  name: "worker",
  title: "a worker handles a backlog, the handler does nothing (bullmq: 100 at once, its best)",
  messages: 200_000,
  target: { ratio: 2 },
  before: ({ bench, key, items }) => bench.server.fill(key, items),
  turnOf: (peer, stage) => working(peer, stage, ({ handle }) => handle, peer.queue ? CONCURRENCY : 1),
});

/** A backlog through handlers that wait. */
export const worker1Ms: Work = throughput({
  name: "worker-1ms",
  title: `a worker handles a backlog, ${CONCURRENCY} at once, each waits for a timer of 1 ms: ideally 100,000 a second`,
  messages: 50_000,
  target: { ratio: 1 },
  before: ({ bench, key, items }) => bench.server.fill(key, items),
  turnOf: (peer, stage) => working(peer, stage, ({ handleIn1Ms }) => handleIn1Ms, CONCURRENCY),
});

/** A backlog of JSON through a subscriber, to a loop that parses it. */
export const app: Work = throughput({
  name: "app",
  title:
    "an app's subscriber with two middlewares handles JSON (others: their worker, with JSON.parse in the handler)",
  messages: 100_000,
  target: { ratio: 1.5 },
  before: ({ bench, key, items }) => bench.server.fillJson(key, items),
  turnOf: (peer, stage) => {
    if (peer.queue || !peer.work) return null;
    return throughGroup(stage, GROUP, () =>
      peer.app
        ? handled(
            stage.items.length,
            ({ handle }) => handle,
            (task) => peer.app!(task),
            stage.key,
            1,
          )
        : handled(stage.items.length, parsing, (task) => peer.work!(task), stage.key, 1),
    );
  },
});

const parsing: Handler =
  ({ handle }) =>
  (data: Data) =>
    handle(JSON.parse(data.json!) as Payload);

function working(peer: Peer, stage: Stage, handler: Handler, concurrency: number): Turn | null {
  if (!peer.work) return null;
  const work = (task: Task) => peer.work!(task);
  const run = (total: number) => () => handled(total, handler, work, stage.key, concurrency);
  return peer.queue
    ? throughQueue(peer.queue, stage, run(stage.few.length))
    : throughGroup(stage, GROUP, run(stage.items.length));
}

async function handled(
  total: number,
  handler: Handler,
  work: (task: Task) => Promise<void>,
  key: string,
  concurrency: number,
): Promise<Tally> {
  const handling = new Handling(total);
  await work({ key, group: GROUP, handling, handle: handler(handling), concurrency });
  return handling.seen();
}
