// Many entries at once: addMany takes any iterable, sync or async, and sends 1,000 a round trip.
import { Database, InvalidArgumentError } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const samples = db.Stream("example:batches");

// A generator is never held whole: a file, a query or a socket can be its source.
async function* measure(count: number) {
  for (let n = 0; n < count; n++) yield { sensor: `s${n % 3}`, value: n / 10 };
}

// The ids come back in order; here each value gets its own, a second apart.
const begin = Date.UTC(2018, 0, 1);
const ids = await samples.addMany(measure(10_000), { id: (_, i) => new Date(begin + i * 1000) });
console.log(`added ${ids.length}, from ${ids[0]} to ${ids.at(-1)}`);

// A bound can be kept while adding; exact here, in whole nodes (and faster) without `approximate: false`.
await samples.addMany([{ sensor: "s0", value: 0 }], { maxlen: 500, approximate: false });
console.log("kept:", await samples.length());

// A bad value ends it, and the error says which one; what filled whole batches before it is stored.
try {
  await samples.addMany([{ value: 1 }, { value: null as never }]);
} catch (error) {
  if (error instanceof InvalidArgumentError) console.log(error.message);
}
console.log("nothing of that batch:", await samples.length());

await samples.clear();
