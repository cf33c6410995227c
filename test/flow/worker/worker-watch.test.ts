import { expect, test } from "vitest";
import { type GroupMessage, Worker, type WorkerEvent } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { fill, Ground } from "../harness.ts";
import { Desk } from "./desk.ts";
import { Job, pendingIs, SOON, work } from "./job.ts";

const at = new Ground();
type Text = Record<string, string>;

test("Worker.metrics – all of it, before, while and after", async () => {
  await fill(at.watch, at.key, 6);
  await at.watch.redis.xadd(at.key, "7-0", "n", 7, "@headers", "{");
  const group = at.db.consumerGroup("g", at.key);
  const desk = new Desk();
  const worker = at.db.worker(group, desk.handler, { retry: { ...SOON, maxDeliveries: 2 } });
  expect(worker.metrics()).toEqual({
    ...{ read: 0, acked: 0, failed: 0, retried: 0, reclaimed: 0, deadLettered: 0, released: 0, inFlight: 0 },
    ...{ rateIn: expect.any(Number), rateOut: 0, averageRateIn: 0, averageRateOut: 0, lastError: null },
    ...{ handlerTime: { count: 0, mean: 0, p50: 0, p99: 0 }, uptime: expect.any(Number) },
  });
  await using job = new Job(worker);
  await desk.at(1);
  expect(worker.metrics()).toMatchObject({ inFlight: 1, acked: 0, handlerTime: { count: 0 } });
  await desk.end(1);
  await desk.at(2);
  const error = new TypeError("no");
  await desk.end(2, error);
  expect(worker.metrics()).toMatchObject({ failed: 1, lastError: error });
  await waitFor(async () => {
    for (const open of [...desk.open]) open.end(open.numbers[0] === 2 ? error : null, undefined);
    return worker.metrics().deadLettered === 2 && worker.metrics().acked === 5;
  });
  await job.worker.pause();
  const { uptime, rateIn, rateOut, averageRateIn, averageRateOut, handlerTime, ...counts } = worker.metrics();
  expect(counts).toMatchObject({
    // Six and one, and the second once more.
    ...{ read: 8, acked: 5, failed: 3, retried: 1, reclaimed: 1, deadLettered: 2, released: 0, inFlight: 0 },
  });
  expect(counts.lastError).toBeInstanceOf(Error);
  expect(handlerTime.count).toBe(7);
  expect(handlerTime.p99).toBeGreaterThanOrEqual(handlerTime.p50);
  expect(handlerTime.mean).toBeGreaterThan(0);
  const seconds = uptime / 1000;
  for (const [rate, count] of [
    [rateIn, 8],
    [averageRateIn, 8],
    [rateOut, 5],
    [averageRateOut, 5],
  ] as const)
    expect(Math.abs((rate * seconds) / count - 1)).toBeLessThan(0.1);
});

test("Worker.metrics – released counts what was given back, lastError the connection's too", async () => {
  await fill(at.watch, at.key, 3);
  const desk = new Desk();
  await using job = work(at, desk.handler);
  await waitFor(() => job.worker.metrics().read === 3);
  await job.worker.pause();
  expect(job.worker.metrics()).toMatchObject({ read: 3, released: 2, inFlight: 1, lastError: null });
  await desk.end(1);
  job.worker.resume();
  await desk.endAll(3);
  await at.watch.blocked();
  await at.watch.redis.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  await job.had("disconnected");
  expect(job.worker.metrics().lastError).toBe(job.of("disconnected")[0]!.error);
  await job.had("reconnected");
});

test("Worker.allMetrics – those that run, with group and streams; no longer when they are stopped", async () => {
  const mine = () =>
    Worker.allMetrics().filter(({ streams }) => streams.some((key) => key.startsWith(at.key)));
  expect(mine()).toEqual([]);
  const keys = [`${at.key}a`, `${at.key}b`];
  await using job = work(at, () => {}, {}, keys);
  await fill(at.watch, keys[0]!, 3);
  await waitFor(() => job.worker.metrics().acked === 3);
  expect(mine()).toHaveLength(1);
  expect(mine()[0]).toMatchObject({ group: "g", streams: keys, read: 3, acked: 3 });
  await job.worker.stop();
  expect(mine()).toEqual([]);
  await using once = at.db.worker(at.db.consumerGroup("g", keys), () => expect(mine()).toHaveLength(1));
  await fill(at.watch, keys[0]!, 1, 4);
  expect(await once.runOnce()).toBe(1);
  expect([mine(), once.metrics().failed]).toEqual([[], 0]);
});

test("Worker.status – what happens, in order; ends with the worker, also for one who comes late", async () => {
  await fill(at.watch, at.key, 1);
  const handler = (): never => {
    throw new Error("no");
  };
  await using job = work(at, handler, { retry: { ...SOON, maxDeliveries: 2 } });
  await job.had("deadLettered");
  expect(job.events.map(({ type }) => type)).toEqual(["failed", "reclaimed", "failed", "deadLettered"]);
  expect(job.of("reclaimed")).toEqual([{ type: "reclaimed", stream: at.key, ids: ["1-0"], deleted: [] }]);
  await job.worker.stop();
  const late: WorkerEvent[] = [];
  for await (const event of job.worker.status()) late.push(event);
  expect(late).toEqual([]);
});

test("Worker.status – an entry deleted while it waits for its retry is told and pending no more", async () => {
  await fill(at.watch, at.key, 1);
  await using job = work(
    at,
    () => {
      throw new Error("no");
    },
    { retry: { delay: 100, jitter: 0 } },
  );
  await waitFor(() => job.worker.metrics().retried === 1);
  await at.watch.redis.xdel(at.key, "1-0");
  expect((await job.had("reclaimed")).deleted).toEqual(["1-0"]);
  await pendingIs(at.watch, at.key, 0);
  expect(job.worker.metrics()).toMatchObject({ reclaimed: 0, deadLettered: 0 });
});

test("Worker.status – a group that is gone is made again, and told", async () => {
  await fill(at.watch, at.key, 1);
  const seen: string[] = [];
  await using job = work(at, ({ id }: GroupMessage<Text>) => void seen.push(id), { block: 50 });
  await waitFor(() => seen.length === 1);
  await at.watch.redis.xgroup("DESTROY", at.key, "g");
  expect((await job.had("groupMissing")).streams).toEqual([at.key]);
  expect((await job.had("groupRecreated")).streams).toEqual([at.key]);
  await fill(at.watch, at.key, 1, 2);
  // From its start id: what was handled is handled again.
  await waitFor(() => seen.length === 3);
  expect(seen).toEqual(["1-0", "1-0", "2-0"]);
});

test.for<[where: string, start: string | undefined, from: "latest" | undefined]>([
  ["by its option", undefined, "latest"],
  ["by its group", "$", undefined],
])(
  "Worker – its group begins at the latest entry, %s: made again, it misses nothing",
  async ([, start, from]) => {
    await fill(at.watch, at.key, 2);
    const seen: string[] = [];
    const group = at.db.consumerGroup("g", start === undefined ? at.key : { [at.key]: start });
    const handler = ({ id }: GroupMessage<Text>): void => void seen.push(id);
    await using job = new Job(at.db.worker(group, handler, from === undefined ? {} : { from }));
    await at.watch.blocked();
    // In one step: the entry is there before the group can be made again.
    await at.watch.redis.multi().xgroup("DESTROY", at.key, "g").xadd(at.key, "3-0", "n", 3).exec();
    await job.had("groupRecreated");
    await waitFor(() => seen.length > 0, { what: "the entry" });
    expect(seen).toEqual(["3-0"]);
  },
);

test("Worker.status – slow handlers are told", async () => {
  await fill(at.watch, at.key, 50);
  const desk = new Desk();
  await using job = work(at, desk.handler, { prefetch: 2 });
  await waitFor(() => job.worker.metrics().read === 3);
  // As long as it takes until a full buffer is worth an event.
  await waitFor(() => job.worker.metrics().uptime > 1300);
  await desk.end(1);
  await desk.end((await desk.at(2)).numbers[0]!);
  const event = await job.had("slow");
  expect(event.streams).toEqual([at.key]);
  expect(event.heldFor).toBeGreaterThanOrEqual(1000);
  await desk.endAll(50);
});

test("Worker – idle it costs few commands: one blocked read and one look a second", async () => {
  await using job = work(at, () => {});
  await at.watch.blocked();
  const sent = async (): Promise<number> => {
    const stats = await at.watch.redis.info("commandstats");
    const calls = [...stats.matchAll(/cmdstat_(evalsha|eval|xreadgroup|xack|ping):calls=(\d+)/g)];
    return calls.reduce((sum, [, , count]) => sum + Number(count), 0);
  };
  const [before, start] = [await sent(), job.worker.metrics().uptime];
  await waitFor(() => job.worker.metrics().uptime > start + 4000);
  const perSecond = ((await sent()) - before) / ((job.worker.metrics().uptime - start) / 1000);
  expect(perSecond).toBeGreaterThan(0.2);
  expect(perSecond).toBeLessThan(5);
});
