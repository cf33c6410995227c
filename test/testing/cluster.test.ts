import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, Redis } from "ioredis";
import { expect, test } from "vitest";
import { command } from "../../src/testing/admin.ts";
import { type ClusterServer, startServer, waitFor } from "../../src/testing/index.ts";
import { certificate } from "./certificate.ts";
import { isAlive, ownTemporaryDirectory } from "./temporary.ts";

const temporary = ownTemporaryDirectory();

async function withClient<T>(server: ClusterServer, use: (client: Cluster) => Promise<T>): Promise<T> {
  const client = new Cluster(server.startupNodes, {
    redisOptions: server.redisOptions,
    clusterRetryStrategy: () => 50,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
  });
  client.on("error", () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

test("startServer – cluster: true makes three masters that own all slots", async () => {
  const server = await startServer({ cluster: true });
  expect(server.nodes).toHaveLength(3);
  expect(server.replicas).toEqual([]);
  expect(server.url).toBe(server.nodes[0]!.url);
  expect(server.startupNodes.map(({ port }) => port)).toEqual(server.nodes.map(({ port }) => port));
  for (const { port } of server.nodes) expect(port + 10_000).toBeLessThan(65_536);
  expect(
    await Promise.all([0, 5460, 5462, 10_922, 10_924, 16_383].map((slot) => server.masterOf(slot))),
  ).toEqual([0, 0, 1, 1, 2, 2].map((i) => server.masters[i]));
  await expect(server.masterOf(16_384)).rejects.toThrow("slot must be an integer from 0 to 16383, got 16384");
  await withClient(server, async (client) => {
    const keys = Array.from({ length: 50 }, (_, i) => `key-${i}`);
    await Promise.all(keys.map((key) => client.set(key, key)));
    const owner = await server.masterOf(Number(await client.cluster("KEYSLOT", "key-7")));
    const redis = new Redis(owner.options);
    expect(await redis.get("key-7")).toBe("key-7");
    redis.disconnect();
  });
  // A slot that has just changed hands: for a moment two nodes think that they own it.
  const [, second] = server.nodes;
  await command(
    second!,
    "CLUSTER",
    "SETSLOT",
    "0",
    "NODE",
    String(await command(second!, "CLUSTER", "MYID")),
  );
  await command(second!, "CLUSTER", "BUMPEPOCH");
  expect(await server.masterOf(0)).toBe(second);
  const pids = server.nodes.map(({ pid }) => pid!);
  await server.stop();
  await server.stop();
  expect(pids.filter(isAlive)).toEqual([]);
  await expect(server.masterOf(0)).rejects.toThrow("no running node knows who owns slot 0");
});

test("startServer – cluster with replicas: failover, restart, freeze", async () => {
  await using server = await startServer({ cluster: { replicas: 1, nodeTimeout: 1000 }, password: "p" });
  expect(server.nodes).toHaveLength(6);
  await withClient(server, async (client) => {
    await client.set("{a}1", "1");
    await client.wait(1, 1000);
    const slot = await client.cluster("KEYSLOT", "{a}");
    const owner = await server.masterOf(slot);
    const heir = server.replicas[server.masters.indexOf(owner)]!;
    await owner.kill();
    await waitFor(async () => (await server.masterOf(slot)) === heir, {
      timeout: 15_000,
      what: "the failover",
    });
    await server.ready();
    expect(await client.get("{a}1")).toBe("1");
    await owner.restart();
    await server.ready();
    const redis = new Redis(owner.options);
    await waitFor(async () => String(await redis.info("replication")).includes("role:slave"));
    redis.disconnect();
    const third = server.masters.find((master) => master !== owner)!;
    await third.freeze();
    expect(await server.masterOf(slot)).toBe(heir);
    await third.thaw();
  });
});

test("startServer – cluster with TLS, of one master, in a directory of one's own", async () => {
  await using server = await startServer({
    cluster: { masters: 1 },
    tls: await certificate(),
    dir: join(tmpdir(), "cluster"),
  });
  expect(server.url).toMatch(/^rediss:/);
  await withClient(server, async (client) => {
    expect(await client.set("a", "1")).toBe("OK");
  });
  await server.stop();
  expect(readdirSync(join(tmpdir(), "cluster"))).toEqual(["node-0"]);
});

test("startServer – cluster aborted under way", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const starting = startServer({ cluster: true, signal: controller.signal });
  await waitFor(() => temporary.entries().length === 3, { what: "the nodes to start" });
  controller.abort(reason);
  await expect(starting).rejects.toBe(reason);
});

test("startServer – cluster aborted while it forms", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const starting = startServer({ cluster: { masters: 2, replicas: 1 }, signal: controller.signal });
  starting.catch(() => {});
  await waitFor(
    () =>
      temporary.entries().filter((name) => {
        const folder = `${tmpdir()}/${name}/data`;
        if (!readdirSync(folder).includes("nodes.conf")) return false;
        return readFileSync(`${folder}/nodes.conf`, "utf8").split("\n").length > 3;
      }).length > 0,
    { interval: 1, what: "nodes to have met" },
  );
  controller.abort(reason);
  await expect(starting).rejects.toBe(reason);
});
