import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { ClusterDatabase } from "../../src/index.ts";
import { type ClusterServer, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, numbersOf, within } from "../connection/harness.ts";
import { connect, keysOf, Nodes, slotOf } from "./cluster.ts";

let server: ClusterServer;
let nodes: Nodes;
let db: ClusterDatabase;
let tests = 0;
let prefix: string;

beforeAll(async () => {
  server = await startServer({ cluster: { nodeTimeout: 1000 }, args: ["--hz", "50"] });
  nodes = new Nodes(server);
});
afterAll(async () => {
  await nodes?.[Symbol.asyncDispose]();
  await server?.stop();
});
beforeEach(async () => {
  prefix = `t${tests++}`;
  db = await connect(server);
  return async () => {
    await within(1000, db.close());
    await nodes.gone();
  };
});

/** The way of a key's slot to the next master. */
async function away(key: string) {
  const owner = await server.masterOf(slotOf(key));
  return nodes.migration(slotOf(key), server.masters[(server.masters.indexOf(owner) + 1) % 3]!);
}

test("Consumer – a group over 30 streams: slots migrate while its reads are blocked on them", async () => {
  const keys = keysOf(prefix, 30);
  const consumer = db.consumer(db.consumerGroup("g", keys), { follow: true });
  const first = consumer.getMessage();
  await nodes.waitBlocked(30);
  const moving = keys.slice(0, 6);
  for (const key of moving) {
    const way = await away(key);
    await way.begin();
    await way.move();
    await way.end();
  }
  const others = new Map(keys.map((key, i) => [key, String(i)]));
  const writer = await connect(server);
  for (const [key, n] of others) await writer.xadd(key, "*", "n", n);
  await writer.close();
  const seen = new Map<string, string>();
  const head = (await within(8000, first))!;
  seen.set(head.stream, head.data.n!);
  while (seen.size < 30) {
    const message = (await within(8000, consumer.getMessage()))!;
    seen.set(message.stream, message.data.n!);
  }
  expect(new Map([...seen].sort())).toEqual(new Map([...others].sort()));
  await within(1000, consumer.close());
  await nodes.waitBlocked(0);
});

test("Consumer – streams without a group: a slot migrates while it is waited for", async () => {
  const keys = keysOf(prefix, 3);
  await using consumer = db.consumer(keys, { follow: true, from: "earliest" });
  await db.Stream(keys[0]!).add({ n: "0" });
  expect((await within(2000, consumer.getMessage()))!.data.n).toBe("0");
  const next = consumer.getMessage();
  await nodes.waitBlocked(3);
  const way = await away(keys[0]!);
  await way.begin();
  await way.move();
  await way.end();
  await db.Stream(keys[0]!).add({ n: "1" });
  expect((await within(2000, next))!.data.n).toBe("1");
});

test("Consumer – ASK: a slot on its way for long is read at both ends", async () => {
  const [key] = keysOf(prefix, 1) as [string];
  const group = db.consumerGroup("g", [key]);
  await using consumer = db.consumer(group, { follow: true });
  const first = consumer.getMessage();
  await nodes.waitBlocked(1);
  const way = await away(key);
  await way.begin();
  await way.move();
  await db.Stream(key).add({ n: "0" });
  const message = (await within(2000, first))!;
  expect(message.data.n).toBe("0");
  await db.Stream(key).add({ n: "1" });
  expect((await within(2000, consumer.getMessage()))!.data.n).toBe("1");
  expect(await group.streams[key]!.ack(message)).toBe(1);
  await way.end();
  await db.Stream(key).add({ n: "2" });
  expect((await within(2000, consumer.getMessage()))!.data.n).toBe("2");
});

test("Consumer – TRYAGAIN: two keys of a slot of which one has moved", async () => {
  const keys = [`{${prefix}}a`, `{${prefix}}b`];
  const group = db.consumerGroup("g", keys);
  await using consumer = db.consumer(group, { follow: true });
  const first = consumer.getMessage();
  await nodes.waitBlocked(1);
  const way = await away(keys[0]!);
  await way.begin();
  await way.move(keys[0]!);
  await waitFor(async () => (await refusals("TRYAGAIN")) > 0, { what: "a read refused by TRYAGAIN" });
  expect(await nodes.blocked()).toBe(0);
  await way.move();
  await way.end();
  await db.Stream(keys[0]!).add({ n: "0" });
  expect((await within(3000, first))!.data.n).toBe("0");
});

/** How often the nodes have refused a command for that reason. */
async function refusals(reason: string): Promise<number> {
  const stats = await Promise.all(server.nodes.map((node) => nodes.at(node).info("errorstats")));
  return stats.reduce(
    (sum, text) => sum + Number(new RegExp(`errorstat_${reason}:count=(\\d+)`).exec(text)?.[1] ?? 0),
    0,
  );
}

test("Consumer – MOVED to and fro: two nodes that send to each other are not asked in a hot loop", async () => {
  const [key] = keysOf(prefix, 1) as [string];
  await using consumer = db.consumer(key, { follow: true, from: "earliest" });
  const first = consumer.getMessage();
  await nodes.waitBlocked(1);
  const way = await away(key);
  const before = await refusals("MOVED");
  const start = performance.now();
  await way.tellSource();
  await waitFor(() => performance.now() - start > 1500, { what: "a second and a half to pass" });
  const count = (await refusals("MOVED")) - before;
  expect(count).toBeGreaterThan(2);
  expect(count).toBeLessThan(15);
  await way.end();
  await db.Stream(key).add({ n: "0" });
  expect((await within(4000, first))!.data.n).toBe("0");
});

test("ConsumerGroup.read – blocked over 30 streams while slots migrate", async () => {
  const keys = keysOf(prefix, 30);
  const group = db.consumerGroup("g", keys);
  await group.create();
  const reading = group.read({ block: 0 });
  await nodes.waitBlocked(30);
  for (const key of keys.slice(0, 3)) {
    const way = await away(key);
    await way.begin();
    await way.move();
    await way.end();
  }
  await nodes.waitBlocked(30);
  await db.Stream(keys[0]!).add({ n: "0" });
  const messages = await within(3000, reading);
  expect(Object.keys(messages)).toEqual([keys[0]]);
  await nodes.waitBlocked(0);
});

test("Stream.read – blocked with a signal while its slot migrates: the abort is at once", async () => {
  const [key] = keysOf(prefix, 1) as [string];
  const abort = new AbortController();
  const reading = db.Stream(key).read({ block: 0, signal: abort.signal });
  await nodes.waitBlocked(1);
  const way = await away(key);
  await way.begin();
  const reason = new Error("enough");
  abort.abort(reason);
  const { error, took } = await failure(reading);
  expect(error).toBe(reason);
  expect(took).toBeLessThan(500);
  await way.end();
});

test("Stream.addMany – during the migration of its slot: nothing is lost, nothing twice", async () => {
  const [key] = keysOf(prefix, 1) as [string];
  const stream = db.Stream(key);
  await stream.addMany(numbered(10));
  const way = await away(key);
  await way.begin();
  await way.move();
  const adding = stream.addMany(numbered(2500, 10));
  await way.end();
  expect(await within(10_000, adding)).toHaveLength(2500);
  expect(numbersOf(await stream.range())).toEqual(Array.from({ length: 2510 }, (_, i) => i));
});
