import { type Contender, measure } from "../measure.ts";
import { type Payload, payloads, type Tally } from "../payload.ts";
import { BASELINE, CONTESTED, OURS, PAGE, type Peer } from "../peers/peer.ts";
import { type Bench, grouped, pairFloor, type Report, ratioFloor, throughput, type Work } from "./work.ts";

const KEY = "bench:consume";
/** A shorter stream, for who waits for the reply to each XACK. */
const SHORT_KEY = "bench:consume:short";
const SINGLY = `${BASELINE}, each XACK awaited`;
const GROUP = "cg";
const BYTES = 100;
const ROUNDS = 3;

/** `for await` over a backlog, of a stream and as a group's consumer with `ack()` for each message. */
export const consume: Work = {
  name: "consume",
  async run(bench) {
    const items = payloads(bench.scaled(200_000), BYTES);
    const peers = bench.peers.filter(({ name }) => CONTESTED.includes(name));
    await bench.server.fill(KEY, items);
    const reports = [await consumeStream(bench, peers, items), await consumeGroup(bench, peers, items)];
    await bench.server.admin.del(KEY, SHORT_KEY);
    return reports;
  },
};

async function consumeStream(
  { server, rounds }: Bench,
  peers: readonly Peer[],
  items: readonly Payload[],
): Promise<Report> {
  const contenders = peers.map((peer): Contender => ({ name: peer.name, run: () => peer.consume!(KEY) }));
  const summaries = await measure(contenders, tallyOf(items), { rounds: Math.min(ROUNDS, rounds), server });
  const title = `consume: ${grouped(items.length)} messages of ${BYTES} B, ${PAGE} held or a read`;
  return throughput(title, summaries, [ratioFloor("consume a backlog, for await", summaries, 2)]);
}

async function consumeGroup(
  { server, rounds, scaled }: Bench,
  peers: readonly Peer[],
  items: readonly Payload[],
): Promise<Report> {
  const few = items.slice(0, scaled(10_000));
  await server.fill(SHORT_KEY, few);
  const contender = (name: string, key: string, run: () => Promise<Tally>): Contender => ({
    name,
    run,
    prepare: async () => {
      await server.admin.xgroup("DESTROY", key, GROUP);
      await server.admin.xgroup("CREATE", key, GROUP, "0-0");
    },
    verify: async () => {
      const [pending] = (await server.admin.xpending(key, GROUP)) as [number];
      if (pending !== 0) throw new Error(`${name} left ${pending} entries pending`);
    },
  });
  const contenders = peers.flatMap((peer): Contender[] => {
    if (peer.consumeGroup) return [contender(peer.name, KEY, () => peer.consumeGroup!([KEY], GROUP))];
    const singly = contender(SINGLY, SHORT_KEY, () => peer.readGroupSingly!(SHORT_KEY, GROUP));
    return [
      contender(peer.name, KEY, () => peer.readGroup!(KEY, GROUP)),
      { ...singly, expected: tallyOf(few) },
    ];
  });
  const summaries = await measure(contenders, tallyOf(items), { rounds: Math.min(ROUNDS, rounds), server });
  const title = `consume: ${grouped(items.length)} messages of ${BYTES} B through a group, ack() for each \
(${BASELINE}: XACK for ${PAGE}; ${grouped(few.length)} messages where each is awaited)`;
  return throughput(title, summaries, [
    ratioFloor("consume through a group, to one XACK a batch", summaries, 1.5),
    pairFloor("consume through a group, to one awaited XACK each", summaries, 5, { of: OURS, to: SINGLY }),
  ]);
}

function tallyOf(items: readonly Payload[]): Tally {
  return { messages: items.length, characters: items.length * BYTES };
}
