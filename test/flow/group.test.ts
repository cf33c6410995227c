import { expect, test } from "vitest";
import { NoSuchGroupError } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, within } from "../connection/harness.ts";
import { all, fill, Ground, Log, take, upTo } from "./harness.ts";

const at = new Ground();

/** How many entries a consumer of group `g` holds. */
async function pending(key = at.key): Promise<number> {
  return (await at.watch.redis.xpending(key, "g"))[0] as number;
}

test("Consumer – backlog: its own 2,500 pending entries, deleted ones among them, then new ones", async () => {
  await fill(at.watch, at.key, 2500);
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.read({ count: 2500 });
  // A whole page of deleted ones, and one here and there.
  await at.watch.redis.xdel(at.key, ...upTo(300, 101).map((n) => `${n}-0`), "1-0", "2500-0");
  await fill(at.watch, at.key, 3, 2501);
  await using consumer = at.db.consumer(group, { backlog: true, follow: true });
  const before = await at.watch.calls("xreadgroup");
  const expected = [...upTo(100, 2), ...upTo(2499, 301), ...upTo(2503, 2501)];
  expect(await take(consumer, expected.length)).toEqual(expected);
  await at.watch.blocked();
  expect((await at.watch.calls("xreadgroup")) - before).toBeLessThan(100);
});

test("Consumer – backlog: the server's delivery counts, and nothing of another consumer", async () => {
  await fill(at.watch, at.key, 4);
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.consumer("other").read({ count: 1 });
  await group.read({ count: 2 });
  await at.watch.redis.xclaim(at.key, "g", "g.c1", 0, "3-0", "RETRYCOUNT", 6);
  await using consumer = at.db.consumer(group, { backlog: true });
  const counts: [string, number][] = [];
  for await (const { id, deliveries } of consumer) counts.push([id, deliveries]);
  expect(counts).toEqual([
    ["2-0", 2],
    ["3-0", 7],
    ["4-0", 1],
  ]);
});

test("Consumer – backlog: nothing is pending, and it waits for new entries without asking again and again", async () => {
  await using consumer = at.db.consumer(at.db.consumerGroup("g", [at.key]), { backlog: true, block: 300 });
  const before = await at.watch.calls("xreadgroup");
  const start = performance.now();
  expect(await within(1500, consumer.getMessage())).toBeNull();
  expect(performance.now() - start).toBeGreaterThan(295);
  expect((await at.watch.calls("xreadgroup")) - before).toBeLessThanOrEqual(3);
});

test("Consumer – without backlog: pending entries stay where they are", async () => {
  await fill(at.watch, at.key, 3);
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await group.read({ count: 2 });
  expect(await all(at.db.consumer(group))).toEqual([3]);
});

test("Consumer – noAck: nothing is pending", async () => {
  await fill(at.watch, at.key, 250);
  expect(await all(at.db.consumer(at.db.consumerGroup("g", [at.key]), { noAck: true }))).toEqual(upTo(250));
  expect(await pending()).toBe(0);
});

test("Consumer – autoCreate: false, and no group: NoSuchGroupError names the streams, nothing is made", async () => {
  const keys = [at.key, `${at.key}-b`];
  const consumer = at.db.consumer(at.db.consumerGroup("g", keys), { autoCreate: false, follow: true });
  const { error } = await failure(consumer.getMessage());
  expect(error).toBeInstanceOf(NoSuchGroupError);
  expect(error).toMatchObject({ streams: keys, group: "g" });
  expect(await at.watch.redis.exists(...keys)).toBe(0);
  expect((await failure(consumer.getMessage())).error).toBe(error);
});

test("Consumer – autoCreate: the group begins where its keys say", async () => {
  await fill(at.watch, at.key, 3);
  const group = at.db.consumerGroup("g", { [at.key]: "1-0", [`${at.key}-b`]: "$" });
  expect(await all(at.db.consumer(group))).toEqual([2, 3]);
});

test("Consumer – two consumers of one group share the entries", async () => {
  await fill(at.watch, at.key, 300);
  const group = at.db.consumerGroup("g", [at.key]);
  const seen: number[][] = [[], []];
  const members = [group, group.consumer("c2")].map((member) =>
    at.db.consumer(member, { buffer: 10, block: 100 }),
  );
  await Promise.all(
    members.map(async (consumer, i) => {
      for await (const message of consumer) {
        seen[i]!.push(Number(message.data.n));
        await message.ack();
      }
    }),
  );
  expect(seen.flat().sort((a, b) => a - b)).toEqual(upTo(300));
  expect(Math.min(...seen.map(({ length }) => length))).toBeGreaterThan(0);
  expect(await pending()).toBe(0);
});

test("Consumer – buffer: never more than that is held of a stream, and it refills at half", async () => {
  const keys = [at.key, `${at.key}-b`];
  for (const key of keys) await fill(at.watch, key, 100);
  await using consumer = at.db.consumer(at.db.consumerGroup("g", keys), { buffer: 10, follow: true });
  const taken = new Map(keys.map((key) => [key, 0]));
  let most = 0;
  for (let i = 0; i < 120; i++) {
    const message = (await within(1000, consumer.getMessage()))!;
    await message.ack();
    taken.set(message.stream, taken.get(message.stream)! + 1);
    for (const key of keys) {
      const held = await pending(key);
      most = Math.max(most, held);
      expect(held).toBeLessThanOrEqual(10);
    }
    // At half it is read again, unasked; both keys at once.
    if (i % 10 === 9) await waitFor(async () => (await pending(keys[0])) > 5 && (await pending(keys[1])) > 5);
  }
  expect(most).toBe(10);
  expect([...taken.values()]).toEqual([60, 60]);
});

test("Consumer – a stream that is full does not hold up another: read again without it", async () => {
  const [busy, quiet] = [at.key, `${at.key}-q`];
  await fill(at.watch, busy, 50);
  await using consumer = at.db.consumer(at.db.consumerGroup("g", [busy, quiet]), {
    buffer: 10,
    follow: true,
  });
  expect(await take(consumer, 1)).toEqual([1]);
  await at.watch.blocked();
  await fill(at.watch, quiet, 1);
  await waitFor(async () => (await pending(quiet)) === 1, { what: "the quiet stream's entry to be held" });
  expect(await pending(busy)).toBe(10);
  // Nor does the quiet one, for which it waits, keep the full one from being filled again.
  expect((await take(consumer, 50)).sort((a, b) => a - b)).toEqual([1, ...upTo(50, 2)]);
});

test("Consumer – idle: one command a slice, and none without one", async () => {
  await using group = at.db.consumer(at.db.consumerGroup("g", [at.key, `${at.key}-b`]), { follow: true });
  const waiting = group.getMessage();
  const [client] = await at.watch.blocked();
  await at.watch.redis.config("RESETSTAT");
  const since = performance.now();
  await waitFor(() => performance.now() - since > 700, { what: "an idle time" });
  expect(await at.watch.calls("xreadgroup")).toBe(0);
  await at.watch.endSlice(client!);
  await at.watch.blocked();
  const stats = await at.watch.redis.info("commandstats");
  const sent = [...stats.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)].map(
    ([, name, calls]) => `${name} ${calls}`,
  );
  // The slice that ended is counted, the one under way is not yet.
  expect(sent.filter((one) => one.startsWith("x"))).toEqual(["xreadgroup 1"]);
  await group.close();
  expect(await waiting).toBeNull();
});

test("Consumer – FLUSHALL and DEL while a group is blocked: made again, and told", async () => {
  await fill(at.watch, at.key, 2);
  await using consumer = at.db.consumer(at.db.consumerGroup("g", [at.key]), { follow: true });
  const log = new Log(consumer);
  expect(await take(consumer, 2)).toEqual([1, 2]);
  for (const act of [() => at.watch.redis.flushall(), () => at.watch.redis.del(at.key)]) {
    log.events.length = 0;
    await at.watch.blocked();
    await act();
    const { error, streams } = await log.had("groupMissing");
    expect(error).toBeInstanceOf(NoSuchGroupError);
    expect(streams).toEqual([at.key]);
    await log.had("groupRecreated");
    await at.watch.blocked();
    // From below what was read before.
    await fill(at.watch, at.key, 1);
    expect(await take(consumer, 1)).toEqual([1]);
  }
});

test("Consumer – FLUSHALL while streams are blocked: read on", async () => {
  await using consumer = at.db.consumer([at.key, `${at.key}-b`], { follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await at.watch.redis.flushall();
  await at.watch.redis.xadd(at.key, "*", "n", "1");
  expect(await within(1000, waiting)).toMatchObject({ data: { n: "1" } });
});

test("Consumer – a group destroyed while it is blocked: made again from its start", async () => {
  await fill(at.watch, at.key, 3);
  const group = at.db.consumerGroup("g", { [at.key]: "1-0" });
  await using consumer = at.db.consumer(group, { follow: true });
  const log = new Log(consumer);
  expect(await take(consumer, 2)).toEqual([2, 3]);
  await at.watch.blocked();
  await group.destroy();
  await log.had("groupRecreated");
  expect(await take(consumer, 2)).toEqual([2, 3]);
});

test("Consumer – a group destroyed, again and again: a few attempts a second", async () => {
  await using consumer = at.db.consumer(at.db.consumerGroup("g", [at.key]), { follow: true });
  const waiting = consumer.getMessage();
  await at.watch.blocked();
  await at.watch.redis.config("RESETSTAT");
  // Whoever makes it finds it gone at once.
  let isOver = false;
  const destroying = (async () => {
    while (!isOver) await at.watch.redis.xgroup("DESTROY", at.key, "g").catch(() => {});
  })();
  const since = performance.now();
  await waitFor(() => performance.now() - since > 1500, { what: "a while of it" });
  isOver = true;
  await destroying;
  expect(await at.watch.calls("xgroup\\|create")).toBeGreaterThan(0);
  expect(await at.watch.calls("xgroup\\|create")).toBeLessThan(25);
  await fill(at.watch, at.key, 1);
  expect(await within(3000, waiting)).toMatchObject({ id: "1-0" });
});

test("Consumer – recreate: false: a group destroyed while it is blocked is raised", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  const consumer = at.db.consumer(group, { follow: true, recreate: false });
  const log = new Log(consumer);
  const waiting = failure(consumer.getMessage());
  await at.watch.blocked();
  await group.destroy();
  expect((await waiting).error).toMatchObject({ code: "NO_SUCH_GROUP", streams: [at.key] });
  await within(500, log.ended);
  expect(log.types).toEqual(["groupMissing"]);
  expect(await at.watch.redis.xinfo("GROUPS", at.key)).toEqual([]);
});

test("Consumer – autoCreate: false, recreate: true: made again where it was there once", async () => {
  const group = at.db.consumerGroup("g", [at.key]);
  await group.create();
  await fill(at.watch, at.key, 1);
  await using consumer = at.db.consumer(group, { follow: true, autoCreate: false, recreate: true });
  expect(await take(consumer, 1)).toEqual([1]);
  await at.watch.blocked();
  await group.destroy();
  expect(await take(consumer, 1)).toEqual([1]);
});
