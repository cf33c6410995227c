// Ranges are lazy: await one for an array, loop over it for pages of 1,000 that are fetched as you go.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const log = db.Stream("example:ranges");

function* numbers(count: number) {
  for (let n = 1; n <= count; n++) yield { n };
}
await log.addMany(numbers(2500), { id: ({ n }) => `${n}-0` });

// Start, stop and count; each may be absent.
const ids = (messages: { id: string }[]) => messages.map(({ id }) => id).join(" ");
console.log("first three:", ids(await log.range(undefined, undefined, 3)));
console.log("10 to 12:", ids(await log.range(10, 12)));
console.log("after 10:", ids(await log.range("(10-0", 12)));

// Reversed, the count is taken from the other end.
console.log("last three:", ids(await log.range(undefined, undefined, 3).reverse()));

// A loop never holds more than two pages, however long the stream is; `break` ends it.
let sum = 0;
for await (const { data } of log) sum += Number(data.n);
console.log("sum of all:", sum);

// Page by page, for work that goes in batches.
for await (const page of log.range(1).pages()) console.log("a page of", page.length);

console.log("first and last:", (await log.first())?.id, (await log.last())?.id);
await log.clear();
