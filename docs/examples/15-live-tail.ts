// A live tail of several streams into the terminal. It ends by itself after twelve messages.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const rooms = ["example:tail-kitchen", "example:tail-garden", "example:tail-attic"];

// From now on, for ever: `follow` waits for messages and goes on after every fault of the connection.
await using tail = db.consumer(rooms, { follow: true });

// Something to see: three sensors that report in turn.
let reading = 0;
const sensors = setInterval(() => {
  const room = rooms[reading % rooms.length]!;
  db.Stream(room).add({ reading: reading++ }).catch(console.error);
}, 20);

let count = 0;
for await (const { stream, timestamp, data } of tail) {
  const time = timestamp.toISOString().slice(11, 23);
  console.log(time, stream.replace("example:tail-", "").padEnd(8), "reading", data.reading);
  if (++count === 12) break; // Closes the tail: its connection goes back.
}
clearInterval(sensors);
console.log("messages:", count);

for (const room of rooms) await db.Stream(room).clear();
