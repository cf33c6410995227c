// Merging two series live: one flow of messages, in the order of their times.
import { Database, type Message } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const series = db.timeSeries("merge", ["example:merge-oslo", "example:merge-rome"]);
const [oslo, rome] = series.keys;
await series.create();

// Two stations that report in turn.
const noon = Date.UTC(2018, 0, 1, 12);
for (let minute = 0; minute < 4; minute++) {
  const id = new Date(noon + minute * 60_000);
  await series.streams[oslo!]!.add({ temp: -5 - minute }, { id });
  await series.streams[rome!]!.add({ temp: 12 + minute }, { id });
}

// A consumer gives each series in order, and takes from them in turn; which one is ahead is not told.
// What has come of both up to some time can be merged: hold the earlier one until the other has caught up.
await using live = db.consumer(series, { follow: true });
const waiting = new Map<string, Message<Record<string, string>>[]>(series.keys.map((key) => [key, []]));
let merged = 0;
for await (const message of live) {
  waiting.get(message.stream)!.push(message);
  while ([...waiting.values()].every((list) => list.length > 0)) {
    const heads = [...waiting.values()].map((list) => list[0]!);
    const first = heads.reduce((a, b) => (b.timestamp < a.timestamp ? b : a));
    waiting.get(first.stream)!.shift();
    const place = first.stream.replace("example:merge-", "");
    console.log(first.timestamp.toISOString().slice(11, 16), place, first.data.temp);
    merged++;
  }
  if (merged === 7) break; // The last of Rome waits for the next of Oslo.
}
console.log("merged:", merged);

for (const key of series.keys) await series.streams[key]!.clear();
