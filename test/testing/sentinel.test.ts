import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { type SentinelServer, startServer, waitFor } from "../../src/testing/index.ts";
import { certificate } from "./certificate.ts";
import { isAlive, ownTemporaryDirectory } from "./temporary.ts";

ownTemporaryDirectory();

async function withClient<T>(server: SentinelServer, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ ...server.options, retryStrategy: () => 20, sentinelRetryStrategy: () => 20 });
  client.on("error", () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

test("startServer – sentinel: true, and failover on demand", async () => {
  const server = await startServer({ sentinel: true });
  expect(server.replicas).toHaveLength(1);
  expect(server.sentinels).toEqual([{ host: "127.0.0.1", port: server.sentinel.port }]);
  expect(server.options).toEqual({ sentinels: server.sentinels, name: server.name });
  expect(await server.currentMaster()).toBe(server.master);
  await withClient(server, async (client) => {
    await client.set("a", "1");
    await client.wait(1, 1000);
    expect(await server.failover()).toBe(server.replicas[0]);
    expect(await server.currentMaster()).toBe(server.replicas[0]);
    await waitFor(async () => (await client.set("b", "2")) === "OK");
    expect(await client.mget("a", "b")).toEqual(["1", "2"]);
  });
  const pids = [server.sentinel, server.master, ...server.replicas].map(({ pid }) => pid!);
  await server.stop();
  await server.stop();
  expect(pids.filter(isAlive)).toEqual([]);
});

test("startServer – sentinel sees the master die, with TLS and a password", async () => {
  await using server = await startServer({
    sentinel: { downAfter: 500, replicas: 2 },
    tls: await certificate(),
    password: "p",
  });
  await withClient(server, async (client) => {
    await client.set("a", "1");
    expect(await client.wait(2, 1000)).toBe(2);
    await server.master.kill();
    const master = await waitFor(
      async () => {
        const current = await server.currentMaster();
        return current !== server.master && current;
      },
      { timeout: 15_000, what: "the failover" },
    );
    expect(server.replicas).toContain(master);
    expect(await client.get("a")).toBe("1");
  });
});

test("startServer – sentinel aborted", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const starting = startServer({ sentinel: true, signal: controller.signal });
  controller.abort(reason);
  await expect(starting).rejects.toBe(reason);
});
