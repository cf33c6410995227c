// Redis Cluster: the same containers; keys may live on different nodes.
// Name the nodes in REDIS_CLUSTER, for example REDIS_CLUSTER=127.0.0.1:7000,127.0.0.1:7001
import { ClusterDatabase } from "walrus-streams";

const nodes = (process.env.REDIS_CLUSTER ?? "localhost:7000").split(",").map((node) => {
  const [host = "localhost", port = "7000"] = node.split(":");
  return { host, port: Number(port) };
});
await using db = new ClusterDatabase(nodes);

// Three keys in three slots; a read over them is one read for each slot, merged.
const keys = ["example:cluster-a", "example:cluster-b", "example:cluster-c"] as const;
const slots = new Set(await Promise.all(keys.map((key) => db.cluster("KEYSLOT", key))));
console.log("slots:", slots.size);

const group = db.consumerGroup("cg", keys);
await group.create();
for (const key of keys) await group.streams[key].addMany([{ n: 1 }, { n: 2 }]);

const messages = await group.read({ count: 10, block: 1000 });
for (const key of keys) {
  console.log(key, messages[key]?.map(({ data }) => data.n).join(" "));
  await group.streams[key].ack(...(messages[key] ?? []));
}
console.log("pending:", (await group.stats()).pending);

// One at a time: a DEL over keys of several slots is refused by the server.
for (const key of keys) await group.streams[key].clear();
