// Codecs: how a value becomes the fields of an entry and comes back, typed.
import { bytes, type Codec, Database, json, structured } from "walrus-streams";
import { msgpack } from "walrus-streams/msgpack"; // needs the package msgpackr

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
interface Order {
  sku: string;
  items: { total: number }[];
}

// JSON in one field: readable by any other program.
const orders = db.Stream("example:json", { codec: json<Order>() });
await orders.add({ sku: "a-1", items: [{ total: 7 }] });
console.log("json:", (await orders.last())?.data.items[0]?.total);

// Bytes as they are, field by field.
const pictures = db.Stream("example:bytes", { codec: bytes });
await pictures.add({ name: "pixel", png: new Uint8Array([0x89, 0x50, 0x4e, 0x47]) });
console.log("bytes:", (await pictures.last())?.data.png);

// Structured clone: Map, Set, Date, bigint; for Node.js on both sides.
const states = db.Stream("example:structured", { codec: structured<Map<string, Date>>() });
await states.add(new Map([["started", new Date(0)]]));
console.log("structured:", (await states.last())?.data.get("started"));

// MessagePack: like JSON, smaller.
const events = db.Stream("example:msgpack", { codec: msgpack<Order>() });
await events.add({ sku: "b-2", items: [] });
console.log("msgpack:", (await events.last())?.data.sku);

// Your own: two functions and a name.
const celsius: Codec<number> = {
  name: "celsius",
  encode: (degrees) => ["c", String(degrees)],
  decode: (fields) => Number(fields[0]?.value.toString()),
};
const temperatures = db.Stream("example:celsius", { codec: celsius });
await temperatures.add(-3.5);
console.log("my own:", (await temperatures.last())?.data);

for (const stream of [orders, pictures, states, events, temperatures]) await stream.clear();
