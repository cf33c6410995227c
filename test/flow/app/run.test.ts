import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";
import { program } from "../../runtimes/program.ts";
import { Stage } from "./stage.ts";

const stage = new Stage();

/** A process with an app, and what it has said. */
class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown[]>;
  #text = "";

  constructor(work: number) {
    const script = join(import.meta.dirname, "run-child.ts");
    const args = program([script, stage.server.url, stage.key, String(work)]);
    this.process = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.ended = once(this.process, "exit");
    this.process.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      this.#text += chunk;
    });
    onTestFinished(() => void this.process.kill("SIGKILL"));
  }

  /** Not by `ChildProcess.kill`: on Deno that works once only, and the signal counts as the end whatever follows. */
  kill(signal: NodeJS.Signals): void {
    process.kill(this.process.pid!, signal);
  }

  get lines(): string[] {
    return this.#text.split("\n").filter((line) => line !== "");
  }

  said(line: string): Promise<unknown> {
    return waitFor(() => this.lines.includes(line), { what: `"${line}"`, timeout: 20_000 });
  }
}

const publish = (...values: number[]) =>
  Promise.all(
    values.map((n) =>
      stage.watch.redis.xadd(stage.key, "*", "text", n, "@headers", '{"content-type":"text/plain"}'),
    ),
  );
const results = async (): Promise<string[]> =>
  (await stage.watch.redis.xrange(`${stage.key}:to`, "-", "+")).map(([, fields]) => fields[1]!);

test.each(["SIGTERM", "SIGINT"] as const)(
  "App.run – %s drains: what has begun is done, the rest is given back, the code is 0",
  async (signal) => {
    await publish(1, 2, 3);
    const child = new Child(300);
    await child.said("began 1 1");
    child.kill(signal);
    expect(await within(20_000, child.ended)).toEqual([0, null]);
    expect(child.lines).toEqual(["up", "began 1 1", "down", "code 0"]);
    expect(await results()).toEqual(["1"]);
    const next = new Child(0);
    // Given back: at once, not after their lease, and no delivery was counted.
    await next.said("began 3 1");
    expect(next.lines).toContain("began 2 1");
    next.kill(signal);
    await within(20_000, next.ended);
    expect(await results()).toEqual(["1", "2", "3"]);
    expect(await stage.pending(stage.key)).toBe(0);
  },
  60_000,
);

test("App.run – the second signal leaves at once; what had begun comes back", async () => {
  await publish(1);
  const child = new Child(60_000);
  await child.said("began 1 1");
  for (const signal of ["SIGTERM", "SIGINT", "SIGTERM"] as const) child.kill(signal);
  const start = performance.now();
  const [code] = await within(20_000, child.ended);
  expect(performance.now() - start).toBeLessThan(5000);
  expect([128 + 2, 128 + 15]).toContain(code);
  expect(child.lines).not.toContain("down");
  const next = new Child(0);
  await next.said("began 1 2");
  next.kill("SIGTERM");
  await within(20_000, next.ended);
  expect(await results()).toEqual(["1"]);
}, 60_000);

test("App.run – a process that is killed: its messages are handled after their lease, results are published once", async () => {
  await publish(1, 2, 3);
  const child = new Child(60_000);
  await child.said("began 1 1");
  child.kill("SIGKILL");
  await child.ended;
  const next = new Child(0);
  for (const n of [1, 2, 3]) await next.said(`began ${n} 2`);
  next.kill("SIGTERM");
  await within(20_000, next.ended);
  expect((await results()).toSorted()).toEqual(["1", "2", "3"]);
  expect(await stage.pending(stage.key)).toBe(0);
}, 60_000);
