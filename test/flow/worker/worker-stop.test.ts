import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ClosedError, type GroupMessage, type HandlerContext } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { failure, within } from "../../connection/harness.ts";
import { program } from "../../runtimes/program.ts";
import { fill, Ground, upTo } from "../harness.ts";
import { Desk } from "./desk.ts";
import { heldIn, pendingIs, work } from "./job.ts";

const at = new Ground();
type Text = Record<string, string>;

test("Worker.stop – running handlers finish, the rest is given back uncounted", async () => {
  await fill(at.watch, at.key, 10);
  const desk = new Desk();
  await using job = work(at, desk.handler, { concurrency: 2 });
  await waitFor(() => desk.open.length === 2 && job.worker.metrics().read >= 6);
  const stopping = job.worker.stop();
  await waitFor(
    async () => (await heldIn(at.watch, at.key)).filter((one) => one.consumer === "@retry:0").length >= 4,
  );
  const given = (await heldIn(at.watch, at.key)).filter(({ consumer }) => consumer !== "g.c1");
  expect(new Set(given.map(({ deliveries }) => deliveries))).toEqual(new Set([0]));
  expect(job.worker.metrics().released).toBe(given.length);
  const contexts = desk.open.map(({ context }) => context);
  await desk.end(1);
  await desk.end(2);
  await within(2000, stopping);
  await job.running;
  // Within the drain nobody aborts them.
  expect(contexts.map(({ signal }) => signal.aborted)).toEqual([false, false]);
  expect(desk.begun).toEqual([[1], [2]]);
  expect((await heldIn(at.watch, at.key)).map(({ id }) => id)).toEqual(given.map(({ id }) => id));
  const seen: number[] = [];
  await using _ = work(at, ({ deliveries }: GroupMessage<Text>) => void seen.push(deliveries));
  await pendingIs(at.watch, at.key, 0);
  expect(seen).toEqual(upTo(8).map(() => 1));
});

test("Worker.stop – past the drain handlers are aborted with ClosedError; what ends then is acknowledged", async () => {
  await fill(at.watch, at.key, 2);
  const reasons: unknown[] = [];
  const handler = ({ id }: GroupMessage<Text>, { signal }: HandlerContext) =>
    new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason);
        if (id === "1-0") resolve();
      });
    });
  await using job = work(at, handler, { concurrency: 2, drain: 100 });
  await waitFor(() => job.worker.metrics().inFlight === 2);
  const begun = performance.now();
  await within(3000, job.worker.stop());
  expect(performance.now() - begun).toBeGreaterThanOrEqual(99);
  expect(reasons).toHaveLength(2);
  for (const reason of reasons) expect(reason).toBeInstanceOf(ClosedError);
  // The second never ended: it stays, and comes back when its lease is over.
  expect(await heldIn(at.watch, at.key)).toEqual([{ id: "2-0", consumer: "g.c1", deliveries: 1 }]);
});

test("Worker.stop – drain 0: aborted at once", async () => {
  await fill(at.watch, at.key, 3);
  const handler = (_: GroupMessage<Text>, { signal }: HandlerContext) =>
    new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  await using job = work(at, handler, { drain: 0 });
  await waitFor(() => job.worker.metrics().read === 3);
  await within(1000, job.worker.stop());
  expect((await heldIn(at.watch, at.key)).map(({ id, deliveries }) => [id, deliveries])).toEqual([
    ["2-0", 0],
    ["3-0", 0],
  ]);
});

test("Worker.stop – twice is once; before it runs, run is refused", async () => {
  await using job = work(at, () => {});
  await at.watch.blocked();
  const stops = [job.worker.stop(), job.worker.stop()];
  await within(1000, Promise.all([...stops, job.running]));
  await job.worker.stop();
  const worker = at.db.worker(at.db.consumerGroup("g", at.key), () => {});
  await worker.stop();
  for (const refused of [worker.run(), worker.runOnce()])
    expect((await failure(refused)).error).toBeInstanceOf(ClosedError);
});

test("Worker.stop – while it starts, and in the same turn as run", async () => {
  await fill(at.watch, at.key, 1);
  for (const turns of [0, 1, 2, 3, 5, 8]) {
    const seen: string[] = [];
    await using job = work(at, ({ id }: GroupMessage<Text>) => void seen.push(id));
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await within(1500, Promise.all([job.worker.stop(), job.running]));
    await waitFor(async () => (await at.watch.redis.keys(`*${at.key}*worker*`)).length === 0);
    // Handled, given back or never read: nobody holds it.
    const held = await at.watch.redis.exists(at.key).then(() => heldIn(at.watch, at.key).catch(() => []));
    expect(held.every(({ consumer }) => consumer === "@retry:0")).toBe(true);
  }
});

test("Worker.stop – in a handler, which is finished and acknowledged", async () => {
  await fill(at.watch, at.key, 3);
  let stopping: Promise<void> = Promise.resolve();
  const seen: string[] = [];
  await using job = work(at, ({ id }: GroupMessage<Text>) => {
    seen.push(id);
    stopping = job.worker.stop();
  });
  await within(2000, job.running);
  await stopping;
  expect(seen).toEqual(["1-0"]);
  // Acknowledged; the next was read already and is given back, the last may have been.
  const held = await heldIn(at.watch, at.key);
  expect(held[0]!.id).toBe("2-0");
  expect(held.every(({ deliveries, consumer }) => deliveries === 0 && consumer === "@retry:0")).toBe(true);
});

test("Worker.stop – a handler that waits for it is aborted when the drain is over", async () => {
  await fill(at.watch, at.key, 1);
  let isAborted = false;
  await using job = work(
    at,
    async (_: GroupMessage<Text>, { signal }: HandlerContext) => {
      await job.worker.stop();
      isAborted = signal.aborted;
    },
    { drain: 50 },
  );
  await within(3000, job.running);
  await waitFor(() => isAborted);
});

test("Worker.stop – acknowledgements of the last turn go out", async () => {
  await fill(at.watch, at.key, 50);
  let handled = 0;
  await using job = work(
    at,
    () => {
      if (++handled === 50) void job.worker.stop();
    },
    { concurrency: 10, prefetch: 50 },
  );
  await within(2000, job.running);
  expect(await heldIn(at.watch, at.key)).toEqual([]);
  expect(job.worker.metrics()).toMatchObject({ acked: 50, inFlight: 0 });
});

test("Worker.signal – aborted it stops; aborted before it runs nothing is read", async () => {
  await fill(at.watch, at.key, 1);
  const stop = new AbortController();
  const seen: string[] = [];
  await using job = work(at, ({ id }: GroupMessage<Text>) => void seen.push(id), { signal: stop.signal });
  await waitFor(() => seen.length === 1);
  stop.abort();
  await within(1500, job.running);
  await fill(at.watch, at.key, 1, 2);
  await using late = work(at, () => expect.unreachable(), { signal: stop.signal });
  await within(1500, late.running);
  expect(late.worker.metrics().read).toBe(0);
});

test("Worker – many with one signal and on the same signals of the process: no warning, no listener left", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): number => warnings.push(warning);
  process.on("warning", note);
  onTestFinished(() => void process.off("warning", note));
  const before = process.listenerCount("SIGUSR2");
  const stop = new AbortController();
  const jobs = upTo(15).map((n) =>
    work(at, () => {}, { signal: stop.signal, stopOn: ["SIGUSR2"] }, `${at.key}-${n}`),
  );
  await at.watch.blocked(15);
  stop.abort();
  await within(3000, Promise.all(jobs.map(({ running }) => running)));
  expect(warnings).toEqual([]);
  expect(process.listenerCount("SIGUSR2")).toBe(before);
});

test("Worker – stopped, nothing of it is left: no connection that waits, none more than before", async () => {
  const warm = work(at, () => {});
  await at.watch.blocked();
  await warm.worker.stop();
  const before = (await at.watch.clients()).length;
  for (let turn = 0; turn < 5; turn++) {
    await fill(at.watch, at.key, 20, 1 + turn * 20);
    const batch = { size: 3, wait: 5000 };
    await using job = work(at, () => {}, { timeout: 5000, batch, retry: { delay: 10_000 } });
    await waitFor(() => job.worker.metrics().acked >= 18);
  }
  await at.watch.blocked(0);
  expect((await at.watch.clients()).length).toBeLessThanOrEqual(before);
});

/** Starts a worker in a process of its own, which is ended with the test; its lines. */
function child(stopOn: unknown): { child: ChildProcess; lines: string[]; ended: Promise<number | null> } {
  const script = join(import.meta.dirname, "stop-child.ts");
  const args = program([script, String(at.server.port), at.key, JSON.stringify(stopOn)]);
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines: string[] = [];
  child.stdout!.on("data", (chunk) => lines.push(...String(chunk).trim().split("\n")));
  const ended = new Promise<number | null>((resolve) => child.on("close", (code) => resolve(code)));
  return { child, lines, ended };
}

test.each<[unknown, NodeJS.Signals]>([
  [true, "SIGINT"],
  [true, "SIGTERM"],
  [["SIGUSR2"], "SIGUSR2"],
])("Worker.stopOn – %o: %s stops it cleanly", async (stopOn, signal) => {
  await at.watch.redis.xadd(at.key, "1-0", "n", "a");
  await at.watch.redis.xadd(at.key, "2-0", "n", "wait");
  await at.watch.redis.xadd(at.key, "3-0", "n", "b");
  const { child: process_, lines, ended } = child(stopOn);
  await waitFor(() => lines.includes("wait"), { timeout: 15_000 });
  // Not by `ChildProcess.kill`, after which Deno says that the signal ended it.
  process.kill(process_.pid!, signal);
  expect(await within(10_000, ended)).toBe(0);
  expect(lines).toEqual(["a", "wait", "done 0 0"]);
  // The one that ran has ended by its signal, the other is for others.
  expect((await heldIn(at.watch, at.key)).map(({ id, deliveries }) => [id, deliveries])).toEqual([
    ["3-0", 0],
  ]);
});
