import { randomUUID } from "node:crypto";
import calculateSlot from "cluster-key-slot";
import { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import { ClosedError, ClusterDatabase, ConsumerGroup, Stream, WrongTypeError } from "../../src/index.ts";
import { command } from "../../src/testing/admin.ts";
import { type ClusterServer, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbered, numbersOf, Watch, within } from "../connection/harness.ts";

let cluster: ClusterServer;
let watches: Watch[];
let db: ClusterDatabase;
/** Three keys, of one master each. */
let keys: [string, string, string];

beforeAll(async () => {
  cluster = await startServer({ cluster: { nodeTimeout: 1000 }, args: ["--hz", "100"] });
  watches = cluster.masters.map((master) => new Watch(master));
});
afterAll(async () => {
  for (const watch of watches) watch.redis.disconnect();
  await cluster.stop();
});
beforeEach(async () => {
  db = open();
  keys = [keyOn(0), keyOn(1), keyOn(2)];
  await db.ping();
  return async () => {
    await within(1500, db.close());
    for (const watch of watches) await watch.gone();
  };
});

function open(options: ConstructorParameters<typeof ClusterDatabase>[1] = {}): ClusterDatabase {
  const database = new ClusterDatabase(cluster.startupNodes, options);
  database.on("error", () => {});
  return database;
}

/** A new key whose slot is in the given third of the slots, with a prefix before it. */
function keyOn(third: number, prefix = ""): string {
  for (;;) {
    const key = randomUUID();
    if (Math.floor(calculateSlot(prefix + key) / (16_384 / 3)) === third) return key;
  }
}

/** Two keys that would be in one slot, were it not for the prefix. */
function apartBy(prefix: string): [string, string] {
  const known = new Map<number, string>();
  for (;;) {
    const key = randomUUID().slice(known.size % 2);
    const other = known.get(calculateSlot(key));
    if (other !== undefined && calculateSlot(prefix + key) !== calculateSlot(prefix + other))
      return [key, other];
    known.set(calculateSlot(key), key);
  }
}

/** Waits until each master has so many blocked clients. */
async function blocked(...counts: number[]): Promise<void> {
  for (const [i, count] of counts.entries()) await watches[i]!.blocked(count);
}

test("ClusterDatabase – is a Cluster, and its containers spread over the masters", async () => {
  expect(db).toBeInstanceOf(Cluster);
  const many = Array.from({ length: 30 }, () => randomUUID());
  const group = db.consumerGroup("g", many);
  expect(Object.values(await group.create())).toEqual(many.map(() => true));
  await Promise.all(many.map((key) => db.Stream(key).addMany(numbered(20))));
  const messages = await group.read();
  expect(Object.keys(messages).sort()).toEqual([...many].sort());
  for (const key of many) expect(numbersOf(messages[key]!)).toEqual(numbered(20).map(({ n }) => Number(n)));
  expect(await group.read()).toEqual({});
  expect(numbersOf(await new Stream(db, many[0]!).range())).toHaveLength(20);
  expect((await group.stats()).pending).toBe(600);
});

test("ConsumerGroup.read – count is for each stream, over all slots", async () => {
  const group = new ConsumerGroup(db, "g", keys);
  await group.create();
  for (const key of keys) await group.streams[key]!.addMany(numbered(10));
  const messages = await group.read({ count: 3 });
  expect(keys.map((key) => numbersOf(messages[key]!))).toEqual([
    [0, 1, 2],
    [0, 1, 2],
    [0, 1, 2],
  ]);
});

test("TimeSeries.read – of all slots, in time order", async () => {
  const series = db.timeSeries("t", keys);
  await series.create();
  for (let ms = 1; ms <= 9; ms++) await series.streams[keys[ms % 3]!]!.add({ n: ms }, { id: `${ms}-1` });
  expect(numbersOf(await series.read())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(numbersOf(await series.range())).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("ConsumerGroup.read – an entry of one slot ends the wait of all, and no wire stays blocked", async () => {
  const group = db.consumerGroup("g", keys);
  await group.create();
  for (const key of keys) {
    const reading = group.read({ block: 0 });
    await blocked(1, 1, 1);
    const id = await db.Stream(key).add({ n: 1 });
    const messages = await within(1000, reading);
    expect(messages).toEqual({ [key]: [expect.objectContaining({ id })] });
    await blocked(0, 0, 0);
  }
});

test("ConsumerGroup.read – what several slots received before the wait ended is all given", async () => {
  const group = db.consumerGroup("g", keys);
  await group.create();
  for (let round = 0; round < 20; round++) {
    const reading = group.read({ block: 0 });
    await blocked(1, 1, 1);
    await Promise.all(keys.map((key, i) => watches[i]!.redis.xadd(key, "*", "n", String(round))));
    const first = await within(1000, reading);
    // Whatever is not in it was not delivered, and comes next: nothing is lost between.
    const rest = Object.keys(first).length === 3 ? {} : await group.read();
    expect(Object.keys({ ...first, ...rest }).sort()).toEqual([...keys].sort());
    for (const key of keys) expect([...(first[key] ?? []), ...(rest[key] ?? [])]).toHaveLength(1);
  }
});

test("ConsumerGroup.read – nothing comes: {} when the block is over; an abort ends all", async () => {
  const group = db.consumerGroup("g", keys);
  await group.create();
  const start = performance.now();
  expect(await group.read({ block: 200 })).toEqual({});
  expect(performance.now() - start).toBeGreaterThanOrEqual(198);
  expect(performance.now() - start).toBeLessThan(1500);
  const controller = new AbortController();
  const reading = group.read({ block: 0, signal: controller.signal });
  await blocked(1, 1, 1);
  controller.abort();
  const { error, took } = await failure(reading);
  expect(error).toBe(controller.signal.reason);
  expect(took).toBeLessThan(500);
  await blocked(0, 0, 0);
});

test("ConsumerGroup.read – one slot's failure ends the wait of the others", async () => {
  const group = db.consumerGroup("g", keys);
  await db.set(keys[1], "text");
  await expect(group.create()).rejects.toBeInstanceOf(WrongTypeError);
  const { error } = await failure(group.read({ block: 0 }));
  expect(error).toMatchObject({ code: "WRONG_TYPE", stream: keys[1] });
  await blocked(0, 0, 0);
  // What another slot was given at the same time is not dropped for it: it is in the result, or was not delivered.
  for (let n = 0; n < 10; n++) {
    await group.streams[keys[0]]!.add({ n });
    const messages = await group.read({ block: 1000 }).catch(() => ({}) as Record<string, []>);
    const { count } = await group.streams[keys[0]]!.pendingSummary();
    expect(messages[keys[0]] ?? []).toHaveLength(count);
    await group.streams[keys[0]]!.ack(...(messages[keys[0]] ?? []));
    await group.streams[keys[0]]!.setId();
  }
});

test("Stream.read – $ on a stream of another node than the startup node's", async () => {
  for (const [i, key] of keys.entries()) {
    await db.Stream(key).add({ n: 0 });
    const reading = db.Stream(key).read({ block: 0, lastId: "$" });
    await watches[i]!.blocked();
    await db.Stream(key).add({ n: 1 });
    expect(numbersOf(await within(1000, reading))).toEqual([1]);
  }
});

test("ClusterDatabase – keyPrefix counts for the slot, and not in results", async () => {
  for (const options of [{ keyPrefix: "p:" }, { redisOptions: { keyPrefix: "p:" } }]) {
    const prefixed = open(options);
    const own = [0, 1, 2].map((third) => keyOn(third, "p:"));
    const group = prefixed.consumerGroup("g", own);
    await group.create();
    for (const key of own) await prefixed.Stream(key).addMany(numbered(3));
    const messages = await group.read({ block: 1000 });
    const rest = await group.read();
    for (const key of own) {
      const some = [...(messages[key] ?? []), ...(rest[key] ?? [])];
      expect(numbersOf(some)).toEqual([0, 1, 2]);
      expect(some[0]!.stream).toBe(key);
      expect(await db.xlen(`p:${key}`)).toBe(3);
    }
    expect(numbersOf(await prefixed.Stream(own[1]!).range())).toEqual([0, 1, 2]);
    const pair = prefixed.consumerGroup("g", apartBy("p:"));
    await pair.create();
    expect(await pair.read()).toEqual({});
    await prefixed.close();
  }
});

test("Client – MOVED: a slot without keys that another node has taken over", async () => {
  const key = keyOn(0);
  const slot = String(calculateSlot(key));
  await db.Stream(keyOn(0)).addMany(numbered(1)); // A wire to the old owner is there.
  const [from, to] = cluster.masters as [(typeof cluster.masters)[0], (typeof cluster.masters)[0]];
  const id = String(await command(to, "CLUSTER", "MYID"));
  for (const node of [to, from, cluster.masters[2]!])
    await command(node, "CLUSTER", "SETSLOT", slot, "NODE", id);
  // The client still believes in the old owner.
  expect(await db.Stream(key).addMany(numbered(2))).toHaveLength(2);
  expect(await watches[1]!.redis.xlen(key)).toBe(2);
  expect(numbersOf(await db.Stream(key).range())).toEqual([0, 1]);
  const reading = db.Stream(key).read({ block: 0, lastId: "$" });
  await watches[1]!.blocked();
  await db.Stream(key).add({ n: 2 });
  expect(numbersOf(await within(1000, reading))).toEqual([2]);
});

test("Client – ASK: a key that has gone ahead of its slot", async () => {
  const key = keyOn(1);
  const slot = String(calculateSlot(key));
  const [, from, to] = cluster.masters as [never, (typeof cluster.masters)[0], (typeof cluster.masters)[0]];
  await db.Stream(keyOn(1)).addMany(numbered(1));
  const [fromId, toId] = [await command(from, "CLUSTER", "MYID"), await command(to, "CLUSTER", "MYID")];
  await command(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", String(fromId));
  await command(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", String(toId));
  try {
    expect(await db.Stream(key).addMany(numbered(1500))).toHaveLength(1500);
    expect(numbersOf(await db.Stream(key).range())).toHaveLength(1500);
    expect(await watches[1]!.redis.exists(keys[1])).toBe(0);
    const reading = db.Stream(key).read({ block: 0, lastId: "$" });
    await watches[2]!.blocked();
    expect(await db.Stream(key).addMany([{ n: 7 }])).toHaveLength(1);
    expect(numbersOf(await within(1000, reading))).toEqual([7]);
  } finally {
    for (const node of [from, to]) await command(node, "CLUSTER", "SETSLOT", slot, "STABLE");
    const redis = new Redis(to.options);
    await redis.multi().asking().exec();
    redis.disconnect();
  }
});

test("Client – a blocked read whose slot moves away goes on at the new owner", async () => {
  const key = keyOn(2);
  const slot = String(calculateSlot(key));
  const reading = db.Stream(key).read({ block: 0, lastId: "$" });
  await watches[2]!.blocked();
  const id = String(await command(cluster.masters[0]!, "CLUSTER", "MYID"));
  for (const i of [0, 2, 1]) await command(cluster.masters[i]!, "CLUSTER", "SETSLOT", slot, "NODE", id);
  await watches[0]!.blocked();
  await db.Stream(key).add({ n: 1 });
  expect(numbersOf(await within(1000, reading))).toEqual([1]);
});

test("ClusterDatabase.close – during reads of all slots, before connecting, twice; quit and disconnect of ioredis", async () => {
  const ends = [
    (own: ClusterDatabase) => own.close(),
    (own: ClusterDatabase) => own.quit(),
    (own: ClusterDatabase) => own.disconnect(),
  ];
  for (const end of ends) {
    const own = open();
    const group = own.consumerGroup("g", keys);
    await group.create();
    const reading = failure(group.read({ block: 0 }), 5000);
    await blocked(1, 1, 1);
    await end(own);
    expect((await reading).error).toBeInstanceOf(ClosedError);
    for (const watch of watches)
      await waitFor(async () => (await watch.clients()).every(({ flags }) => !flags!.includes("b")));
    await within(1500, own.close());
    await within(1500, own.close());
    expect((await failure(own.Stream(keys[0]).read())).error).toBeInstanceOf(ClosedError);
    expect((await failure(own.Stream(keys[0]).length())).error).toBeInstanceOf(ClosedError);
  }
  for (const lazyConnect of [true, false]) {
    const own = open({ lazyConnect });
    const pending = [own.Stream(keys[0]).read({ block: 0 }), own.Stream(keys[1]).length()].map((one) =>
      failure(one),
    );
    await within(1500, own.close());
    for (const failed of pending) expect((await failed).error).toBeInstanceOf(ClosedError);
    expect(own.status).toBe("end");
    expect(Client.of(own).wires).toBe(0);
  }
});

test("Stream – on a user's Cluster, which stays the user's", async () => {
  const own = new Cluster(cluster.startupNodes, { lazyConnect: true });
  const stream = new Stream(own, keys[2]);
  expect(await stream.addMany(numbered(3))).toHaveLength(3);
  expect(numbersOf(await stream.read({ block: 1000 }))).toEqual([0, 1, 2]);
  Client.of(own).close();
  expect(await own.xlen(keys[2])).toBe(3);
  expect(numbersOf(await stream.range())).toEqual([0, 1, 2]);
  await own.quit();
});
