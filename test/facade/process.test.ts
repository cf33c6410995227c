import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type ClusterServer, type Server, startServer } from "../../src/testing/index.ts";
import { Watch, within } from "../connection/harness.ts";
import { program } from "../runtimes/program.ts";

/** Runs a scenario of child.ts; it has to end by itself soon after its last word. */
async function run(
  scenario: string,
  port: number,
  act: () => Promise<void> = async () => {},
): Promise<string[]> {
  const child = spawn(
    process.execPath,
    program([join(import.meta.dirname, "child.ts"), scenario, String(port)]),
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const exit = once(child, "exit");
  let text = "";
  let saidDone = 0;
  child.stdout.setEncoding("utf8");
  const acting = new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (chunk: string) => {
      const isReady = !text.includes("ready") && (text + chunk).includes("ready");
      text += chunk;
      if (text.includes("done")) saidDone ||= performance.now();
      if (isReady) act().then(() => resolve(void child.stdin.write("go\n")), reject);
    });
    exit.then(() => resolve(), reject);
  });
  try {
    await within(25_000, Promise.all([acting, exit]));
    expect(await exit).toEqual([0, null]);
    // A timer that is left over would show here.
    expect(performance.now() - saidDone).toBeLessThan(700);
  } finally {
    child.kill("SIGKILL");
  }
  return text.split("\n").filter((word) => word !== "" && word !== "ready");
}

describe.concurrent("a process ends by itself", () => {
  test("Database – idle wires after quit(), on a user's Redis, without a connection beside them", async () => {
    await using server = await startServer();
    expect(await run("idle wires", server.port)).toEqual(["done"]);
  });

  test("Database – close during reads", async () => {
    await using server = await startServer();
    await using watch = new Watch(server);
    const words = await run("close during reads", server.port, async () => void (await watch.blocked(2)));
    expect(words).toEqual(["ClosedError,ClosedError", "done"]);
    await watch.gone();
  });

  test.for([
    // The add may be told of the loss before it is told of the close.
    [
      "killed",
      /^ClosedError,(ClosedError|ConnectionLostError),ClosedError$/,
      (server: Server) => server.kill(),
    ],
    ["frozen", /^ClosedError,ClosedError,ClosedError$/, (server: Server) => server.freeze()],
  ] as const)("Database – abort and close while the server is %s", async ([, ends, fault]) => {
    await using server = await startServer();
    await using watch = new Watch(server);
    const words = await run("abort and close while the server is away", server.port, async () => {
      await watch.blocked(2);
      await fault(server);
    });
    expect(words).toEqual(["AbortError", expect.stringMatching(ends), "done"]);
  });

  test.for([
    ["running", async () => {}],
    ["frozen", async (cluster: ClusterServer) => cluster.masters[0]!.freeze()],
    ["killed", async (cluster: ClusterServer) => cluster.masters[0]!.kill()],
  ] as const)("ClusterDatabase – closed during reads, a node is %s", async ([, fault]) => {
    await using cluster = await startServer({ cluster: true });
    const watches = cluster.masters.map((master) => new Watch(master));
    const words = await run("a cluster closed during reads", cluster.masters[1]!.port, async () => {
      for (const watch of watches) await watch.blocked();
      await fault(cluster);
    });
    expect(words).toEqual(["ClosedError", "done"]);
    for (const watch of watches) watch.redis.disconnect();
  });
});
