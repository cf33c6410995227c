import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Database } from "../../src/index.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { failure, numbersOf, open, Watch, within } from "./harness.ts";

let server: Server;
let watch: Watch;
let db: Database;
let key: string;
let keys = 0;

beforeAll(async () => {
  server = await startServer({ args: ["--hz", "100"] });
  watch = new Watch(server);
  db = open(server.options);
});
afterAll(async () => {
  await db.close();
  watch.redis.disconnect();
  await server.stop();
});
beforeEach(() => {
  key = `s${keys++}`;
});

/** What the server is sent from now on, as `MONITOR` shows it: words of one command each. */
async function recorded(): Promise<{ commands: string[][]; [Symbol.dispose](): void }> {
  const monitor = await watch.redis.monitor();
  const commands: string[][] = [];
  monitor.on("monitor", (_time: string, words: string[]) => commands.push(words));
  return { commands, [Symbol.dispose]: () => monitor.disconnect() };
}

/** The argument after `word` in each command of that name. */
function following(commands: readonly string[][], name: string, word: string): (string | undefined)[] {
  return commands
    .filter(([command]) => command?.toUpperCase() === name)
    .map((words) => words[words.indexOf(word) + 1]);
}

test("Stream.read – twenty blocked reads delay nothing else", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const reads = Array.from({ length: 20 }, () => db.Stream(key).read({ block: 0, signal }));
  await watch.blocked(20);
  const start = performance.now();
  for (let i = 0; i < 50; i++) await db.ping();
  await db.Stream(`${key}-other`).addMany([{ n: 0 }, { n: 1 }]);
  expect(numbersOf(await db.Stream(`${key}-other`).range())).toEqual([0, 1]);
  expect(performance.now() - start).toBeLessThan(1000);
  await db.Stream(key).add({ n: 7 });
  for (const read of reads) expect(numbersOf(await within(1000, read))).toEqual([7]);
});

test("Stream.read – $ is pinned: an entry added between two slices is not missed", async () => {
  const stream = db.Stream(key);
  await stream.add({ n: 0 });
  const reading = stream.read({ block: 0, lastId: "$" });
  const [client] = await watch.blocked();
  // One step on the server: the slice ends, and the entry is there before the next can begin.
  await watch.redis.multi().client("UNBLOCK", Number(client!.id)).xadd(key, "*", "n", "1").exec();
  expect(numbersOf(await within(1000, reading))).toEqual([1]);
});

test("Stream.read – $ on a stream that is not there yet, pinned before its first entry", async () => {
  const reading = db.Stream(key).read({ block: 0, lastId: "$" });
  const [client] = await watch.blocked();
  await watch.redis.multi().client("UNBLOCK", Number(client!.id)).xadd(key, "1-1", "n", "1").exec();
  expect(numbersOf(await within(1000, reading))).toEqual([1]);
});

test("Stream.read – $ on a stream whose last entry was deleted", async () => {
  const stream = db.Stream(key);
  await stream.delete(await stream.add({ n: 0 }, { id: "5-5" }));
  using record = await recorded();
  const reading = stream.read({ block: 0, lastId: "$" });
  await watch.blocked();
  await stream.add({ n: 1 });
  expect(numbersOf(await within(1000, reading))).toEqual([1]);
  expect(following(record.commands, "XREAD", key)).toEqual(["5-5"]);
});

test("Stream.read – block: 0 goes on over slices, each finite on the server", async () => {
  using record = await recorded();
  const reading = db.Stream(key).read({ block: 0 });
  for (let slices = 1; slices <= 3; slices++) {
    await waitFor(() => following(record.commands, "XREAD", "BLOCK").length === slices);
    const [client] = await watch.blocked();
    await watch.endSlice(client!);
  }
  await watch.blocked();
  await db.Stream(key).add({ n: 1 });
  expect(numbersOf(await within(1000, reading))).toEqual([1]);
  const blocks = following(record.commands, "XREAD", "BLOCK").map(Number);
  expect(blocks.length).toBeGreaterThanOrEqual(4);
  for (const block of blocks) expect(block).toBe(5000);
});

test("Stream.read – a slice that ends early neither ends the block nor lengthens it", async () => {
  using record = await recorded();
  const start = performance.now();
  const reading = db.Stream(key).read({ block: 600 });
  for (let slices = 1; slices <= 2; slices++) {
    await waitFor(() => following(record.commands, "XREAD", "BLOCK").length === slices);
    const [client] = await watch.blocked();
    await watch.endSlice(client!);
  }
  expect(await reading).toEqual([]);
  const took = performance.now() - start;
  expect(took).toBeGreaterThanOrEqual(599);
  expect(took).toBeLessThan(1500);
  const blocks = following(record.commands, "XREAD", "BLOCK").map(Number);
  expect(blocks[0]).toBe(600);
  for (const block of blocks.slice(1)) expect(block).toBeLessThan(600);
  for (const block of blocks) expect(block).toBeGreaterThan(0);
});

test("Stream.read – a Duration, and a long block in slices", async () => {
  using record = await recorded();
  const reading = db.Stream(key).read({ block: { hours: 1 }, count: 1 });
  await watch.blocked();
  await watch.redis.multi().xadd(key, "*", "n", "1").xadd(key, "*", "n", "2").exec();
  expect(numbersOf(await within(1000, reading))).toEqual([1]);
  expect(following(record.commands, "XREAD", "BLOCK")).toEqual(["5000"]);
});

test("Stream.read – without block it does not wait, and has no BLOCK", async () => {
  using record = await recorded();
  expect(await within(1000, db.Stream(key).read())).toEqual([]);
  const [words] = await waitFor(() => record.commands.some(([name]) => name === "XREAD") && record.commands);
  expect(words).toEqual(["XREAD", "STREAMS", key, "0-0"]);
});

test("ConsumerGroup.read – block: 0 goes on over slices and gets what came between them", async () => {
  const group = db.consumerGroup("g", [key, `${key}-b`]);
  await group.create();
  const reading = group.read({ block: 0 });
  for (let slices = 0; slices < 2; slices++) {
    const before = await watch.calls("xreadgroup");
    const [client] = await watch.blocked();
    await watch.endSlice(client!);
    await waitFor(async () => (await watch.calls("xreadgroup")) > before);
  }
  const [client] = await watch.blocked();
  await watch.redis.multi().client("UNBLOCK", Number(client!.id)).xadd(key, "*", "n", "1").exec();
  const messages = await within(1000, reading);
  expect(Object.keys(messages)).toEqual([key]);
  expect(messages[key]).toMatchObject([{ data: { n: "1" }, deliveries: 1 }]);
});

test("ConsumerGroup.read – the stream is deleted while the read waits: the group is missing", async () => {
  const group = db.consumerGroup("g", [key]);
  await group.create();
  const reading = failure(group.read({ block: 0 }), 5000);
  await watch.blocked();
  await watch.redis.del(key);
  expect((await reading).error).toMatchObject({ code: "NO_SUCH_GROUP", group: "g", stream: key });
});

test("ConsumerGroup.read – the group is destroyed while the read waits", async () => {
  const group = db.consumerGroup("g", [key]);
  await group.create();
  const reading = failure(group.read({ block: 0 }), 5000);
  await watch.blocked();
  await group.destroy();
  expect((await reading).error).toMatchObject({ code: "NO_SUCH_GROUP", group: "g", stream: key });
});
