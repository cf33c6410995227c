// Ids and Dates: a Date, a number, an id text, a parsed id or a message can stand wherever an id goes.
import { compareIds, Database, nextId, parseId } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const log = db.Stream("example:ids");
const noon = new Date("2018-01-02T12:00:00Z");

// On add, a Date is the millisecond and the server counts the sequence: two samples of one moment both fit.
await log.add({ n: 1 }, { id: noon });
await log.add({ n: 2 }, { id: noon });
await log.add({ n: 3 }, { id: noon.getTime() + 1 }); // a number is milliseconds: "<ms>-0"
const last = await log.add({ n: 4 }, { id: "1514894400001-7" });

// In a range, a Date is its whole millisecond, at both ends.
const atNoon = await log.range(noon, noon);
console.log("at noon:", atNoon.map(({ id }) => id).join(" "));

// In a read, a Date means "later than this".
const later = await log.read({ lastId: noon });
console.log("later:", later.map(({ data }) => data.n).join(" "));

// One entry: by its id, by a message, by { timestamp, sequence }; a bare Date is then "<ms>-0".
console.log("get:", (await log.get({ timestamp: noon, sequence: 1 }))?.data, await log.has(atNoon[0]!));

// Ids are compared as numbers, never as text.
console.log("in order:", ["1-10", "9-0", "1-9", "10-0"].sort(compareIds).join(" "));
console.log("parsed:", parseId(last), "next:", nextId(last));

await log.clear();
