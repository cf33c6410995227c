import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterDatabase } from "../../src/index.ts";
import { type ClusterServer, type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { within } from "../connection/harness.ts";
import { connect, keysOf, Nodes, nameOf, Producer, slotOf } from "./cluster.ts";

let server: ClusterServer;
let nodes: Nodes;

beforeAll(async () => {
  server = await startServer({
    cluster: { replicas: 1, nodeTimeout: 1000 },
    args: ["--hz", "50", "--repl-diskless-sync-delay", "0"],
  });
  nodes = new Nodes(server);
});
afterAll(async () => {
  await nodes?.[Symbol.asyncDispose]();
  await server?.stop();
});

/** Kills the owner of a key's slot, waits until a replica owns it. */
async function killOwner(key: string): Promise<Server> {
  const owner = await server.masterOf(slotOf(key));
  await owner.kill();
  await waitFor(async () => (await server.masterOf(slotOf(key))) !== owner, {
    what: "a replica to take over",
    timeout: 15_000,
  });
  return owner;
}

/** Brings a node back and waits until the cluster is whole. */
async function bringBack(node: Server): Promise<void> {
  await node.restart();
  await server.ready();
}

/** How often the replicas were asked for what only masters should be. */
async function askedOfReplicas(): Promise<number> {
  let sum = 0;
  for (const node of server.nodes) {
    if (!String(await nodes.at(node).info("replication")).includes("role:slave")) continue;
    for (const command of [
      "xreadgroup",
      "xread",
      "xpending",
      "xrange",
      "xlen",
      "xinfo\\|stream",
      "xinfo\\|groups",
    ])
      sum += await nodes.calls(node, command);
  }
  return sum;
}

test("Consumer – scaleReads slave: neither reads nor looks go to a replica", async () => {
  const keys = keysOf("scale", 6);
  // A replica is offered to clients once it has received something and the nodes know.
  for (const key of keys) await (await nodes.of(key)).set(`{${key}}`, "1");
  await waitFor(
    async () => {
      const lists = await Promise.all(server.nodes.map((node) => nodes.at(node).cluster("SLOTS")));
      return lists.every((list) => list.every((range) => range.length === 4));
    },
    { what: "the replicas to be offered" },
  );
  const db: ClusterDatabase = await connect(server, { scaleReads: "slave" });
  const group = db.consumerGroup("g", keys);
  await group.create();
  const before = await askedOfReplicas();
  for (const key of keys) await db.Stream(key).add({ n: "0" });
  const consumer = db.consumer(group, { follow: true });
  for (let i = 0; i < keys.length; i++) await within(2000, consumer.getMessage());
  for (const key of keys) {
    expect(await group.streams[key]!.length()).toBe(1);
    expect(await group.streams[key]!.range()).toHaveLength(1);
    expect((await group.streams[key]!.pendingSummary()).count).toBe(1);
    await group.streams[key]!.info();
  }
  expect(await askedOfReplicas()).toBe(before);
  await db.xlen(keys[0]!); // ioredis's own command does as the option says, and is counted.
  expect(await askedOfReplicas()).toBe(before + 1);
  await within(1000, consumer.close());
  await within(1000, db.close());
  await nodes.gone();
});

test("Consumer – 30 streams: one wire for each on its master, none left behind", async () => {
  const keys = keysOf("wires", 30);
  const db = await connect(server);
  const consumer = db.consumer(db.consumerGroup("g", keys), { follow: true });
  const waiting = consumer.getMessage();
  await nodes.waitBlocked(30);
  await within(1000, consumer.close());
  expect(await within(1000, waiting)).toBe(null);
  await nodes.waitBlocked(0);
  await within(1000, db.close());
  await nodes.gone();
});

test("Consumer – a group over 30 streams: a master is killed under load, every sure add is seen", {
  timeout: 60_000,
}, async () => {
  const keys = keysOf("load", 30);
  const db = await connect(server);
  const group = db.consumerGroup("g", keys);
  await group.create();
  const consumer = db.consumer(group, { follow: true });
  const seen = new Map<string, number>();
  const reading = (async () => {
    for await (const message of consumer) {
      seen.set(nameOf(message), (seen.get(nameOf(message)) ?? 0) + 1);
      await message.ack().catch(() => {});
    }
  })();
  const producer = new Producer(nodes, keys, 1);
  producer.start();
  await waitFor(() => seen.size > 100, { what: "the load to flow", timeout: 15_000 });
  const killed = await killOwner(keys[0]!);
  producer.replicas = 0;
  const sure = producer.sure.size;
  await waitFor(() => producer.sure.size > sure + 300, { what: "adds after the failover", timeout: 15_000 });
  await producer.stop();
  const missing = () => [...producer.sure].filter((name) => !seen.has(name));
  await waitFor(() => missing().length === 0, {
    what: "every sure add to be seen",
    timeout: 15_000,
    interval: 50,
  }).catch((error) => {
    throw new Error(`${missing().length} of ${producer.sure.size} missing, e.g. ${missing().slice(0, 3)}`, {
      cause: error,
    });
  });
  await within(1000, consumer.close());
  await within(1000, reading);
  await within(1000, db.close());
  await bringBack(killed);
  await nodes.gone();
});

test("ConsumerGroup.read – blocked over 30 streams, merged: a master is killed, every sure add is seen", {
  timeout: 60_000,
}, async () => {
  const keys = keysOf("merged", 30);
  const db = await connect(server);
  const group = db.consumerGroup("g", keys);
  await group.create();
  const seen = new Set<string>();
  const over = new AbortController();
  const reading = (async () => {
    while (!over.signal.aborted) {
      try {
        const messages = await group.read({ block: 0, signal: over.signal });
        for (const list of Object.values(messages)) for (const message of list!) seen.add(nameOf(message));
      } catch (error) {
        if (error !== over.signal.reason) throw error;
      }
    }
  })();
  reading.catch(() => {});
  const producer = new Producer(nodes, keys, 1);
  producer.start(1);
  await waitFor(() => seen.size > 20, { what: "the load to flow", timeout: 15_000 });
  const killed = await killOwner(keys[1]!);
  producer.replicas = 0;
  const sure = producer.sure.size;
  await waitFor(() => producer.sure.size > sure + 30, { what: "adds after the failover", timeout: 15_000 });
  await producer.stop();
  const missing = () => [...producer.sure].filter((name) => !seen.has(name));
  await waitFor(() => missing().length === 0, {
    what: "every sure add to be seen",
    timeout: 15_000,
    interval: 50,
  }).catch((error) => {
    throw new Error(`${missing().length} of ${producer.sure.size} missing, e.g. ${missing().slice(0, 3)}`, {
      cause: error,
    });
  });
  over.abort(new Error("enough"));
  await within(1000, reading);
  await within(1000, db.close());
  await bringBack(killed);
  await nodes.gone();
});

test("Consumer – a frozen master: closes within a second, and another goes on where its replica took over", {
  timeout: 60_000,
}, async () => {
  const keys = keysOf("frozen", 6);
  const db = await connect(server);
  const group = db.consumerGroup("g", keys);
  const patient = db.consumer(group.consumer("patient"), { follow: true });
  const waiting = patient.getMessage();
  const hasty = db.consumer(group.consumer("hasty"), { follow: true });
  const dropped = hasty.getMessage();
  await nodes.waitBlocked(12);
  const frozen = await server.masterOf(slotOf(keys[0]!));
  await frozen.freeze();
  await within(1000, hasty.close());
  expect(await within(1000, dropped)).toBe(null);
  await waitFor(async () => (await server.masterOf(slotOf(keys[0]!))) !== frozen, {
    what: "a replica to take over",
    timeout: 15_000,
  });
  const producer = new Producer(nodes, [keys[0]!], 0);
  expect(await producer.add(keys[0]!)).toBe(true);
  // Its read was on the frozen socket: that counts as lost after its slice and a margin.
  expect(nameOf((await within(12_000, waiting))!)).toBe(`${keys[0]} 0`);
  await within(1000, patient.close());
  await within(1000, db.close());
  await frozen.thaw();
  await server.ready();
  await nodes.gone();
});
