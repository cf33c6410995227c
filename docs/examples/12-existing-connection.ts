// Every container takes any ioredis connection: no need to replace the one you have.
import { Redis } from "ioredis";
import { ConsumerGroup, Stream } from "walrus-streams";

const redis = new Redis(process.env.REDIS_URL ?? "redis://localhost:6379", { keyPrefix: "example:" });

// ioredis's own commands and the containers work side by side; its keyPrefix, password and TLS go for both.
await redis.xadd("mixed", "1-0", "from", "ioredis");
const mixed = new Stream(redis, "mixed");
await mixed.add({ from: "walrus-streams" }, { id: "2-0" });
for await (const { stream, id, data } of mixed) console.log(stream, id, data.from);

// A group too; the key in a message is without the prefix.
const group = new ConsumerGroup(redis, "readers", ["mixed"]);
await group.create();
const { mixed: messages = [] } = await group.read({ count: 1 });
console.log(messages[0]);

// Connections that were opened for blocked reads, scans and batches end with yours.
await redis.del("mixed");
await redis.quit();
