// Headers travel beside the data: for tracing, content types, routing; no codec or schema sees them.
import { Database, json } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const orders = db.Stream("example:headers", { codec: json<{ sku: string }>() });

await orders.add({ sku: "a-1" }, { headers: { "correlation-id": "42", region: "eu" } });
await orders.add({ sku: "a-2" });
await orders.addMany([{ sku: "a-3" }, { sku: "a-4" }], { headers: { region: "us" } }); // the same for all

for await (const { data, headers } of orders) {
  console.log(data.sku, headers.region ?? "nowhere", Object.keys(headers).length);
}

// On the server they are one more field, as JSON.
const [entry] = await db.xrange("example:headers", "-", "+", "COUNT", 1);
console.log("stored:", entry?.[1].slice(2));

await orders.clear();
