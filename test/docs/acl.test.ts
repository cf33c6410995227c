import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { DeadLetters } from "../../src/flow/dead-letters.ts";
import { Producer } from "../../src/flow/producer.ts";
import { Database, type GroupMessage, json, RejectError, type Worker } from "../../src/index.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { root } from "./blocks.ts";

/** Rules of one user: those of the user itself, then those of each selector in brackets. */
type Rules = readonly (readonly string[])[];

const guide = readFileSync(resolve(root, "docs/guides/production.md"), "utf8");
/** What the guide grants, by user. */
const users = new Map<string, Rules>(
  [...guide.matchAll(/^ACL SETUSER (\S+) reset on >\S+ (.+)$/gm)].map(([, name, text]) => [
    name!,
    [
      text!.replace(/\([^)]*\)/g, "").match(/\S+/g)!,
      ...[...text!.matchAll(/\(([^)]*)\)/g)].map(([, rules]) => rules!.split(" ")),
    ],
  ]),
);

/** The stream of the guide, and what stands beside it. */
const KEY = "orders";
const DEAD = "{orders}:dead";
const LOCK = "{orders}:worker:billing:worker";
type Order = { readonly total: number };
const codec = json<Order>();

let server: Server;
let admin: Database;
let made = 0;

beforeAll(async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {}); // ioredis says that it may not send INFO.
  server = await startServer();
  admin = new Database(server.options);
});

afterAll(async () => {
  await admin?.close();
  await server?.stop();
});

/** As new: no data, no script that a user would not have to load. */
beforeEach(async () => {
  await admin.flushall();
  await admin.script("FLUSH");
});

/** Do something as a user who has these rules and no others. */
async function as(rules: Rules, act: (db: Database, name: string) => Promise<void>): Promise<void> {
  const name = `user-${made++}`;
  const [own, ...selectors] = rules.map((some) => some.join(" "));
  const rights = [...own!.split(" "), ...selectors.map((some) => `(${some})`)].filter((rule) => rule !== "");
  await admin.call("ACL", ["SETUSER", name, "reset", "on", ">secret", ...rights]);
  // Since Redis 7.2 a client says its name; who may not is refused, which the server logs and ioredis ignores.
  const login = { username: name, password: "secret", disableClientInfo: true, maxRetriesPerRequest: 0 };
  const db = new Database({ ...server.options, ...login });
  db.on("error", () => {});
  try {
    await act(db, name);
  } finally {
    await db.close();
    await admin.call("ACL", ["DELUSER", name]);
  }
}

/** What the server refused a user: it keeps that in its log, whatever the client made of it. */
async function denials(name: string): Promise<string[]> {
  const log = (await admin.call("ACL", ["LOG", "100"])) as unknown[];
  return log.flatMap((entry) => {
    const facts = Array.isArray(entry) ? pairs(entry) : (entry as Record<string, unknown>);
    return facts["username"] === name ? [`${facts["reason"]} ${facts["object"]}`] : [];
  });
}

function pairs(flat: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(flat.flatMap((value, i) => (i % 2 === 0 ? [[String(value), flat[i + 1]]] : [])));
}

/** Push one and many, with a key and without, and bound the stream. */
async function produce(db: Database): Promise<void> {
  await using producer = new Producer<Order>(db, KEY, { codec, maxlen: 1000 });
  const ids = [await producer.push({ total: 1 })];
  ids.push(...(await producer.pushMany([{ total: 2 }, { total: 3 }])));
  ids.push(await producer.push({ total: 4 }, { idempotencyKey: "order 4" }));
  expect(await producer.push({ total: 4 }, { idempotencyKey: "order 4" })).toBe(ids.at(-1));
  expect((await admin.Stream(KEY).range()).map(({ id }) => id)).toEqual(ids);
}

/** All that befalls a worker's entries, and the ways in which it can leave. */
async function work(db: Database): Promise<void> {
  const group = db.consumerGroup("billing", [KEY], { codec, consumer: "worker" });
  const seen: number[] = [];
  let release = (): void => {};
  const long = new Promise<void>((done) => {
    release = done;
  });
  const options = { lease: 300, retry: { maxDeliveries: 2, delay: 5, jitter: 0 }, prefetch: 4, drain: 2000 };
  const start = (): Worker<Order> =>
    db.worker(
      group,
      async ({ data: { total } }: GroupMessage<Order>) => {
        seen.push(total);
        if (total === 2) throw new Error("fails each time");
        if (total === 3) throw new RejectError("is not wanted");
        if (total === 4) await long;
      },
      options,
    );
  await using worker = start();
  const running = worker.run();
  running.catch(() => {}); // Where it is refused something for good; then it is not running any more.
  await waitFor(async () => (await admin.exists(LOCK)) === 1 || !worker.isRunning);
  // It waits on the server, and is woken: one entry fails twice, one is refused, one does not decode.
  const stream = admin.Stream<Order>(KEY, { codec });
  await stream.addMany([{ total: 1 }, { total: 2 }, { total: 3 }]);
  await admin.xadd(KEY, "*", "not", "json");
  await until(db, async () => (await admin.xlen(DEAD)) === 3);
  // A handler outlives a third of its lease, which is renewed: the idle time begins again.
  await stream.add({ total: 4 });
  let last = 0;
  await until(db, async () => {
    const [entry] = (await admin.xpending(KEY, "billing", "-", "+", 1)) as [string, string, number, number][];
    const isRenewed = entry![2] < last;
    last = entry![2];
    return isRenewed;
  });
  // Another worker under that name makes a name of its own, and takes it along when it leaves.
  await using other = start();
  const otherRunning = other.run();
  otherRunning.catch(() => {});
  await until(db, async () => {
    await stream.add({ total: 5 });
    return (await names()).some((name) => name.startsWith("worker~"));
  });
  await Promise.all([other.stop(), otherRunning]);
  // What has not begun is given back when it stops; what has is waited for.
  const stopped = Promise.all([worker.stop(), running]);
  stopped.catch(() => {});
  await until(db, async () => (await names()).includes("@retry:0"));
  release();
  await stopped;
  await using successor = start();
  await successor.runOnce();
  await successor.stop();
  expect(seen.filter((total) => total !== 5)).toEqual([1, 2, 3, 2, 4]);
  expect(seen.length).toBe((await admin.xlen(KEY)) - 1 + 1); // One was never begun, one was twice.
  expect(worker.metrics()).toMatchObject({ deadLettered: 3, retried: 1, acked: 2 });
  expect(worker.metrics().released).toBeGreaterThan(0);
  expect((await admin.xpending(KEY, "billing"))[0]).toBe(0);
  expect(await names()).toEqual(["worker"]);
  expect(await admin.exists(LOCK)).toBe(0);
}

/** Wait for something that a user's program brings about; no longer than it has a connection. */
async function until(db: Database, condition: () => Promise<boolean>): Promise<void> {
  await waitFor(async () => db.status === "end" || (await condition()));
  if (db.status === "end") throw new Error("what was waited for will not come");
}

/** Consumers of the group, sorted. */
async function names(): Promise<string[]> {
  const consumers = await admin.consumerGroup("billing", [KEY]).consumers();
  return consumers.map(({ name }) => name);
}

/** A stream with something new, something pending and two dead letters. */
async function fill(): Promise<void> {
  const group = admin.consumerGroup("billing", [KEY], { codec });
  await group.create();
  const producing = group.orders.addMany([{ total: 1 }, { total: 2 }, { total: 3 }, { total: 4 }]);
  const [, , , last] = await producing;
  const [first, second] = await group.orders.read({ count: 3 });
  await first!.reject("is not wanted");
  await second!.reject("is not wanted either");
  expect(await group.orders.last()).toMatchObject({ id: last });
}

/** Look at everything but the entries themselves. */
async function watch(db: Database): Promise<void> {
  await fill();
  const group = db.consumerGroup("billing", [KEY], { codec });
  expect(await group.stats()).toMatchObject({ length: 4, lag: 1, pending: 1, deadLetters: 2 });
  expect(await group.health({ maxLag: 10, maxPending: 10, maxIdle: 60_000 })).toMatchObject({
    healthy: true,
  });
  expect(await group.consumers()).toMatchObject([{ name: "billing.c1", pending: 1 }]);
  expect(await group.orders.pending()).toMatchObject([{ consumer: "billing.c1", deliveries: 1 }]);
  expect(await group.orders.length()).toBe(4);
  const dead = new DeadLetters<Order>(db, DEAD, { codec });
  expect(await dead.length()).toBe(2);
  expect((await dead.range()).map(({ data }) => data)).toEqual([{ total: 1 }, { total: 2 }]);
}

/** Send a dead letter back, and remove the others. */
async function operate(db: Database): Promise<void> {
  await fill();
  const dead = new DeadLetters<Order>(db, DEAD, { codec });
  expect((await dead.range()).length).toBe(2);
  expect(await dead.redrive({ dryRun: true })).toBe(2);
  expect(await dead.redrive({ count: 1 })).toBe(1);
  expect(await dead.purge({ olderThan: { days: 1 } })).toBe(0);
  expect(await dead.purge()).toBe(1);
  expect(await dead.length()).toBe(0);
  expect(await admin.xlen(KEY)).toBe(5);
}

const acts: Readonly<Record<string, (db: Database) => Promise<void>>> = {
  "orders-producer": produce,
  "orders-worker": work,
  "orders-dashboard": watch,
  "orders-operator": operate,
};

/** What nobody but an administrator may do. */
const MISCHIEF = [
  "FLUSHALL|CONFIG GET *|ACL LIST|KEYS *|CLIENT LIST|MONITOR|DEL orders|XTRIM orders MAXLEN 0",
  "SET orders x|XDEL orders 1-0|XGROUP DESTROY orders billing|XGROUP SETID orders billing $|XADD payments * a b",
  "XRANGE payments - +|XLEN payments|GET payments|SET {orders}:other x|XDEL {orders}:other 1-0",
  "EVAL return(redis.call('GET',KEYS[1])) 1 payments",
].flatMap((line) => line.split("|"));
/** What is for others of the four. */
const FORBIDDEN: Readonly<Record<string, string>> = {
  "orders-producer":
    "XRANGE orders - +|XREAD STREAMS orders 0|XACK orders billing 1-0|XADD {orders}:dead * a b|GET {orders}:worker:a",
  "orders-worker":
    "XADD orders * a b|XRANGE {orders}:dead - +|XDEL {orders}:dead 1-0|GET {orders}:once:a|SET {orders}:dead x",
  "orders-dashboard":
    "XADD orders * a b|XRANGE orders - +|XACK orders billing 1-0|XDEL {orders}:dead 1-0|XREADGROUP GROUP billing a STREAMS orders >",
  "orders-operator":
    "XRANGE orders - +|XACK orders billing 1-0|XREADGROUP GROUP billing a STREAMS orders >|SET {orders}:dead x|DEL {orders}:dead",
};

test("the guide – grants something to each of the users that are tried here", () => {
  expect([...users.keys()]).toEqual(Object.keys(acts));
  expect(Object.keys(FORBIDDEN)).toEqual(Object.keys(acts));
});

test.each(Object.entries(acts))("%s – does its work with the rights of the guide", async (user, act) => {
  await as(users.get(user)!, async (db, name) => {
    await act(db);
    expect(await denials(name)).toEqual([]);
  });
});

test.each(Object.keys(acts))("%s – is refused everything else", async (user) => {
  await as(users.get(user)!, async (db) => {
    for (const line of [...MISCHIEF, ...FORBIDDEN[user]!.split("|")]) {
      const [command, ...args] = line.split(" ");
      const outcome = await db.call(command!, args).catch((error: Error) => error);
      expect(`${line}: ${outcome instanceof Error ? outcome.message : "done"}`).toMatch(/: NOPERM/);
    }
  });
});

/** The rules without one of them, or with a key pattern of half its rights; and which that is. */
function lesser(rules: Rules): [string, Rules][] {
  const variants: [string, Rules][] = [];
  for (const [i, some] of rules.entries()) {
    for (const [j, rule] of some.entries()) {
      const put = (...instead: string[]): Rules => rules.with(i, some.toSpliced(j, 1, ...instead));
      const place = i === 0 ? "" : ` of (${some.join(" ")})`;
      variants.push([`without ${rule}${place}`, put()]);
      if (rule.startsWith("~"))
        for (const half of ["%R", "%W"]) variants.push([`${half}${rule}${place}`, put(`${half}${rule}`)]);
    }
  }
  return variants;
}

/** That something is refused the user, or does not come about: whichever is seen first. */
async function fails(act: (db: Database) => Promise<void>, rules: Rules): Promise<boolean> {
  let outcome: "done" | "failed" | null = null;
  let acting: Promise<void> = Promise.resolve();
  let isRefused = false;
  await as(rules, async (db, name) => {
    acting = act(db).then(
      () => {
        outcome = "done";
      },
      () => {
        outcome = "failed";
      },
    );
    await waitFor(async () => outcome !== null || (await denials(name)).length > 0, { timeout: 10_000 });
    isRefused = (await denials(name)).length > 0;
  });
  await acting; // Without its connection it ends soon.
  return isRefused || outcome === "failed";
}

test.each(
  Object.entries(acts).flatMap(([user, act]) =>
    lesser(users.get(user) ?? [[]]).map(([what, rules]) => [user, what, rules, act] as const),
  ),
)("%s – %s something is refused", async (_user, _what, rules, act) => {
  expect(await fails(act, rules)).toBe(true);
});

test("a producer that makes the group – needs what the guide names", async () => {
  const rules = users.get("orders-producer")!;
  const ensure = async (db: Database): Promise<void> => {
    await using producer = new Producer(db, KEY);
    expect(await producer.ensureGroup("billing")).toBe(true);
  };
  expect(guide).toContain("`(+xgroup|create %W~orders)`");
  expect(await fails(ensure, rules)).toBe(true);
  expect(await fails(ensure, [...rules, ["+xgroup|create", "%W~orders"]])).toBe(false);
});

test("a right too many – is seen", async () => {
  const [own, ...selectors] = users.get("orders-producer")!;
  expect(await fails(produce, [[...own!, "+xlen"], ...selectors])).toBe(false);
});
