// A time series: streams whose ids are Dates, read as one in time order, and cut into buckets.
import { Database } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const weather = db.timeSeries("weather", ["example:berlin", "example:oslo"]);

// Two days of samples: one every six hours in Berlin, one every eight in Oslo.
const start = new Date("2018-01-01T00:00:00Z");
const after = (hours: number) => new Date(start.getTime() + hours * 3_600_000);
const berlin = [-1, 1, 4, 2, 0, 2, 6, 4].map((temp) => ({ temp }));
const oslo = [-9, -4, -8, -7, -1, -3].map((temp) => ({ temp }));
await weather.exampleBerlin.addMany(berlin, { id: (_, i) => after(i * 6) });
await weather.exampleOslo.addMany(oslo, { id: (_, i) => after(i * 8) });

// Both streams merged, by Date; `.reverse()` and a count work here too.
for await (const { stream, timestamp, data } of weather.range(start, undefined, 3)) {
  console.log(timestamp.toISOString(), stream, data.temp);
}

// Count, least, greatest, mean, sum, first and last of each day (UTC), over one stream or all of them.
for await (const day of weather.exampleBerlin.buckets({ every: { days: 1 }, value: "temp" })) {
  console.log(day.start.toISOString().slice(0, 10), day.count, day.min, day.mean, day.max);
}
for await (const { mean } of weather.buckets({ every: { days: 1 }, value: (m) => Number(m.data.temp) })) {
  console.log("mean of both:", mean?.toFixed(2));
}

// Flat rows, for a data frame or a plot.
console.table(weather.rows(await weather.range(undefined, undefined, 2)));
await db.del(...weather.keys);
