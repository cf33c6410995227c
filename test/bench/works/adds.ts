import { PAGE } from "../peers/peer.ts";
import { adding, throughput } from "./throughput.ts";
import type { Target, Work } from "./work.ts";

const CALLERS = 1_000;

/** One message after the other. */
export const add: Work = throughput({
  name: "add",
  title: "one message after the other is added, each awaited",
  messages: 20_000,
  target: { ratio: 0.9 },
  turnOf: (peer, stage) => {
    const { queue, addOne } = peer;
    if (queue)
      return adding(peer, { ...stage, few: stage.few.slice(0, 2_000) }, (items) =>
        queue.addOne(stage.key, items),
      );
    return addOne ? adding(peer, stage, (items) => addOne.call(peer, stage.key, items)) : null;
  },
});

/** Many messages at once. */
export const addMany: Work = ofSize("add-many", 100, 100_000, { ratio: 3 });

/** The same with longer messages. */
export const addMany1Kb: Work = ofSize("add-many-1kb", 1_024, 25_000, { ratio: 1.4 });

function ofSize(name: string, bytes: number, messages: number, target: Target): Work {
  return throughput({
    ...{ name, bytes, messages, target },
    title: `messages of ${bytes} bytes are added, ${PAGE} a round trip`,
    turnOf: (peer, stage) => {
      const { queue, addMany } = peer;
      if (queue) return adding(peer, stage, (items) => queue.addMany(stage.key, items));
      return addMany ? adding(peer, stage, (items) => addMany.call(peer, stage.key, items)) : null;
    },
  });
}

/** Many callers that know nothing of each other. */
export const producer: Work = throughput({
  name: "producer",
  title: `${CALLERS} callers at once add messages, each waits for its id`,
  messages: 100_000,
  target: { ratio: 1.5 },
  turnOf: (peer, stage) =>
    peer.addByMany ? adding(peer, stage, (items) => peer.addByMany!(stage.key, items, CALLERS)) : null,
});
