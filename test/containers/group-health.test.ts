import { expect, test } from "vitest";
import { NoSuchGroupError, NoSuchStreamError } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, numbered, Place } from "./harness.ts";

const place = new Place();

/** A group over two streams with so many entries each. */
async function make(count: number) {
  const [a, b] = [place.key("a"), place.key("b")];
  for (const key of [a, b]) await place.db.Stream(key).addMany(numbered(count), { id: (_, i) => i + 1 });
  const cg = place.db.consumerGroup("g", [a, b], { consumer: "alice" });
  await cg.create();
  return { a, b, cg };
}

test("ConsumerGroup.streamInfo – what the server knows of each stream, by key", async () => {
  const { cg, a, b } = await make(2);
  await place.db.Stream(b).add({ n: 2 });
  const info = await cg.streamInfo();
  expect(Object.keys(info)).toEqual([a, b]);
  expect(info[a]).toMatchObject({ length: 2, groups: 1, firstEntry: { data: { n: "0" } } });
  expect(info[b]).toMatchObject({ length: 3 });
  await place.db.del(a);
  expect((await failure(cg.streamInfo(), NoSuchStreamError)).stream).toBe(a);
});

test("ConsumerGroup.stats – lengths, lag, pending and consumers, in all and by stream", async () => {
  const { cg, a, b } = await make(5);
  await cg.read({ count: 2 });
  await place.db.Stream(b).add({ n: 5 });
  const stats = await cg.stats();
  expect(stats).toMatchObject({ length: 11, lag: 7, unknownLags: 0, pending: 4 });
  expect(Object.keys(stats.streams)).toEqual([a, b]);
  expect(stats.streams[a]).toMatchObject({ length: 5, lag: 3, pending: 2 });
  expect(stats.streams[b]).toMatchObject({ length: 6, lag: 4, pending: 2 });
  expect(stats.streams[a]!.consumers).toMatchObject([{ name: "alice", pending: 2 }]);
});

test("ConsumerGroup.stats – the oldest pending entry's age, by its id and the server's clock", async () => {
  const { cg, a, b } = await make(0);
  expect(await cg.stats()).toMatchObject({
    oldestPendingAge: null,
    streams: { [a]: { oldestPendingAge: null } },
  });
  const now = Number((await place.db.time())[0]) * 1000;
  await place.db.Stream(a).add({ n: 0 }, { id: now - 60_000 });
  await place.db.Stream(b).add({ n: 0 }, { id: now - 3_600_000 });
  await cg.read();
  const { oldestPendingAge, streams } = await cg.stats();
  expect(oldestPendingAge).toBeGreaterThanOrEqual(3_600_000);
  expect(oldestPendingAge).toBeLessThan(3_610_000);
  expect(streams[a]!.oldestPendingAge).toBeGreaterThanOrEqual(60_000);
  expect(streams[a]!.oldestPendingAge).toBeLessThan(70_000);
});

test("ConsumerGroup.stats – a lag that the server cannot say is null and counted", async () => {
  const { cg, a } = await make(10);
  await place.db.Stream(a).delete("8-0");
  await cg.streams[a]!.setId("5-0");
  const stats = await cg.stats();
  expect(stats).toMatchObject({ lag: 10, unknownLags: 1 });
  expect(stats.streams[a]!.lag).toBeNull();
});

test("ConsumerGroup.stats – no group, no stream", async () => {
  const { a } = await make(1);
  await failure(place.db.consumerGroup("nobody", a).stats(), NoSuchGroupError);
  await failure(place.db.consumerGroup("g", place.key()).stats(), NoSuchStreamError);
});

test("ConsumerGroup.health – without limits, or within them, it is healthy", async () => {
  const { cg } = await make(5);
  await cg.read({ count: 2 });
  expect(await cg.health()).toEqual({ healthy: true, issues: [] });
  expect(await cg.health({ maxLag: 3, maxPending: 2, maxIdle: { hours: 1 } })).toEqual({
    healthy: true,
    issues: [],
  });
});

test("ConsumerGroup.health – what is above a limit is an issue, stream by stream", async () => {
  const { cg, a, b } = await make(5);
  await cg.read({ count: 2 });
  await cg.streams[b]!.ack("1-0");
  expect(await cg.health({ maxLag: 2 })).toMatchObject({
    healthy: false,
    issues: [
      { stream: a, kind: "lag", message: "the lag is 3, above 2" },
      { stream: b, kind: "lag" },
    ],
  });
  expect(await cg.health({ maxPending: 1 })).toMatchObject({
    healthy: false,
    issues: [{ stream: a, kind: "pending", message: "2 are pending, above 1" }],
  });
});

test("ConsumerGroup.health – a consumer that holds entries and is idle for too long", async () => {
  const { cg, a } = await make(1);
  await cg.consumer("bob").streams[a]!.read();
  await place.db.xgroup("CREATECONSUMER", a, "g", "free"); // Holds nothing.
  await waitFor(async () => (await cg.streams[a]!.consumersInfo()).every(({ idle }) => idle >= 2));
  const { healthy, issues } = await cg.health({ maxIdle: 1 });
  expect(healthy).toBe(false);
  expect(issues).toHaveLength(1);
  expect(issues[0]).toMatchObject({ stream: a, kind: "idle" });
  expect(issues[0]!.message).toContain("bob");
});

test("ConsumerGroup.health – an unknown lag is an issue where a lag is asked for", async () => {
  const { cg, a } = await make(10);
  await place.db.Stream(a).delete("8-0");
  await cg.streams[a]!.setId("5-0");
  expect((await cg.health({ maxLag: 100 })).issues).toMatchObject([{ stream: a, kind: "lag" }]);
  expect((await cg.health({ maxPending: 100 })).issues).toEqual([]);
});

test("ConsumerGroup.health – a missing group or stream is an issue, no error", async () => {
  const { cg, a, b } = await make(1);
  await place.db.consumerGroup("g", a).destroy();
  await place.db.del(b);
  const { healthy, issues } = await cg.health();
  expect(healthy).toBe(false);
  expect(issues.map(({ stream, kind }) => [stream, kind]).sort()).toEqual([
    [a, "missing"],
    [b, "missing"],
  ]);
});

test("ConsumerGroup.consumers – over all streams, by name", async () => {
  const { cg, a, b } = await make(5);
  expect(await cg.consumers()).toEqual([]);
  await cg.consumer("zoe").read({ count: 1 });
  await cg.read({ count: 2 });
  await cg.consumer("bob").streams[b]!.read({ count: 1 });
  const consumers = await cg.consumers();
  expect(consumers).toMatchObject([
    { name: "alice", pending: 4, streams: [a, b] },
    { name: "bob", pending: 1, streams: [b] },
    { name: "zoe", pending: 2, streams: [a, b] },
  ]);
  for (const { idle } of consumers) expect(idle).toBeTypeOf("number");
});

test("ConsumerGroup.consumers – idle since it last did something on any stream", async () => {
  const { cg, a, b } = await make(1);
  await cg.streams[b]!.read();
  await waitFor(async () => (await cg.streams[b]!.consumersInfo())[0]!.idle >= 20);
  await cg.streams[a]!.read();
  const [alice] = await cg.consumers();
  const [onB] = await cg.streams[b]!.consumersInfo();
  expect(alice!.idle).toBeLessThanOrEqual(onB!.idle - 20);
});

test("ConsumerGroup.removeIdleConsumers – those that hold nothing and are idle; never one with pending entries", async () => {
  const { cg, a, b } = await make(2);
  await cg.consumer("holds").read({ count: 1 });
  await cg.consumer("held").streams[a]!.read({ count: 1 });
  await cg.streams[a]!.ack("2-0");
  await cg.consumer("bare").read();
  await cg.consumer("bare").streams[b]!.ack("2-0");
  expect(await cg.removeIdleConsumers({ idle: { hours: 1 } })).toEqual([]);
  expect(await cg.removeIdleConsumers({ idle: 0 })).toEqual(["bare", "held"]);
  expect((await cg.consumers()).map(({ name }) => name)).toEqual(["holds"]);
  expect((await cg.stats()).pending).toBe(2);
  expect(await cg.removeIdleConsumers({ idle: 0 })).toEqual([]);
});

test("ConsumerGroup.removeIdleConsumers – an idle time in between", async () => {
  const { cg, a } = await make(0);
  await place.db.xgroup("CREATECONSUMER", a, "g", "old");
  await waitFor(async () => (await cg.streams[a]!.consumersInfo())[0]!.idle >= 500);
  await place.db.xgroup("CREATECONSUMER", a, "g", "new");
  const consumers = await cg.consumers();
  expect(consumers.map(({ name }) => name)).toEqual(["new", "old"]);
  expect(await cg.removeIdleConsumers({ idle: consumers[1]!.idle })).toEqual(["old"]);
});

test("ConsumerGroup.removeIdleConsumers – holds entries on one stream, none on the other: stays where it holds", async () => {
  const { cg, a, b } = await make(1);
  await cg.read();
  await cg.streams[b]!.ack("1-0");
  expect(await cg.removeIdleConsumers({ idle: 0 })).toEqual(["alice"]);
  expect(await cg.consumers()).toMatchObject([{ name: "alice", pending: 1, streams: [a] }]);
});

test("ConsumerGroup.removeIdleConsumers – while another reads: nobody who was given an entry is removed", async () => {
  const { cg, a } = await make(0);
  const names = Array.from({ length: 20 }, (_, i) => `c${i}`);
  await place.db.Stream(a).addMany(numbered(20));
  const reads = names.map((name) => cg.consumer(name).streams[a]!.read({ count: 1 }));
  const removals = names.map(() => cg.removeIdleConsumers({ idle: 0 }));
  await Promise.all([...reads, ...removals]);
  expect(await cg.streams[a]!.pendingSummary()).toMatchObject({ count: 20 });
  expect((await cg.consumers()).map(({ name }) => name)).toEqual(names.sort());
});

test("ConsumerGroup.removeIdleConsumers – no group", async () => {
  const { a } = await make(1);
  const error = await failure(
    place.db.consumerGroup("nobody", a).removeIdleConsumers({ idle: 0 }),
    NoSuchGroupError,
  );
  expect(error).toMatchObject({ stream: a, group: "nobody" });
});
