import { expect, test } from "vitest";
import { z } from "zod";
import { App } from "../../../src/flow/app/app.ts";
import { startProxy, waitFor } from "../../../src/testing/index.ts";
import { open, within } from "../../connection/harness.ts";
import { gate, Lines, Stage } from "./stage.ts";

const stage = new Stage();
const dataOf = (messages: readonly { readonly data: unknown }[]): unknown[] =>
  messages.map(({ data }) => data);

test("App.subscriber – without a group every instance sees every message from the start on", async () => {
  await stage.watch.redis.xadd(stage.key, "*", "n", "before");
  const apps = [stage.app(), stage.app({ name: "other" })];
  for (const app of apps) app.subscriber(stage.key, {}, () => {});
  const tests = await Promise.all(apps.map((app) => app.test()));
  for (const n of [1, 2, 3]) await apps[0]!.publish(n, { stream: stage.key });
  for (const t of tests) expect(dataOf(await within(5000, t.handled(3)))).toEqual([1, 2, 3]);
  expect(await stage.watch.redis.xinfo("GROUPS", stage.key)).toEqual([]);
  await Promise.all(tests.map((t) => t.stop()));
});

test("App.start – resolves when positions are pinned: what is published right after it is seen, on streams that are new", async () => {
  for (let round = 0; round < 20; round++) {
    const app = stage.app();
    const key = `${stage.key}:${round}`;
    app.subscriber([key, `${key}:b`], {}, () => {});
    await using t = await app.test();
    await stage.watch.redis.xadd(key, "*", "n", "1");
    await stage.watch.redis.xadd(`${key}:b`, "*", "n", "2");
    await within(5000, t.handled(2));
  }
});

test("App.subscriber – without a group: schema, filter, publishTo and order hold", async () => {
  const app = stage.app();
  const to = `${stage.key}:to`;
  const seen: number[] = [];
  const schema = z.object({ n: z.number() });
  const filter = ({ data }: { data: unknown }): boolean => (data as { n: unknown }).n !== 2;
  app.subscriber(stage.key, { schema, filter, publishTo: to }, async ({ data }) => {
    await new Promise((resolve) => setTimeout(resolve, data.n === 1 ? 10 : 0));
    seen.push(data.n);
    return data.n;
  });
  await using t = await app.test();
  for (const n of [1, 2, 3, "x", 4]) await app.publish({ n }, { stream: stage.key });
  await within(5000, t.handled(3));
  expect(seen).toEqual([1, 3, 4]);
  expect((await t.published(3, { stream: to })).map(({ value }) => value)).toEqual([1, 3, 4]);
});

test("App.subscriber – without a group: a failure is logged and counted, and the next message comes", async () => {
  const log = new Lines();
  const app = stage.app({ log, timeout: 20 });
  const { redis } = stage.watch;
  app.subscriber(stage.key, {}, ({ data }) => {
    if (data === "late") return new Promise(() => {});
    if (data === "bad") throw new TypeError("bad");
    return undefined;
  });
  await using t = await app.test();
  await app.publish("bad", { stream: stage.key });
  await redis.xadd(stage.key, "*", "n", "1", "@headers", "no headers");
  await redis.xadd(stage.key, "*", "json", "{", "@headers", '{"content-type":"application/json"}');
  await app.publish("late", { stream: stage.key });
  await app.publish("good", { stream: stage.key });
  expect(dataOf(await within(5000, t.handled(1)))).toEqual(["good"]);
  const names = log.errors("a message failed").map((error) => (error as Error).name);
  expect(names).toEqual(["TypeError", "DecodeError", "DecodeError", "HandlerTimeoutError"]);
  const { subscribers, healthy } = await app.health();
  expect([healthy, subscribers[0]!.lastError?.name]).toEqual([true, "HandlerTimeoutError"]);
});

test("App.subscriber – without a group: so many at once as concurrency says, and stop waits for those that run", async () => {
  const app = stage.app();
  const held: (() => void)[] = [];
  const aborted: boolean[] = [];
  app.subscriber(stage.key, { concurrency: 2 }, async (_message, { signal }) => {
    await new Promise<void>((resolve) => held.push(resolve));
    aborted.push(signal.aborted);
  });
  await using t = await app.test();
  for (const n of [1, 2, 3]) await app.publish(n, { stream: stage.key });
  await waitFor(() => held.length === 2, { what: "two handlers" });
  held[0]!();
  await waitFor(() => held.length === 3, { what: "the third" });
  const stopped = app.stop();
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  for (const pass of held) pass();
  await within(5000, stopped);
  expect(await t.handled(3)).toHaveLength(3);
  expect(aborted).toEqual([false, false, false]);
});

test("App.stop – without a group: a handler that does not end is aborted after the time to drain", async () => {
  const app = stage.app();
  const begun = gate();
  const aborted = gate<unknown>();
  app.subscriber(stage.key, { drain: 30 }, (_message, { signal }) => {
    signal.addEventListener("abort", () => aborted.pass(signal.reason));
    begun.pass();
    return new Promise(() => {});
  });
  await app.start();
  await app.publish({}, { stream: stage.key });
  await begun.passed;
  await within(3000, app.stop());
  expect(await within(1000, aborted.passed)).toMatchObject({ code: "CLOSED" });
});

test("App.subscriber – without a group: from says where to begin, and is not inherited", async () => {
  await stage.watch.redis.xadd(stage.key, "1-0", "n", "1");
  const app = stage.app({ from: "earliest" });
  const seen: string[] = [];
  app.subscriber(stage.key, { from: "earliest" }, () => void seen.push("all"));
  app.subscriber(stage.key, {}, () => void seen.push("new"));
  await using t = await app.test();
  await within(5000, t.handled(1));
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(3));
  expect(seen.toSorted()).toEqual(["all", "all", "new"]);
});

test("App.subscriber – without a group: connections that break lose nothing and repeat nothing", async () => {
  const proxy = await startProxy(stage.server);
  const db = open({ host: proxy.host, port: proxy.port });
  const log = new Lines();
  const app = new App(db, { name: "far", log });
  app.subscriber(stage.key, {}, () => {});
  const t = await app.test();
  const { redis } = stage.watch;
  await redis.xadd(stage.key, "1-0", "n", "1");
  await within(5000, t.handled(1));
  proxy.swallow();
  await redis.xadd(stage.key, "2-0", "n", "2");
  await waitFor(() => proxy.heldBytes > 0, { what: "a reply that is held" });
  proxy.refuse();
  proxy.cut();
  await redis.xadd(stage.key, "3-0", "n", "3");
  await waitFor(() => log.lines.some(({ text }) => text === "the connection is lost"), { what: "the loss" });
  proxy.pass();
  await proxy.accept();
  await redis.xadd(stage.key, "4-0", "n", "4");
  const handled = await within(15_000, t.handled(4));
  expect(handled.map(({ id }) => id)).toEqual(["1-0", "2-0", "3-0", "4-0"]);
  await t.stop();
  await db.close();
  await proxy.close();
});
