import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { DeadLetters } from "../../src/flow/dead-letters.ts";
import { ConnectionLostError, type Database, deadLetterKey, ReplyError } from "../../src/index.ts";
import { startServer, waitFor } from "../../src/testing/index.ts";
import { open, Watch } from "../connection/harness.ts";
import { failure } from "../containers/harness.ts";
import { program } from "../runtimes/program.ts";
import { bury, numbersIn, rejectAll, stored, upTo } from "./graveyard.ts";
import { Ground } from "./harness.ts";

const at = new Ground();
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

/** So many dead letters of a stream that is empty. */
async function dead(count: number, db: Database = at.db, key = at.key) {
  const letters = new DeadLetters(db, await bury(db, key, count));
  await db.del(key);
  return letters;
}

/** Each number is in exactly one of both streams, once. */
async function expectWhole(db: Database | Watch["redis"], key: string, count: number): Promise<void> {
  const both = [...(await numbersIn(db, key)), ...(await numbersIn(db, deadLetterKey(key)))];
  expect(both.sort((a, b) => a - b)).toEqual(upTo(count));
}

/** A process that redrives once it is told to. */
async function child(
  key: string,
): Promise<{ process: ChildProcess; go: () => void; moved: Promise<number> }> {
  const file = join(import.meta.dirname, "redrive-child.ts");
  const args = program([file, at.server.url, deadLetterKey(key)]);
  const process_ = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] });
  children.push(process_);
  let text = "";
  process_.stdout.on("data", (chunk) => {
    text += chunk;
  });
  const ended = once(process_, "exit");
  await waitFor(() => text.startsWith("ready\n"), { timeout: 20_000, what: "the child to be ready" });
  return {
    process: process_,
    go: () => process_.stdin.write("go\n"),
    moved: ended.then(() => Number(text.split("\n")[1] || Number.NaN)),
  };
}

test("DeadLetters.redrive – two processes and this one at once: each letter is moved once", async () => {
  const letters = await dead(6000);
  const others = await Promise.all([child(at.key), child(at.key)]);
  for (const { go } of others) go();
  const first = at.db.Stream(at.key);
  await waitFor(() => first.length(), { interval: 0 });
  const moved = await Promise.all([letters.redrive(), ...others.map((other) => other.moved)]);
  expect(moved.reduce((sum, count) => sum + count, 0)).toBe(6000);
  expect(moved.filter((count) => count > 0).length).toBeGreaterThan(1);
  expect((await numbersIn(at.db, at.key)).sort((a, b) => a - b)).toEqual(upTo(6000));
  expect(await letters.length()).toBe(0);
});

test("DeadLetters.redrive, purge – eight at once with a count: each takes as many as it was told, the oldest", async () => {
  const letters = await dead(400);
  const all = Array.from({ length: 8 }, () => new DeadLetters(at.db, letters.key));
  for (let left = 400; left > 160; left -= 80) {
    expect(await Promise.all(all.map((one) => one.redrive({ count: 10 })))).toEqual(Array(8).fill(10));
    expect(await numbersIn(at.db, letters.key)).toEqual(upTo(400).slice(480 - left));
  }
  expect(await Promise.all(all.map((one) => one.purge({ count: 10 })))).toEqual(Array(8).fill(10));
  expect(await numbersIn(at.db, letters.key)).toEqual(upTo(400).slice(320));
});

test("DeadLetters.redrive – its process is killed half way: every letter is in exactly one place", async () => {
  const letters = await dead(8_000);
  const one = await child(at.key);
  one.go();
  await waitFor(async () => (await at.db.xlen(at.key)) > 300, { interval: 0 });
  one.process.kill("SIGKILL");
  expect(await one.moved).toBeNaN();
  const moved = await at.db.xlen(at.key);
  expect(moved).toBeLessThan(8_000);
  await expectWhole(at.db, at.key, 8_000);
  expect(await letters.redrive()).toBe(8_000 - moved);
  expect(await numbersIn(at.db, at.key)).toEqual(upTo(8_000));
});

test("DeadLetters.redrive – the server is killed and comes back with its log: every letter is in exactly one place", async () => {
  await using server = await startServer({ appendOnly: true, args: ["--appendfsync", "always"] });
  await using watch = new Watch(server);
  await using db = open(server.options);
  const letters = await dead(10_000, db, "s");
  const redriving = letters.redrive().then(
    (count) => ({ count }),
    (error: unknown) => ({ error }),
  );
  await waitFor(async () => (await watch.redis.xlen("s")) > 300, { interval: 0 });
  await server.kill();
  await server.restart();
  const outcome = await redriving;
  await expectWhole(db, "s", 10_000);
  const moved = await db.xlen("s");
  if ("count" in outcome) expect(outcome.count).toBeLessThanOrEqual(10_000);
  else {
    const error = outcome.error as ConnectionLostError | ReplyError;
    expect(error instanceof ConnectionLostError || error instanceof ReplyError).toBe(true);
    expect(error.ids.length).toBeLessThanOrEqual(moved);
  }
  expect(await letters.redrive()).toBe(10_000 - moved);
  await expectWhole(db, "s", 10_000);
  expect(await letters.length()).toBe(0);
});

test("DeadLetters.redrive – the server is gone for good: ConnectionLostError with what was moved", async () => {
  await using server = await startServer({ appendOnly: true, args: ["--appendfsync", "always"] });
  await using watch = new Watch(server);
  await using db = open({ ...server.options, maxRetriesPerRequest: 0 });
  const letters = await dead(10_000, db, "s");
  const redriving = failure(letters.redrive(), ConnectionLostError);
  redriving.catch(() => {});
  await waitFor(async () => (await watch.redis.xlen("s")) > 300, { interval: 0 });
  await server.kill();
  const { ids } = await redriving;
  expect(ids.length).toBeGreaterThan(0);
  await server.restart();
  const there = new Set((await db.Stream("s").range()).map(({ id }) => id));
  expect(ids.filter((id) => !there.has(id))).toEqual([]);
});

test("DeadLetters – the server forgets the scripts between and during redrives", async () => {
  const letters = await dead(3000);
  await at.watch.redis.script("FLUSH");
  expect(await letters.redrive({ count: 1 })).toBe(1);
  const redriving = letters.redrive();
  while ((await letters.length()) > 500) await at.watch.redis.script("FLUSH");
  expect(await redriving).toBe(2999);
  await expectWhole(at.db, at.key, 3000);
  await at.watch.redis.script("FLUSH");
  expect(await rejectAll(at.db, at.key)).toBe(3000);
  expect(await letters.length()).toBe(3000);
});

test("DeadLetters – a server out of memory: nothing is lost, and it goes on when there is room", async () => {
  const letters = await dead(50);
  await at.watch.redis.config("SET", "maxmemory", "1");
  const error = await failure(letters.redrive(), ReplyError).finally(() =>
    at.watch.redis.config("SET", "maxmemory", "0"),
  );
  expect([error.prefix, error.retriable, error.ids]).toEqual(["OOM", true, []]);
  await expectWhole(at.db, at.key, 50);
  expect(await letters.redrive()).toBe(50);
});

test("DeadLetters – keyPrefix: keys are named without it everywhere", async () => {
  await using db = open({ ...at.server.options, keyPrefix: "p:" });
  const key = await bury(db, at.key, 3);
  const letters = new DeadLetters(db, key);
  const [letter] = await letters.range();
  expect(letter).toMatchObject({ stream: key, origin: { stream: at.key } });
  await db.del(at.key);
  expect(await letters.redrive({ count: 2 })).toBe(2);
  expect(await letters.redrive({ to: `${at.key}:other` })).toBe(1);
  expect(await at.watch.redis.xlen(`p:${at.key}`)).toBe(2);
  expect(await at.watch.redis.xlen(`p:${at.key}:other`)).toBe(1);
  expect(await at.watch.redis.exists(at.key, key, `${at.key}:other`)).toBe(0);
  expect(await rejectAll(db, at.key)).toBe(2);
  expect(await letters.purge()).toBe(2);
});

test("DeadLetters – options of ioredis that change replies", async () => {
  await using db = open({ ...at.server.options, stringNumbers: true, enableAutoPipelining: true });
  const letters = await dead(3, db);
  expect(await letters.length()).toBe(3);
  expect((await letters.range()).map(({ origin }) => origin?.deliveries)).toEqual([1, 1, 1]);
  expect(await letters.redrive({ count: 1 })).toBe(1);
  expect(await letters.purge({ olderThan: 0, count: 1 })).toBe(1);
  expect(await letters.purge()).toBe(1);
  expect((await stored(at.db, at.key)).length).toBe(1);
});
