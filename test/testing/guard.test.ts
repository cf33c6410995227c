import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { waitFor } from "../../src/testing/index.ts";
import { program } from "../runtimes/program.ts";
import { ownTemporaryDirectory } from "./temporary.ts";

const temporary = ownTemporaryDirectory();

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

interface Script {
  readonly child: ChildProcess;
  readonly port: number;
  /** Gives the next line it writes. */
  readonly line: () => Promise<string>;
}

/** Runs a script that has started a server, and gives it once it has written the server's port. */
async function run(afterwards: string): Promise<Script> {
  const index = new URL("../../src/testing/index.ts", import.meta.url).href;
  const script = `import { startServer } from ${JSON.stringify(index)};
    const server = await startServer();
    console.log(server.port);
    ${afterwards}`;
  const file = join(process.env.TMPDIR!, `guarded-${children.length}.mts`);
  writeFileSync(file, script);
  const child = spawn(process.execPath, program([file]), {
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  children.push(child);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async (): Promise<string> => (await lines.next()).value ?? "(ended)";
  return { child, port: Number(await line()), line };
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

async function expectNothingLeft(port: number): Promise<void> {
  await waitFor(async () => !(await isListening(port)), { what: "the server to end" });
  await waitFor(() => temporary.entries().length === 0, {
    what: "its directory to be removed",
  });
}

const wait = "process.stdin.resume();";

test("startServer – a script that ends without stop", async () => {
  const { child, port } = await run("");
  expect(await once(child, "exit")).toEqual([0, null]);
  await expectNothingLeft(port);
});

test("startServer – a script that calls process.exit", async () => {
  const { child, port } = await run("process.exit(3);");
  expect(await once(child, "exit")).toEqual([3, null]);
  await expectNothingLeft(port);
});

test.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "startServer – %s ends the parent, and the server",
  async (name) => {
    const { child, port } = await run(wait);
    expect(await isListening(port)).toBe(true);
    child.kill(name);
    expect(await once(child, "exit")).toEqual([null, name]);
    await expectNothingLeft(port);
  },
);

test("startServer – a frozen server ends with a killed parent", async () => {
  const { child, port, line } = await run(`await server.freeze(); console.log("frozen"); ${wait}`);
  expect(await line()).toBe("frozen");
  child.kill("SIGKILL");
  await expectNothingLeft(port);
});

test("startServer – the parent's own handling of SIGINT stays, and its server with it", async () => {
  const { child, port, line } = await run(`process.on("SIGINT", () => console.log("handled"));
    console.log("ready"); ${wait}`);
  expect(await line()).toBe("ready");
  // As Ctrl-C does, to the whole process group.
  process.kill(-child.pid!, "SIGINT");
  expect(await line()).toBe("handled");
  expect(await isListening(port)).toBe(true);
  child.kill("SIGKILL");
  await expectNothingLeft(port);
});
