// Several streams in a cluster: one worker reads them all, and each has dead letters in its own slot.
// Name the nodes in REDIS_CLUSTER, for example REDIS_CLUSTER=127.0.0.1:7000,127.0.0.1:7001
import { ClusterDatabase, deadLetterKey, RejectError } from "walrus-streams";

const nodes = (process.env.REDIS_CLUSTER ?? "localhost:7000").split(",").map((node) => {
  const [host = "localhost", port = "7000"] = node.split(":");
  return { host, port: Number(port) };
});
await using db = new ClusterDatabase(nodes);

// Two keys share a hash tag, and so a slot and a read; the third is somewhere else.
const keys = ["{example:shop}eu", "{example:shop}us", "example:audit"] as const;
const group = db.consumerGroup("billing", keys);
for (const key of keys) await group.streams[key].addMany([{ n: 1 }, { n: 2 }, { n: "x" }]);

// Messages of one stream one after another, in order; the streams side by side.
const seen = new Map<string, string[]>();
await using worker = db.worker(
  group,
  async ({ stream, data }) => {
    if (data.n === "x") throw new RejectError("not a number");
    seen.set(stream, [...(seen.get(stream) ?? []), data.n!]);
  },
  { concurrency: 10, orderBy: ({ stream }) => stream },
);
console.log("read:", await worker.runOnce());
for (const key of keys) console.log(key, seen.get(key)?.join(" "));

// A script reaches one slot only, so a dead letter stays in that of its stream.
for (const key of keys) {
  const dead = db.deadLetters(deadLetterKey(key));
  console.log("dead:", dead.key, await dead.length());
  await dead.clear();
}
for (const key of keys) await group.streams[key].clear();
