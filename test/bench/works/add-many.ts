import { measure } from "../measure.ts";
import { payloads } from "../payload.ts";
import { PAGE } from "../peers/peer.ts";
import { type Bench, grouped, type Report, ratioFloor, sizeName, throughput, type Work } from "./work.ts";

const KEY = "bench:add-many";

/** Many XADDs, 1,000 a round trip, their ids collected. */
export const addMany: Work = {
  name: "addMany",
  async run(bench) {
    const reports: Report[] = [];
    for (const bytes of bench.sizes) reports.push(await addSize(bench, bytes));
    return reports;
  },
};

async function addSize({ server, peers, rounds, scaled }: Bench, bytes: number): Promise<Report> {
  const messages = scaled(bytes < 1_024 ? 100_000 : 25_000);
  const items = payloads(messages, bytes);
  const contenders = peers.flatMap((peer) =>
    peer.addMany
      ? [{ name: peer.name, prepare: () => server.admin.del(KEY), run: () => peer.addMany!(KEY, items) }]
      : [],
  );
  const summaries = await measure(contenders, { messages, characters: messages * bytes }, { rounds, server });
  const stored = await server.admin.xlen(KEY);
  if (stored !== messages) throw new Error(`addMany stored ${stored} entries instead of ${messages}`);
  await server.admin.del(KEY);
  const size = sizeName(bytes);
  return throughput(`addMany: ${grouped(messages)} messages of ${size}, batches of ${PAGE}`, summaries, [
    ratioFloor(`addMany ${size}`, summaries, bytes < 1_024 ? 2 : 1.4),
  ]);
}
