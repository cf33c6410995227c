import { afterAll, beforeAll, expect, test } from "vitest";
import { DeadLetters } from "../../src/flow/dead-letters.ts";
import { type ClusterDatabase, type Database, deadLetterKey, InvalidArgumentError } from "../../src/index.ts";
import { type ClusterServer, startServer } from "../../src/testing/index.ts";
import { failure } from "../containers/harness.ts";
import { connect, keysOf, Nodes, slotOf } from "./cluster.ts";
import { bury, numbersIn, upTo } from "./graveyard.ts";

let server: ClusterServer;
let nodes: Nodes;
let db: ClusterDatabase;

beforeAll(async () => {
  server = await startServer({ cluster: { nodeTimeout: 1000 } });
  nodes = new Nodes(server);
  db = await connect(server);
});
afterAll(async () => {
  await db?.close();
  await nodes?.[Symbol.asyncDispose]();
  await server?.stop();
});

/** What {@link bury} needs of a database, a cluster has too. */
const burying = () => db as unknown as Database;

test("DeadLetters – cluster: dead letters share their stream's slot, and go back", async () => {
  for (const key of [...keysOf("a", 3), "{tag}orders", "x{tag}y"]) {
    const dead = new DeadLetters(db, await bury(burying(), key, 250));
    expect(slotOf(dead.key)).toBe(slotOf(key));
    await db.del(key);
    expect(await dead.redrive()).toBe(250);
    expect(await numbersIn(burying(), key)).toEqual(upTo(250));
    await bury(burying(), key, 3);
    expect(await dead.redrive({ to: `${deadLetterKey(key)}:review`, count: 1 })).toBe(1);
    expect(await dead.purge()).toBe(252);
  }
});

test("DeadLetters.redrive – cluster: a target in another slot is refused before anything is sent", async () => {
  const [key, far] = keysOf("b", 2) as [string, string];
  const dead = new DeadLetters(db, await bury(burying(), key, 2));
  const owner = await nodes.of(key);
  const before = await owner.info("commandstats");
  const error = await failure(() => dead.redrive({ to: far }), InvalidArgumentError);
  expect([error.argument, error.value]).toEqual(["to", far]);
  const calls = (text: string) => [...text.matchAll(/cmdstat_(?:x|eval)\w+:calls=\d+/g)].map(String);
  expect(calls(await owner.info("commandstats"))).toEqual(calls(before));
});

test("DeadLetters.redrive – cluster: a letter whose own stream is in another slot stays", async () => {
  const [key, far] = keysOf("c", 2) as [string, string];
  const dead = new DeadLetters(db, await bury(burying(), far, 1));
  const [[, fields]] = (await db.xrange(dead.key, "-", "+")) as [[string, string[]]];
  await db.xadd(key, "*", ...fields);
  const strayed = new DeadLetters(db, key);
  const error = await failure(() => strayed.redrive(), InvalidArgumentError);
  expect([error.argument, error.value]).toEqual(["to", far]);
  expect(await strayed.length()).toBe(1);
  expect(await strayed.redrive({ to: `{${key}}:back` })).toBe(1);
});

test("DeadLetters.redrive – cluster: the slot moves to another node meanwhile", async () => {
  const [key] = keysOf("d", 1) as [string];
  const dead = new DeadLetters(db, await bury(burying(), key, 5000));
  await db.del(key);
  const owner = await server.masterOf(slotOf(key));
  const way = await nodes.migration(slotOf(key), server.masters.find((node) => node !== owner)!);
  const redriving = dead.redrive().catch(() => 0);
  await way.begin();
  await way.move();
  await way.end();
  await redriving;
  const both = [...(await numbersIn(burying(), key)), ...(await numbersIn(burying(), dead.key))];
  expect(both.sort((a, b) => a - b)).toEqual(upTo(5000));
  await dead.redrive();
  expect(await dead.length()).toBe(0);
});
