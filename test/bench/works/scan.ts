import { type Contender, measure } from "../measure.ts";
import { payloads } from "../payload.ts";
import { OURS, PAGE } from "../peers/peer.ts";
import {
  type Bench,
  grouped,
  leadFloor,
  type Report,
  ratioFloor,
  sizeName,
  throughput,
  type Work,
} from "./work.ts";

const KEY = "bench:scan";

/** A whole stream read as objects: XRANGE in pages of 1,000, each message visited once. */
export const scan: Work = {
  name: "scan",
  async run(bench) {
    const reports: Report[] = [];
    for (const bytes of bench.sizes) reports.push(await scanSize(bench, bytes));
    return reports;
  },
};

async function scanSize({ server, peers, rounds, scaled }: Bench, bytes: number): Promise<Report> {
  const messages = scaled(bytes < 1_024 ? 200_000 : 50_000);
  await server.fill(KEY, payloads(messages, bytes));
  const contenders = peers.flatMap((peer): Contender[] => [
    ...(peer.scan ? [{ name: peer.name, run: () => peer.scan!(KEY) }] : []),
    ...(peer.scanByPages ? [{ name: `${peer.name} .pages()`, run: () => peer.scanByPages!(KEY) }] : []),
  ]);
  const summaries = await measure(contenders, { messages, characters: messages * bytes }, { rounds, server });
  await server.admin.del(KEY);
  const size = sizeName(bytes);
  const limit = bytes < 1_024 ? 2.5 : 2;
  return throughput(`scan: ${grouped(messages)} messages of ${size}, pages of ${PAGE}`, summaries, [
    ratioFloor(`scan ${size}, for await`, summaries, limit),
    ratioFloor(`scan ${size}, .pages()`, summaries, limit, `${OURS} .pages()`),
    leadFloor(`scan ${size}, for await, ahead of every client`, summaries),
  ]);
}
