import { existsSync, mkdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { findBinary } from "../../src/testing/binary.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";
import { certificate } from "./certificate.ts";
import { startDocker } from "./docker.ts";
import { ownTemporaryDirectory } from "./temporary.ts";

ownTemporaryDirectory();

let docker: Awaited<ReturnType<typeof startDocker>>;
let folder = "";

beforeAll(async () => {
  folder = join(tmpdir(), "docker");
  mkdirSync(folder);
  docker = await startDocker(folder, (await findBinary())!);
});
afterAll(async () => {
  await docker.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  vi.stubEnv("PATH", "/usr/bin/nothing");
  vi.stubEnv("REDIS_SERVER", undefined);
  vi.stubEnv("DOCKER_HOST", docker.url);
  vi.stubEnv("TESTCONTAINERS_RYUK_DISABLED", "true");
  vi.stubEnv("TESTCONTAINERS_HOST_OVERRIDE", "localhost");
});

async function withClient<T>(server: Server, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({ ...server.options, retryStrategy: () => 20 });
  client.on("error", () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

test("startServer – no binary: a container, published on loopback", async () => {
  const server = await startServer({ password: "p", args: ["--maxmemory", "10mb"] });
  expect(server.socketPath).toBeNull();
  expect(server.pid).toBeNull();
  expect(server.url).toBe(`redis://:p@127.0.0.1:${server.port}`);
  const [container] = [...docker.containers.values()];
  expect(container!.created.Image).toMatch(/^redis:/);
  expect(container!.created.HostConfig.PortBindings).toEqual({
    "6379/tcp": [{ HostIp: "127.0.0.1", HostPort: String(server.port) }],
  });
  await withClient(server, async (client) => {
    expect(await client.config("GET", "maxmemory")).toEqual(["maxmemory", "10485760"]);
  });
  expect(await server.log()).toContain("Ready to accept connections");
  await server.stop();
  await server.stop();
  expect(docker.containers.size).toBe(0);
});

test("startServer – a container: kill, restart, freeze", async () => {
  await using server = await startServer({ appendOnly: true, args: ["--appendfsync", "always"] });
  const { port } = server;
  await withClient(server, async (client) => {
    await client.set("a", "1");
    await server.kill();
    expect(server.isRunning).toBe(false);
    await expect(server.freeze()).rejects.toThrow("not running");
    await server.restart();
    expect(server.port).toBe(port);
    expect(await client.get("a")).toBe("1");
    await server.freeze();
    const late = client.incr("n");
    await server.thaw();
    expect(await late).toBe(1);
    await server.restart();
    expect(await client.get("n")).toBe("1");
    await server.freeze();
    await server.restart();
    expect(await client.get("n")).toBe("1");
    await server.freeze();
    await server.kill();
  });
});

test("startServer – a container that ends by itself", async () => {
  await using server = await startServer();
  const [container] = [...docker.containers.values()];
  process.kill(container!.child!.pid!, "SIGTERM");
  await waitFor(() => container!.child === null);
  await server.kill();
  await server.restart();
  await withClient(server, async (client) => expect(await client.ping()).toBe("PONG"));
});

test("startServer – a container with TLS and a directory of one's own", async () => {
  const dir = join(tmpdir(), "data");
  {
    await using server = await startServer({ tls: await certificate(), dir, appendOnly: true });
    expect(server.url).toMatch(/^rediss:/);
    await withClient(server, async (client) => expect(await client.set("a", "1")).toBe("OK"));
  }
  expect(existsSync(join(dir, "appendonlydir"))).toBe(true);
  rmSync(dir, { recursive: true });
});

test("startServer – a container whose port has been taken: another port", async () => {
  docker.portsTaken = 2;
  const server = await startServer();
  expect(docker.portsTaken).toBe(0);
  expect(docker.containers.size).toBe(1);
  await server.stop();
});

test("startServer – a container that does not start: its log, and nothing left", async () => {
  await expect(startServer({ args: ["--no-such-directive", "1"] })).rejects.toThrow(
    /the container of redis:\S+ exited before it was ready; its log:[\s\S]*no-such-directive/,
  );
  expect(docker.containers.size).toBe(0);
});

test("startServer – a container aborted", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  const starting = startServer({ signal: controller.signal });
  await waitFor(() => docker.containers.size === 1, { interval: 1 });
  controller.abort(reason);
  await expect(starting).rejects.toBe(reason);
  expect(docker.containers.size).toBe(0);
});

test.each([{ cluster: true }, { sentinel: true }, { socket: true }])(
  "startServer – no binary, but containers, %j: says that it needs a binary",
  async (options) => {
    await expect(startServer(options)).rejects.toThrow(
      "a container runtime answers, but a cluster, a sentinel and a Unix socket need a binary",
    );
  },
);
