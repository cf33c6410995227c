// The shortest program: add two entries to a stream and read them back.
// Run it with `npx tsx docs/examples/01-hello.ts`, beside a Redis or Valkey server; so with all of these.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const log = db.Stream("example:hello");

// An entry is a map of fields; the server gives it an id, "<milliseconds>-<sequence>".
const id = await log.add({ message: "hello, streams" });
await log.add({ message: "hello again", attempt: 2 });
console.log(
  `the first of ${await log.length()} entries has an id of milliseconds: ${/^\d{13}-\d+$/.test(id)}`,
);

// Every read gives messages: id, timestamp, sequence, data, headers.
for await (const { timestamp, data } of log.range()) {
  console.log(timestamp instanceof Date, data); // fields are texts, as Redis keeps them
}

// A stream is a key like any other; `db` is an ioredis connection, so every command works on it too.
await log.clear();
console.log("left behind:", await db.exists("example:hello"));
