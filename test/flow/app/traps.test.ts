import { expect, test } from "vitest";
import type { GroupMessage } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";
import { gate, Lines, Stage } from "./stage.ts";

// What goes wrong in FastStream 0.5 and 0.6 with Redis Streams, one test each.

const stage = new Stage();
const dataOf = (messages: readonly { readonly data: unknown }[]): unknown[] =>
  messages.map(({ data }) => data);

test("a group that is gone – is made again without spinning, and nothing is lost", async () => {
  const log = new Lines();
  const app = stage.app({ log });
  app.subscriber(stage.key, { group: "g" }, () => {});
  await using t = await app.test();
  await app.publish(1, { stream: stage.key });
  await within(5000, t.handled(1));
  const { redis } = stage.watch;
  await expect.poll(() => stage.pending(stage.key)).toBe(0);
  const before = await stage.watch.calls("xreadgroup");
  await redis.del(stage.key);
  await waitFor(() => log.lines.some(({ text }) => text === "the group was made again"), {
    what: "the group",
  });
  await app.publish(2, { stream: stage.key });
  expect(dataOf(await within(10_000, t.handled(2)))).toEqual([1, 2]);
  expect((await stage.watch.calls("xreadgroup")) - before).toBeLessThan(20);
});

test("a group that begins with the latest entry – loses nothing that comes while it is gone", async () => {
  const log = new Lines();
  await stage.watch.redis.xadd(stage.key, "*", "n", "old");
  const app = stage.app({ log, from: "latest" });
  app.subscriber(stage.key, { group: "g" }, () => {});
  await using t = await app.test();
  // Gone, and there is a new entry before the group is made again.
  const { redis } = stage.watch;
  await redis.multi().xgroup("DESTROY", stage.key, "g").xadd(stage.key, "*", "n", "new").exec();
  const [message] = await within(10_000, t.handled(1));
  expect(message!.data).toEqual({ n: "new" });
});

test("a group that begins with the latest entry – nothing that is published after start is missed", async () => {
  for (let round = 0; round < 10; round++) {
    const key = `${stage.key}:${round}`;
    const app = stage.app({ from: "latest" });
    app.subscriber(key, { group: "g" }, () => {});
    await using t = await app.test();
    await stage.watch.redis.xadd(key, "*", "n", "1");
    await within(5000, t.handled(1));
  }
});

test("claiming and reading – both go on: what another left is taken up while new entries come", async () => {
  const { redis } = stage.watch;
  await redis.xgroup("CREATE", stage.key, "g", "0", "MKSTREAM");
  for (const n of [1, 2])
    await redis.xadd(stage.key, "*", "text", n, "@headers", '{"content-type":"text/plain"}');
  await redis.xreadgroup("GROUP", "g", "gone", "COUNT", 2, "STREAMS", stage.key, ">");
  const app = stage.app({ lease: 100 });
  app.subscriber(stage.key, { group: "g" }, () => {});
  await using t = await app.test();
  await app.publish("3", { stream: stage.key });
  await app.publish("4", { stream: stage.key });
  const handled = await within(10_000, t.handled(4));
  expect(dataOf(handled).toSorted()).toEqual(["1", "2", "3", "4"]);
  const deliveries = new Map(handled.map((one) => [one.data, (one as GroupMessage<unknown>).deliveries]));
  expect([deliveries.get("1"), deliveries.get("3")]).toEqual([2, 1]);
  await expect.poll(() => stage.pending(stage.key)).toBe(0);
});

test("own pending entries – are read again after a restart under the same name, at once", async () => {
  const { redis } = stage.watch;
  await redis.xgroup("CREATE", stage.key, "g", "0", "MKSTREAM");
  await redis.xadd(stage.key, "*", "text", 1, "@headers", '{"content-type":"text/plain"}');
  await redis.xreadgroup("GROUP", "g", "fixed", "COUNT", 1, "STREAMS", stage.key, ">");
  const app = stage.app({ consumer: "fixed", lease: { hours: 1 } });
  app.subscriber(stage.key, { group: "g" }, () => {});
  await using t = await app.test();
  expect(dataOf(await within(5000, t.handled(1)))).toEqual(["1"]);
});

test("ack without arguments – acknowledges, and so does every other verb what it says", async () => {
  const app = stage.app({ ack: "manual" });
  const done: unknown[] = [];
  app.subscriber(stage.key, { group: "g" }, async (message) => {
    if (message.data === "ack") await message.ack();
    if (message.data === "reject") await message.reject("no");
    if (message.data === "retry" && message.deliveries === 1) await message.retry({ delay: 1 });
    else if (message.data === "retry") await message.ack();
    done.push(message.data);
  });
  await using _ = await app.test();
  for (const verb of ["ack", "reject", "retry", "leave"]) await app.publish(verb, { stream: stage.key });
  await waitFor(() => done.length === 5, { what: "all verbs" });
  await expect.poll(() => stage.pending(stage.key)).toBe(1);
  expect(await stage.watch.redis.xlen(`{${stage.key}}:dead`)).toBe(1);
});

test("prefetched entries – are given back on stop, at once and without counting a delivery", async () => {
  const first = stage.app({ prefetch: 10, lease: { hours: 1 } });
  const begun = gate();
  const go = gate();
  first.subscriber(stage.key, { group: "g" }, () => {
    begun.pass();
    return go.passed;
  });
  for (const n of [1, 2, 3, 4, 5]) await first.publish(n, { stream: stage.key });
  await first.start();
  await begun.passed;
  await waitFor(async () => (await stage.pending(stage.key)) > 1, { what: "prefetched entries" });
  const stopped = first.stop();
  go.pass();
  await stopped;
  const second = stage.app({ lease: { hours: 1 } });
  second.subscriber(stage.key, { group: "g" }, () => {});
  await using t = await second.test();
  const handled = await within(5000, t.handled(4));
  expect(dataOf(handled).toSorted()).toEqual([2, 3, 4, 5]);
  expect(handled.every((one) => (one as GroupMessage<unknown>).deliveries === 1)).toBe(true);
});

test("a server that goes away and comes back – nothing is lost or handled in vain, and the app goes on", async () => {
  const app = stage.app({ concurrency: 4, lease: 1000, retry: { maxDeliveries: 100, delay: 1 } });
  const seen = new Set<unknown>();
  app.subscriber(stage.key, { group: "g" }, ({ data }) => void seen.add(data));
  await using _ = await app.test();
  const { redis } = stage.watch;
  for (let n = 0; n < 300; n++) {
    await redis.xadd(stage.key, "*", "text", n, "@headers", '{"content-type":"text/plain"}');
    if (n % 100 === 50) await redis.call("CLIENT", "KILL", "TYPE", "normal");
  }
  await waitFor(() => seen.size === 300, { what: "all messages", timeout: 20_000 });
  await expect.poll(() => stage.pending(stage.key), { timeout: 10_000 }).toBe(0);
});
