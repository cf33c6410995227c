import { expect, test } from "vitest";
import { ClosedError, type GroupMessage, type Handler, type WorkerOptions } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { failure, within } from "../../connection/harness.ts";
import { fill, Ground, upTo } from "../harness.ts";
import { Desk } from "./desk.ts";
import { heldIn, Job, pendingIs, SOON, work } from "./job.ts";

const at = new Ground();
type Text = Record<string, string>;

/** A worker that does not run yet. */
function idle(handler: Handler<Text>, options: WorkerOptions<Text> = {}) {
  return at.db.worker(at.db.consumerGroup("g", at.key), handler, { retry: SOON, ...options } as object);
}

test("Worker.runOnce – while it stops: refused, and stopping again still waits for the end", async () => {
  await fill(at.watch, at.key, 1);
  const desk = new Desk();
  const job = work(at, desk.handler);
  await desk.at(1);
  const first = job.worker.stop();
  await expect(job.worker.runOnce()).rejects.toBeInstanceOf(ClosedError);
  let isOver = false;
  const second = job.worker.stop().then(() => {
    isOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  await desk.end(1);
  await within(5000, Promise.all([first, second]));
});

test("Worker.pause – what has not begun goes to another worker, uncounted; what runs goes on", async () => {
  await fill(at.watch, at.key, 3);
  const desk = new Desk();
  await using job = work(at, desk.handler);
  await desk.at(1);
  await waitFor(() => job.worker.metrics().read === 3);
  await job.worker.pause();
  expect(job.worker.isRunning).toBe(true);
  expect(await heldIn(at.watch, at.key)).toEqual([
    { id: "1-0", consumer: "g.c1", deliveries: 1 },
    { id: "2-0", consumer: "@retry:0", deliveries: 0 },
    { id: "3-0", consumer: "@retry:0", deliveries: 0 },
  ]);
  expect(job.worker.metrics().released).toBe(2);
  await fill(at.watch, at.key, 1, 4);
  const seen: string[] = [];
  await using other = work(
    at,
    ({ id, deliveries }: GroupMessage<Text>) => void seen.push(`${id} ${deliveries}`),
  );
  await waitFor(() => seen.length === 3);
  expect([...seen].sort()).toEqual(["2-0 1", "3-0 1", "4-0 1"]);
  await other.worker.stop();
  await desk.end(1);
  await pendingIs(at.watch, at.key, 0);
  expect(desk.begun).toEqual([[1]]);
});

test("Worker.resume – goes on, with what it gave back and what is new", async () => {
  await fill(at.watch, at.key, 3);
  const desk = new Desk();
  await using job = work(at, desk.handler);
  await desk.at(1);
  await waitFor(() => job.worker.metrics().read === 3);
  await job.worker.pause();
  await job.worker.pause();
  await desk.end(1);
  await fill(at.watch, at.key, 1, 4);
  job.worker.resume();
  job.worker.resume();
  await desk.endAll(4);
  expect(desk.begun.flat().sort()).toEqual([1, 2, 3, 4]);
  await pendingIs(at.watch, at.key, 0);
});

test("Worker.resume – the order of a key holds over a pause", async () => {
  await fill(at.watch, at.key, 3);
  const desk = new Desk();
  await using job = work(at, desk.handler, { orderBy: () => 0, concurrency: 3 });
  await desk.at(1);
  await waitFor(() => job.worker.metrics().read === 3);
  await job.worker.pause();
  await fill(at.watch, at.key, 1, 4);
  job.worker.resume();
  await desk.end(1);
  await desk.endAll(4);
  expect(desk.begun).toEqual([[1], [2], [3], [4]]);
});

test("Worker.pause – before it runs: it takes a name and begins nothing until it is resumed", async () => {
  await fill(at.watch, at.key, 2);
  const desk = new Desk();
  const worker = idle(desk.handler, { lease: 60 });
  await worker.pause();
  await using job = new Job(worker);
  await waitFor(async () => (await at.watch.redis.keys(`*${at.key}*worker*`)).length === 1);
  const looks = await at.watch.calls("evalsha");
  await waitFor(async () => (await at.watch.calls("evalsha")) > looks + 1);
  expect([desk.begun, await heldIn(at.watch, at.key)]).toEqual([[], []]);
  job.worker.resume();
  await desk.endAll(2);
});

test("Worker.runOnce – handles what is there, gives how many, may be repeated", async () => {
  await fill(at.watch, at.key, 25);
  const seen: string[] = [];
  const worker = idle(({ id }) => void seen.push(id));
  expect(await worker.runOnce()).toBe(25);
  expect(seen).toHaveLength(25);
  expect(worker.isRunning).toBe(false);
  await pendingIs(at.watch, at.key, 0);
  expect(await worker.runOnce()).toBe(0);
  await fill(at.watch, at.key, 2, 26);
  expect(await worker.runOnce()).toBe(2);
  expect(await at.watch.redis.keys(`*${at.key}*worker*`)).toEqual([]);
  await worker.stop();
  expect((await failure(worker.runOnce())).error).toBeInstanceOf(ClosedError);
});

test("Worker.runOnce – no stream yet: the group is made, nothing is handled", async () => {
  await using worker = idle(() => expect.unreachable());
  expect(await within(2000, worker.runOnce())).toBe(0);
  expect(await at.watch.redis.xinfo("GROUPS", at.key)).toHaveLength(1);
});

test("Worker.runOnce – what waits for its retry is left, and taken up when it is due", async () => {
  await fill(at.watch, at.key, 3);
  const seen: string[] = [];
  await using worker = idle(
    ({ id, deliveries }) => {
      seen.push(`${id} ${deliveries}`);
      if (id === "2-0" && deliveries === 1) throw new Error("no");
    },
    { retry: { delay: 300, jitter: 0 } },
  );
  expect(await worker.runOnce()).toBe(3);
  expect(seen).toHaveLength(3);
  expect(await heldIn(at.watch, at.key)).toEqual([{ id: "2-0", consumer: "@retry:300", deliveries: 1 }]);
  await waitFor(async () => (await worker.runOnce()) === 1);
  expect(seen[3]).toBe("2-0 2");
});

test("Worker.runOnce – with orderBy, what is behind a retry is not waited for, but given back", async () => {
  await fill(at.watch, at.key, 3);
  const seen: string[] = [];
  await using worker = idle(
    ({ id, deliveries }) => {
      seen.push(`${id} ${deliveries}`);
      if (id === "1-0" && deliveries === 1) throw new Error("no");
    },
    { retry: { delay: 60_000, jitter: 0 }, orderBy: () => 0 },
  );
  expect(await within(3000, worker.runOnce())).toBe(3);
  expect(seen).toEqual(["1-0 1"]);
  expect((await heldIn(at.watch, at.key)).map(({ consumer, deliveries }) => [consumer, deliveries])).toEqual([
    ["@retry:60000", 1],
    ["@retry:0", 0],
    ["@retry:0", 0],
  ]);
});

test("Worker.runOnce – not while it runs; run gives the same promise meanwhile", async () => {
  await using job = work(at, () => {});
  await at.watch.blocked();
  expect((await failure(job.worker.runOnce())).error).toMatchObject({ argument: "runOnce" });
  expect(job.worker.run()).toBe(job.running);
  await job.worker.stop();
  expect((await failure(job.worker.runOnce())).error).toBeInstanceOf(ClosedError);
  expect((await failure(job.worker.run())).error).toBeInstanceOf(ClosedError);
});

test("Worker.run – refused for good it rejects; when the reason is gone it may run again, under its name", async () => {
  await at.watch.redis.set(at.key, "no stream");
  const seen: string[] = [];
  await using worker = idle(({ consumer }) => void seen.push(consumer));
  expect((await failure(worker.run())).error).toMatchObject({ code: "WRONG_TYPE" });
  expect(worker.isRunning).toBe(false);
  await at.watch.redis.del(at.key);
  await fill(at.watch, at.key, 1);
  const running = worker.run();
  await waitFor(() => seen.length === 1);
  expect(seen).toEqual(["g.c1"]);
  await worker.stop();
  await running;
});

test("Worker – the group begins at its start id, at `from`, or where it was", async () => {
  const seen: string[] = [];
  const once = async (name: string, start: string | null, options: WorkerOptions<Text>) => {
    seen.length = 0;
    const group = at.db.consumerGroup(name, start === null ? at.key : { [at.key]: start });
    await using worker = at.db.worker(group, ({ id }) => void seen.push(id), options as object);
    await worker.runOnce();
    return seen.join(" ");
  };
  await fill(at.watch, at.key, 4);
  expect(await once("g1", null, {})).toBe("1-0 2-0 3-0 4-0");
  expect(await once("g2", "2-0", {})).toBe("3-0 4-0");
  expect(await once("g3", "2-0", { from: "1-0" })).toBe("2-0 3-0 4-0");
  expect(await once("g4", null, { from: "latest" })).toBe("");
  expect(await once("g5", null, { from: new Date(2) })).toBe("3-0 4-0");
  // It is there already, and stays as it is.
  expect(await once("g2", null, { from: "earliest" })).toBe("");
});

test("Worker – what its consumer left pending is taken up at once, and counted", async () => {
  await fill(at.watch, at.key, 1200);
  const group = at.db.consumerGroup("g", at.key);
  await group.ensure();
  await group.read({ count: 1100 });
  const seen: string[] = [];
  await using job = work(at, ({ deliveries }: GroupMessage<Text>) => void seen.push(String(deliveries)), {
    concurrency: 50,
  });
  await waitFor(() => seen.length === 1200);
  expect(seen.filter((count) => count === "2")).toHaveLength(1100);
  await pendingIs(at.watch, at.key, 0);
  await expect.poll(() => job.worker.metrics()).toMatchObject({ read: 1200, reclaimed: 1100, acked: 1200 });
});

test("Worker – what another consumer left pending is taken up when the lease is over", async () => {
  await fill(at.watch, at.key, 1);
  const group = at.db.consumerGroup("g", at.key, { consumer: "gone" });
  await group.ensure();
  await group.read();
  const begun = performance.now();
  const desk = new Desk();
  await using _ = work(at, desk.handler, { lease: 300 });
  const { deliveries } = await desk.message(1);
  expect(deliveries).toBe(2);
  expect(performance.now() - begun).toBeGreaterThan(200);
  await desk.end(1);
});

test("Worker – its name taken by another while it stood still: it goes on under a name of its own", async () => {
  const names: string[] = [];
  const worker = at.db.worker(
    at.db.consumerGroup("g", at.key),
    ({ consumer }: GroupMessage<Text>) => void names.push(consumer),
    { lease: 300 },
  );
  const running = worker.run();
  await fill(at.watch, at.key, 1);
  await waitFor(() => names.length === 1);
  await at.watch.redis.set(`{${at.key}}:worker:g:g.c1`, "another", "PX", 60_000);
  await waitFor(async () => {
    await at.watch.redis.xadd(at.key, "*", "n", "2");
    return names.some((name) => name.startsWith("g.c1~"));
  });
  await pendingIs(at.watch, at.key, 0);
  await worker.stop();
  await running;
  expect(await at.watch.redis.get(`{${at.key}}:worker:g:g.c1`)).toBe("another");
});

test("Worker – two under one name get different names and never handle an entry at once", async () => {
  await fill(at.watch, at.key, 200);
  const open = new Set<string>();
  const seen: string[] = [];
  const names = new Set<string>();
  const handler = async ({ id, consumer }: GroupMessage<Text>): Promise<void> => {
    expect(open.has(id)).toBe(false);
    open.add(id);
    names.add(consumer);
    await new Promise((resolve) => setImmediate(resolve));
    open.delete(id);
    seen.push(id);
  };
  const jobs = upTo(3).map(() => work(at, handler, { concurrency: 5, lease: 200 }));
  await waitFor(() => seen.length >= 200);
  await pendingIs(at.watch, at.key, 0);
  await fill(at.watch, at.key, 300, 201);
  await pendingIs(at.watch, at.key, 0);
  expect([seen.length, new Set(seen).size]).toEqual([500, 500]);
  expect([...names].every((name) => /^g\.c1(~[0-9a-f]{8})?$/.test(name))).toBe(true);
  for (const { worker } of jobs) await worker.stop();
  // Those that were made for one worker are gone with it.
  const consumers = (await at.watch.redis.xinfo("CONSUMERS", at.key, "g")) as string[][];
  expect(consumers.map((one) => one[1]).filter((name) => name!.includes("~"))).toEqual([]);
  expect(await at.watch.redis.keys(`*${at.key}*worker*`)).toEqual([]);
});

test("Worker – on a TimeSeries and on one stream of a group", async () => {
  const other = `${at.key}b`;
  await fill(at.watch, at.key, 2);
  await fill(at.watch, other, 2);
  const seen: string[] = [];
  await using series = new Job(
    at.db.worker(
      at.db.timeSeries("g", [at.key, other]),
      ({ stream, id }) => void seen.push(`${stream} ${id}`),
    ),
  );
  await waitFor(() => seen.length === 4);
  await series.worker.stop();
  expect([...seen].sort()).toEqual([`${at.key} 1-0`, `${at.key} 2-0`, `${other} 1-0`, `${other} 2-0`]);
  const group = at.db.consumerGroup("one", [at.key, other]);
  await using one = at.db.worker(group.streams[other]!, ({ stream }) => void seen.push(stream));
  expect(await one.runOnce()).toBe(2);
  expect(seen.slice(4)).toEqual([other, other]);
  expect(await at.watch.redis.xinfo("GROUPS", at.key)).toHaveLength(1);
});
