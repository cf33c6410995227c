import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { findBinary } from "../../src/testing/binary.ts";
import { startServer } from "../../src/testing/index.ts";
import { ownTemporaryDirectory } from "./temporary.ts";

ownTemporaryDirectory();

let folder = "";
let real = "";
beforeEach(async () => {
  real = (await findBinary())!;
  folder = join(tmpdir(), "bin");
  mkdirSync(folder);
});
afterEach(() => rmSync(folder, { recursive: true }));

test("startServer – REDIS_SERVER names a file that is not there", async () => {
  vi.stubEnv("REDIS_SERVER", "/no/such/redis-server");
  await expect(startServer()).rejects.toThrow(
    'REDIS_SERVER must name an executable redis-server or valkey-server, got "/no/such/redis-server"',
  );
});

test("startServer – REDIS_SERVER names a folder, or a file without the right to execute", async () => {
  const file = join(folder, "redis-server");
  writeFileSync(file, "#!/bin/sh\n", { mode: 0o644 });
  for (const wrong of [folder, file, "no-such-command"]) {
    vi.stubEnv("REDIS_SERVER", wrong);
    await expect(startServer()).rejects.toThrow("REDIS_SERVER must name an executable");
  }
});

test("startServer – REDIS_SERVER names a program that is no server", async () => {
  const file = join(folder, "broken");
  writeFileSync(file, "#!/bin/sh\necho I am no server\nexit 3\n", { mode: 0o755 });
  vi.stubEnv("REDIS_SERVER", file);
  await expect(startServer()).rejects.toThrow(/broken exited before it was ready; its log:\nI am no server$/);
});

test("startServer – REDIS_SERVER names a file the system cannot execute", async () => {
  const file = join(folder, "broken");
  writeFileSync(file, "#!/no/such/interpreter\n", { mode: 0o755 });
  vi.stubEnv("REDIS_SERVER", file);
  await expect(startServer()).rejects.toThrow(/cannot be executed: .*ENOENT/);
});

test("startServer – REDIS_SERVER goes before the PATH", async () => {
  const file = join(folder, "mine");
  symlinkSync(real, file);
  writeFileSync(join(folder, "redis-server"), "#!/bin/sh\nexit 3\n", { mode: 0o755 });
  vi.stubEnv("PATH", folder);
  vi.stubEnv("REDIS_SERVER", file);
  const server = await startServer();
  await server.stop();
  vi.stubEnv("REDIS_SERVER", "mine");
  expect(await findBinary()).toBe(file);
});

test("startServer – valkey-server where there is no redis-server", async () => {
  symlinkSync(real, join(folder, "valkey-server"));
  vi.stubEnv("PATH", `${join(folder, "nothing")}:${folder}`);
  vi.stubEnv("REDIS_SERVER", undefined);
  await using server = await startServer();
  const redis = new Redis(server.url);
  expect(await redis.ping()).toBe("PONG");
  redis.disconnect();
  expect(await findBinary()).toBe(join(folder, "valkey-server"));
  const first = join(folder, "redis-server");
  symlinkSync(real, first);
  expect(await findBinary()).toBe(first);
});

test.each([{}, { cluster: true }, { sentinel: true }])(
  "startServer – neither binary nor container runtime, %j: says what to install",
  async (options) => {
    vi.stubEnv("PATH", "");
    vi.stubEnv("REDIS_SERVER", undefined);
    vi.stubEnv("DOCKER_HOST", "unix:///no/such/docker.sock");
    const started = performance.now();
    const failing = startServer(options);
    await expect(failing).rejects.toThrow(
      /apt-get install redis-server[\s\S]*REDIS_SERVER[\s\S]*testcontainers/,
    );
    await expect(failing).rejects.toThrow("Could not find a working container runtime strategy");
    expect(performance.now() - started).toBeLessThan(20_000);
  },
);
