import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import calculateSlot from "cluster-key-slot";
import type { RedisOptions } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { networkError } from "../../src/connection/untrusted.ts";
import { ClusterDatabase, ConnectionLostError, Database, type DatabaseOptions } from "../../src/index.ts";
import {
  type ClusterServer,
  type Server,
  type ServerTls,
  startServer,
  waitFor,
} from "../../src/testing/index.ts";
import { failure, Watch, within } from "../connection/harness.ts";
import { certificate } from "../testing/certificate.ts";

const DAY = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), "walrus-tls-"));
const databases: Database[] = [];

let right: ServerTls;
let elsewhere: ServerTls;
let expired: ServerTls;
let server: Server;
let watch: Watch;

beforeAll(async () => {
  right = await certificate();
  elsewhere = await certificate({ ip: "127.0.0.2" });
  expired = await certificate({ until: new Date(Date.now() - DAY) });
  server = await startServer({ tls: right });
  watch = new Watch(server);
});
afterEach(async () => {
  for (const db of databases.splice(0)) await db.close();
  await present(right);
});
afterAll(async () => {
  watch.redis.disconnect();
  await server.stop();
  rmSync(folder, { recursive: true });
});

/** Have the server show another certificate from now on. */
function present(certificate: ServerTls): Promise<void> {
  return show(watch, certificate);
}

async function show({ redis }: Watch, { key, cert }: ServerTls): Promise<void> {
  const files = { "tls-key-file": join(folder, "key.pem"), "tls-cert-file": join(folder, "cert.pem") };
  writeFileSync(files["tls-key-file"], key);
  writeFileSync(files["tls-cert-file"], cert);
  await redis.call("CONFIG", "SET", ...Object.entries(files).flat());
}

/** A key whose slot a node owns. */
async function keyAt(cluster: ClusterServer, node: Server): Promise<string> {
  for (let i = 0; ; i++) {
    const owner = await cluster.masterOf(calculateSlot(`k${i}`));
    if (owner.port === node.port) return `k${i}`;
  }
}

/** A database that trusts one authority, and by default has ioredis's patience: 20 tries, some minutes. */
function trusting(ca: string | undefined, options: DatabaseOptions = {}): Database {
  const db = new Database({ ...server.options, tls: ca === undefined ? {} : { ca }, ...options });
  db.on("error", () => {});
  databases.push(db);
  return db;
}

const calls: Readonly<Record<string, (db: Database | ClusterDatabase) => PromiseLike<unknown>>> = {
  "Stream.add": (db) => db.Stream("s").add({ a: 1 }),
  "Stream.addMany": (db) => db.Stream("s").addMany([{ a: 1 }]),
  "Stream.range": (db) => db.Stream("s").range(),
  "a blocked read": (db) => db.Stream("s").read({ block: 60_000 }),
  "a blocked group read": (db) => db.consumerGroup("g", ["s"]).read({ block: 0 }),
  "ConsumerGroup.create": (db) => db.consumerGroup("g", ["s"]).create(),
  "Producer.push": (db) => db.producer("s").push({ a: 1 }),
};

/** What the server shows and what the client trusts, and why that does not go together, in the words of each runtime. */
const WRONG: readonly [string, () => { shown: ServerTls; ca?: string }, RegExp][] = [
  ["of an unknown authority", () => ({ shown: right }), /DEPTH_ZERO_SELF_SIGNED_CERT/],
  ["of another authority", () => ({ shown: right, ca: elsewhere.ca }), /DEPTH_ZERO_SELF_SIGNED_CERT/],
  [
    "for another host",
    () => ({ shown: elsewhere, ca: elsewhere.ca }),
    /does not match certificate's altnames/,
  ],
  [
    "that has expired",
    () => ({ shown: expired, ca: expired.ca }),
    /CERT_HAS_EXPIRED|unable to verify the first certificate/,
  ],
];

describe.each(WRONG)("a certificate %s", (_, make, reason) => {
  test.each(Object.entries(calls))("%s – a ConnectionLostError at once, with the reason", async (_, call) => {
    const { shown, ca } = make();
    await present(shown);
    const { error } = await failure(call(trusting(ca)), 3000);
    expect(error).toBeInstanceOf(ConnectionLostError);
    expect((error as Error).message).toMatch(/certificate|altname/i);
    expect(inspect(error)).toMatch(reason); // In the chain of causes.
  });

  test("maxRetriesPerRequest null – nobody waits for ever", async () => {
    const { shown, ca } = make();
    await present(shown);
    const db = trusting(ca, { maxRetriesPerRequest: null });
    for (const call of Object.values(calls))
      expect((await failure(call(db), 3000)).error).toBeInstanceOf(ConnectionLostError);
  });
});

test("a URL – rediss:// checks the certificate", async () => {
  const db = new Database(`rediss://127.0.0.1:${server.port}`);
  db.on("error", () => {});
  databases.push(db);
  const { error } = await failure(db.Stream("s").range(), 3000);
  expect(error).toMatchObject({ code: "CONNECTION_LOST", cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" } });
});

test("a blocked read – a server that shows another certificate when the connection is made anew", async () => {
  const db = trusting(right.ca, { connectionName: "victim" });
  const reading = failure(db.Stream("s").read({ block: 60_000 }), 10_000);
  const [wire] = await watch.blocked(1, "victim");
  await present(elsewhere);
  await watch.redis.client("KILL", "ID", wire!.id!);
  expect((await reading).error).toMatchObject({ cause: { code: "DEPTH_ZERO_SELF_SIGNED_CERT" } });
});

test("the right certificate shown again – the same database goes on", async () => {
  await present(elsewhere);
  const db = trusting(right.ca);
  await failure(db.Stream("s").add({ a: 1 }), 3000);
  await present(right);
  await waitFor(() => db.status === "ready", { what: "the connection", timeout: 10_000 });
  expect(await within(3000, db.Stream("s").add({ a: 1 }))).toMatch(/^\d+-0$/);
  expect(await within(3000, db.Stream("s").range())).toHaveLength(1);
});

describe("a cluster", () => {
  let nodes: readonly Server[];
  let cluster: ClusterServer;
  const to = (ca: string, redisOptions: RedisOptions = {}): ClusterDatabase => {
    const addresses = nodes.map(({ host, port }) => ({ host, port }));
    const db = new ClusterDatabase(addresses, { redisOptions: { tls: { ca }, ...redisOptions } });
    db.on("error", () => {});
    return db;
  };

  beforeAll(async () => {
    cluster = await startServer({ cluster: true, tls: right });
    ({ nodes } = cluster);
  });
  afterAll(() => cluster.stop());

  test.each([20, null])("maxRetriesPerRequest %s – a certificate of another authority", async (most) => {
    await using db = to(elsewhere.ca, { maxRetriesPerRequest: most });
    for (const call of Object.values(calls)) {
      const { error } = await failure(call(db), 3000);
      expect(error).toBeInstanceOf(ConnectionLostError);
      expect(inspect(error)).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT/);
    }
  });

  test("lazyConnect – the first call is told", async () => {
    const addresses = nodes.map(({ host, port }) => ({ host, port }));
    await using db = new ClusterDatabase(addresses, { lazyConnect: true, redisOptions: { tls: {} } });
    db.on("error", () => {});
    const { error } = await failure(db.Stream("s").range(), 3000);
    expect(inspect(error)).toMatch(/DEPTH_ZERO_SELF_SIGNED_CERT/);
  });

  test("one node's certificate is of another authority – the others are used, and it is not held against them", async () => {
    const odd = new Watch(nodes[0]!);
    await show(odd, elsewhere);
    const key = await keyAt(cluster, nodes[1]!);
    try {
      // The nodes are asked for the slots in an order that changes.
      for (let i = 0; i < 6; i++) {
        await using db = to(right.ca);
        expect(await within(3000, db.Stream(key).add({ a: 1 }))).toMatch(/^\d+-0$/);
        expect(networkError(db)).toBeNull();
      }
    } finally {
      await show(odd, right);
      odd.redis.disconnect();
    }
  });

  test("the right certificate shown again – the same database goes on", async () => {
    const watches = nodes.map((node) => new Watch(node));
    for (const node of watches) await show(node, elsewhere);
    await using db = to(right.ca);
    await failure(db.Stream("s").add({ a: 1 }), 3000);
    for (const node of watches) await show(node, right);
    await waitFor(() => db.status === "ready", { what: "the cluster", timeout: 10_000 });
    expect(await within(3000, db.Stream("s").add({ a: 1 }))).toMatch(/^\d+-0$/);
    for (const { redis } of watches) redis.disconnect();
  });

  test("the right authority – it works", async () => {
    await using db = to(right.ca);
    await within(3000, db.Stream("s").add({ a: 1 }));
    expect(await within(3000, db.Stream("s").range())).not.toHaveLength(0);
  });
});
