import { type Contender, measure } from "../measure.ts";
import { payloads } from "../payload.ts";
import { grouped, type Report, ratioFloor, throughput, type Work } from "./work.ts";

const KEY = "bench:single";
const BYTES = 100;

/** One command after the other, each awaited: `add` and `length`. */
export const single: Work = {
  name: "single",
  async run({ server, peers, rounds, scaled }) {
    const messages = scaled(20_000);
    const items = payloads(messages, BYTES);
    const adders = peers.flatMap((peer): Contender[] => {
      if (!peer.adder) return [];
      const add = peer.adder(KEY);
      const run = async () => {
        let characters = 0;
        for (const item of items) {
          await add(item);
          characters += BYTES;
        }
        return { messages: await server.admin.xlen(KEY), characters };
      };
      return [{ name: peer.name, prepare: () => server.admin.del(KEY), run }];
    });
    const counters = peers.flatMap((peer): Contender[] => {
      if (!peer.counter) return [];
      const length = peer.counter(KEY);
      const run = async () => {
        let seen = 0;
        for (let i = 0; i < messages; i++) if ((await length()) === messages) seen++;
        return { messages: seen, characters: 0 };
      };
      return [{ name: peer.name, run }];
    });
    const reports: Report[] = [];
    for (const [name, command, contenders, characters] of [
      ["add", "XADD", adders, messages * BYTES],
      ["length", "XLEN", counters, 0],
    ] as const) {
      const summaries = await measure(contenders, { messages, characters }, { rounds, server });
      const title = `single: ${grouped(messages)} x ${command}, each awaited`;
      reports.push(throughput(title, summaries, [ratioFloor(`single ${name}`, summaries, 0.9)]));
    }
    await server.admin.del(KEY);
    return reports;
  },
};
