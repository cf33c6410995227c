import { Cluster } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Producer } from "../../src/flow/producer.ts";
import { type ClusterDatabase, InvalidArgumentError } from "../../src/index.ts";
import { type ClusterServer, type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { numbered, numbersOf, within } from "../connection/harness.ts";
import { failure } from "../containers/harness.ts";
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

test("Producer – in a cluster: on every master, with keys and without", async () => {
  for (const key of [...keysOf(prefix, 3), `{${prefix}}tagged`]) {
    await using producer = new Producer(db, key);
    const ids = await Promise.all(numbered(20).map((data) => producer.push(data)));
    const push = () => producer.pushMany(numbered(20, 20), { idempotencyKey: ({ n }) => n });
    ids.push(...(await push()), ...(await producer.pushMany(numbered(20, 40))));
    expect((await db.Stream(key).range()).map(({ id }) => id)).toEqual(ids);
    expect(await push()).toEqual(ids.slice(20, 40));
    expect(await producer.push({ n: "again" }, { idempotencyKey: "20" })).toBe(ids[20]);
    expect(await db.Stream(key).length()).toBe(60);
    expect(await producer.ensureGroup("g")).toBe(true);
  }
});

test("Producer – in a cluster: what is remembered would be in another slot: an idempotencyKey is refused", async () => {
  const prefixed = new Cluster(server.startupNodes, { keyPrefix: "p:" });
  const key = `${prefix}-a`;
  for (const producer of [new Producer(prefixed, key), new Producer(db, `${key}}b`)]) {
    const push = () => producer.push({ n: 0 }, { idempotencyKey: "k" });
    expect((await failure(push, InvalidArgumentError)).argument).toBe("idempotencyKey");
    const pushMany = () => producer.pushMany([{ n: 0 }], { idempotencyKey: () => "k" });
    expect((await failure(pushMany, InvalidArgumentError)).argument).toBe("idempotencyKey");
    await producer.push({ n: 1 });
  }
  // A hash tag is kept, whatever is before it.
  const tagged = new Producer(prefixed, `{${prefix}}a`);
  const id = await tagged.push({ n: 0 }, { idempotencyKey: "k" });
  expect(await tagged.push({ n: 0 }, { idempotencyKey: "k" })).toBe(id);
  prefixed.disconnect();
});

test("Producer – in a cluster: the slot moves to and fro while pushes are under way: each is stored, once", async () => {
  const [key] = keysOf(prefix, 1) as [string];
  await using producer = new Producer(db, key);
  let next = 0;
  let isOver = false;
  const caller = async (_: unknown, i: number): Promise<void> => {
    while (!isOver) {
      const n = String(next++);
      await producer.push({ n }, i % 2 === 0 ? {} : { idempotencyKey: n });
    }
  };
  const callers = Promise.all(Array.from({ length: 200 }, caller));
  for (let moves = 0; moves < 6; moves++) {
    const { pushed } = producer.metrics();
    await waitFor(() => producer.metrics().pushed > pushed + 500, { what: "pushes", timeout: 10_000 });
    const owner = await server.masterOf(slotOf(key));
    const to = server.masters[(server.masters.indexOf(owner) + 1) % 3]!;
    const way = await nodes.migration(slotOf(key), to);
    await way.begin();
    // The stream goes last: a script that needs both keys is to be refused for a while.
    const all = await nodes.at(owner).cluster("GETKEYSINSLOT", slotOf(key), 100_000);
    await way.move(...all.filter((one) => one !== key));
    await way.move(key);
    await way.move();
    await way.end();
  }
  isOver = true;
  await within(15_000, callers);
  const seen = numbersOf(await db.Stream(key).range());
  expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: next }, (_, n) => n));
  expect(producer.metrics()).toMatchObject({ pushed: next, failed: 0 });
});

test("Producer – in a cluster: a node refuses a part of a write while a slot moves: that part is sent again", async () => {
  const [key] = keysOf(prefix, 1) as [string];
  await using producer = new Producer(db, key);
  const push = (from: number) =>
    numbered(20, from).map((data) => producer.push(data, { idempotencyKey: data.n }));
  const first = await Promise.all(push(0));
  const owner = await server.masterOf(slotOf(key));
  const to = server.masters[(server.masters.indexOf(owner) + 1) % 3]!;
  const way = await nodes.migration(slotOf(key), to);
  await way.begin();
  // The node has the stream and the first keys, but not the new ones: those may be on the other node.
  const before = await tryAgains(owner);
  const both = Promise.all([...push(0), ...push(20)]);
  await waitFor(async () => (await tryAgains(owner)) >= before + 40, { what: "refusals", timeout: 10_000 });
  await way.move();
  await way.end();
  const ids = await within(10_000, both);
  expect(ids.slice(0, 20)).toEqual(first);
  expect((await db.Stream(key).range()).map(({ id }) => id)).toEqual(ids);
});

/** How often a node has refused a command by TRYAGAIN. */
async function tryAgains(node: Server): Promise<number> {
  const stats = await nodes.at(node).info("errorstats");
  return Number(/errorstat_TRYAGAIN:count=(\d+)/.exec(stats)?.[1] ?? 0);
}
