import { measure } from "../measure.ts";
import { payloads } from "../payload.ts";
import { PAGE } from "../peers/peer.ts";
import { grouped, ratioFloor, throughput, type Work } from "./work.ts";

const KEY = "bench:group";
const GROUP = "cg";
const BYTES = 100;

/** XREADGROUP of 1,000 and one XACK for them, until the stream is read. */
export const groupRead: Work = {
  name: "group",
  async run({ server, peers, rounds, scaled }) {
    const messages = scaled(100_000);
    await server.fill(KEY, payloads(messages, BYTES));
    const prepare = async (): Promise<void> => {
      await server.admin.xgroup("DESTROY", KEY, GROUP);
      await server.admin.xgroup("CREATE", KEY, GROUP, "0-0");
    };
    const contenders = peers.flatMap((peer) =>
      peer.readGroup ? [{ name: peer.name, prepare, run: () => peer.readGroup!(KEY, GROUP) }] : [],
    );
    const expected = { messages, characters: messages * BYTES };
    const summaries = await measure(contenders, expected, { rounds, server });
    const [pending] = (await server.admin.xpending(KEY, GROUP)) as [number];
    if (pending !== 0) throw new Error(`group read left ${pending} entries pending`);
    await server.admin.del(KEY);
    const title = `group: ${grouped(messages)} messages of ${BYTES} B, ${PAGE} a read, one XACK each`;
    return [throughput(title, summaries, [ratioFloor("group read and ack", summaries, 2)])];
  },
};
