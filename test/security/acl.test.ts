import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ClusterDatabase, Database, type DatabaseOptions, ReplyError } from "../../src/index.ts";
import { type ClusterServer, type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { failure } from "../connection/harness.ts";

// That the guide's users can do their work, and need each of their rights, is seen in test/docs/acl.test.ts. Here it is
// seen what the program is told that has one right too few.

const guide = readFileSync(resolve(import.meta.dirname, "../../docs/guides/production.md"), "utf8");
const rightsOf = (user: string): string[] => {
  const line = new RegExp(`^ACL SETUSER ${user} reset on >\\S+ (.+)$`, "m").exec(guide)![1]!;
  return line.match(/\([^)]*\)|\S+/g)!;
};
/** The rights without one command. */
const without = (rights: readonly string[], command: string): string[] =>
  rights
    .map((rule) =>
      rule.replace(new RegExp(`(?<=^|[( ])\\+${command.replace("|", "\\|")}(?=[) ]|$)`, "i"), ""),
    )
    .map((rule) => rule.replace(/\( +/, "(").replace(/ {2,}/g, " ").replace(" )", ")"))
    .filter((rule) => rule !== "" && !/^\([~%]/.test(rule));

type Act = (db: Database | ClusterDatabase) => PromiseLike<unknown>;

/** What each user does, and the command whose right it lacks meanwhile. */
const LESSER: readonly [string, string, Act][] = [
  ["orders-producer", "xadd", (db) => db.Stream("orders").add({ total: 1 })],
  ["orders-producer", "xadd", (db) => db.Stream("orders").addMany([{ total: 1 }])],
  ["orders-producer", "xadd", (db) => db.producer("orders").push({ total: 1 })],
  ["orders-producer", "evalsha", (db) => db.producer("orders").push({ total: 1 }, { idempotencyKey: "k" })],
  ["orders-worker", "xreadgroup", (db) => db.consumerGroup("billing", ["orders"]).read({ block: 10 })],
  ["orders-worker", "xgroup|create", (db) => db.consumerGroup("billing", ["orders"]).create()],
  [
    "orders-worker",
    "xgroup|create",
    (db) => db.worker(db.consumerGroup("billing", ["orders"]), () => {}).runOnce(),
  ],
  [
    "orders-worker",
    "xreadgroup",
    (db) => db.worker(db.consumerGroup("billing", ["orders"]), () => {}).runOnce(),
  ],
  ["orders-dashboard", "xpending", (db) => db.consumerGroup("billing", ["orders"]).stats()],
  ["orders-dashboard", "xinfo|groups", (db) => db.Stream("orders").groupsInfo()],
  ["orders-operator", "xrange", (db) => db.deadLetters("{orders}:dead").range()],
  ["orders-operator", "xdel", (db) => db.deadLetters("{orders}:dead").purge()],
];

/** A library's refusal of a command that its user may not send. */
function expectRefused(error: unknown, command: string): void {
  expect(error).toBeInstanceOf(ReplyError);
  const [name] = command.split("|");
  expect(error).toMatchObject({ prefix: "NOPERM", code: "REPLY", retriable: false });
  expect((error as Error).message).toMatch(new RegExp(`NOPERM.*(${name}|keys)`, "i"));
  expect((error as ReplyError).streams.length).toBeGreaterThan(0);
}

let server: Server;
let admin: Database;

beforeAll(async () => {
  vi.spyOn(console, "warn").mockImplementation(() => {});
  server = await startServer();
  admin = new Database(server.options);
  await admin.xadd("orders", "*", "total", "1");
  await admin.xgroup("CREATE", "orders", "billing", "0");
  const dead = { stream: "orders", group: "billing", id: "1-1", consumer: "c", deliveries: 1, time: 1 };
  const note = JSON.stringify({ ...dead, error: { name: "E", message: "m", stack: "" } });
  await admin.xadd("{orders}:dead", "*", "total", "1", "@dead", note);
});
afterAll(async () => {
  vi.restoreAllMocks();
  await admin?.close();
  await server?.stop();
});

test.each(LESSER)(
  "%s without %s – a ReplyError that says NOPERM, at once (%#)",
  async (user, command, act) => {
    const rights = without(rightsOf(user), command);
    expect(rights).not.toEqual(rightsOf(user));
    await admin.call("ACL", ["SETUSER", user, "reset", "on", ">secret", ...rights]);
    const options: DatabaseOptions = {
      ...server.options,
      username: user,
      password: "secret",
      disableClientInfo: true,
    };
    await using db = new Database(options);
    db.on("error", () => {});
    expectRefused((await failure(act(db), 3000)).error, command);
  },
);

test("a worker that may not read – run() rejects, and does not go on trying", async () => {
  const rights = without(rightsOf("orders-worker"), "xreadgroup");
  await admin.call("ACL", ["SETUSER", "reader", "reset", "on", ">secret", ...rights]);
  await using db = new Database({
    ...server.options,
    username: "reader",
    password: "secret",
    disableClientInfo: true,
  });
  db.on("error", () => {});
  const { error } = await failure(db.worker(db.consumerGroup("billing", ["orders"]), () => {}).run(), 3000);
  expectRefused(error, "xreadgroup");
});

describe("in a cluster", () => {
  let cluster: ClusterServer;
  beforeAll(async () => {
    cluster = await startServer({ cluster: true });
    for (const node of cluster.nodes) {
      const own = new Database(node.options);
      for (const [name, missing] of [
        ["whole", ""],
        ["lesser", "xadd"],
      ] as const) {
        const rights =
          missing === "" ? rightsOf("orders-producer") : without(rightsOf("orders-producer"), missing);
        const more = ["+cluster|slots", "+cluster|info", "+asking", "+client|setname"];
        await own.call("ACL", ["SETUSER", name, "reset", "on", ">secret", ...rights, ...more]);
      }
      await own.close();
    }
  });
  afterAll(() => cluster?.stop());

  const as = (username: string): ClusterDatabase => {
    const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }));
    const db = new ClusterDatabase(nodes, {
      redisOptions: { username, password: "secret", disableClientInfo: true },
    });
    db.on("error", () => {});
    return db;
  };

  test("orders-producer – works by the guide's line", async () => {
    await using db = as("whole");
    expect(await db.Stream("orders").add({ total: 1 })).toMatch(/-0$/);
    expect(await db.Stream("orders").addMany([{ total: 1 }])).toHaveLength(1);
    const once = { idempotencyKey: "k" };
    expect(await db.producer("orders").push({ total: 1 }, once)).toBe(
      await db.producer("orders").push({ total: 1 }, once),
    );
  });

  test("orders-producer without xadd – a ReplyError that says NOPERM", async () => {
    await using db = as("lesser");
    await waitFor(() => db.status === "ready", { what: "the cluster" });
    for (const act of [
      () => db.Stream("orders").add({ total: 1 }),
      () => db.Stream("orders").addMany([{ total: 1 }]),
    ])
      expectRefused((await failure(act(), 5000)).error, "xadd");
  });
});
