// A schema (zod, valibot, arktype: any Standard Schema) judges what is added and types what is read.
import { Database, DecodeError, InvalidArgumentError } from "walrus-streams";
import { z } from "zod";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");

// Fields are texts in Redis; `coerce` makes numbers of them again.
const Order = z.object({
  sku: z.string().min(1),
  total: z.coerce.number<number>().positive(),
  currency: z.string().default("EUR"),
});
const orders = db.Stream("example:schema", { schema: Order });

// The compiler knows what goes in (`currency` may be absent) and what comes out (all three).
await orders.add({ sku: "a-1", total: 7 });
const order = await orders.first();
console.log("typed:", order?.data.total.toFixed(2), order?.data.currency);

// What the schema refuses is refused before anything is sent.
try {
  await orders.add({ sku: "a-2", total: -1 });
} catch (error) {
  if (error instanceof InvalidArgumentError) console.log("add:", error.message);
}

// Another program may write what it likes: reading it is an error that says which entry, and why.
await db.xadd("example:schema", "*", "sku", "", "total", "none");
try {
  for await (const { data } of orders) console.log("good:", data.sku);
} catch (error) {
  if (error instanceof DecodeError) {
    console.log("read:", error.issues.map(({ path }) => path?.join(".")).join(", "));
    await orders.delete(error); // the error names its entry, as a message does
  }
}
console.log("left:", await orders.length());

await orders.clear();
