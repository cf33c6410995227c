import { expect, test } from "vitest";
import { z } from "zod";
import { type GroupMessage, type Message, RejectError, RetryError } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";
import { gate, Lines, Stage } from "./stage.ts";

const stage = new Stage();
const dead = (key: string): Promise<number> => stage.watch.redis.xlen(`{${key}}:dead`);

/** The note of a dead letter. */
async function death(key: string): Promise<{ error: { name: string; message: string }; deliveries: number }> {
  await waitFor(async () => (await dead(key)) === 1, { what: "a dead letter" });
  const [[, fields]] = (await stage.watch.redis.xrange(`{${key}}:dead`, "-", "+")) as [[string, string[]]];
  return JSON.parse(fields[fields.indexOf("@dead") + 1]!);
}

test("App.subscriber – the schema's value is the data, and the message is acknowledged", async () => {
  const app = stage.app();
  const schema = z.object({ total: z.coerce.number(), note: z.string().default("none") });
  const seen: { total: number; note: string }[] = [];
  app.subscriber(stage.key, { group: "g", schema }, (message) => void seen.push(message.data));
  await using t = await app.test();
  await app.publish({ total: "7" }, { stream: stage.key });
  await within(5000, t.handled(1));
  expect(seen).toEqual([{ total: 7, note: "none" }]);
  await expect.poll(() => stage.pending(stage.key)).toBe(0);
});

test.each([
  ["at once", z.object({ total: z.number() })],
  ["later", z.object({ total: z.number().refine(async () => true) })],
])(
  "App.subscriber – what the schema refuses %s goes to the dead letters at the first delivery",
  async (_, schema) => {
    const app = stage.app({ retry: { maxDeliveries: 5, delay: 1 } });
    let calls = 0;
    app.subscriber(stage.key, { group: "g", schema }, () => void calls++);
    await using t = await app.test();
    await app.publish({ total: "seven" }, { stream: stage.key });
    await app.publish({ total: 7 }, { stream: stage.key });
    await within(5000, t.handled(1));
    const { error, deliveries } = await death(stage.key);
    expect(error.name).toBe("DecodeError");
    expect(error.message).toContain("does not decode at total: ");
    expect([deliveries, calls]).toEqual([1, 1]);
  },
);

test("App.subscriber – a DecodeError of another entry, thrown by a handler, is retried as any error", async () => {
  const app = stage.app();
  const attempts: number[] = [];
  app.subscriber(stage.key, { group: "g" }, async (_message, { attempt }) => {
    attempts.push(attempt);
    if (attempt === 1)
      await stage.db.Stream(`${stage.key}:other`, { schema: z.object({ n: z.number() }) }).first();
  });
  await stage.watch.redis.xadd(`${stage.key}:other`, "1-0", "n", "x");
  await using t = await app.test();
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  expect(attempts).toEqual([1, 2]);
});

test("App.subscriber – what a handler returns goes to publishTo before its message is acknowledged", async () => {
  const app = stage.app();
  const to = `${stage.key}:to`;
  const pendings: number[] = [];
  app.use({
    async publish(_value, options, next) {
      if (options.stream === to) pendings.push(await stage.pending(stage.key));
      return next();
    },
  });
  app.subscriber(stage.key, { group: "g", publishTo: to }, (message) =>
    message.data === "nothing" ? undefined : { of: message.data },
  );
  await using t = await app.test();
  await app.publish("nothing", { stream: stage.key });
  await app.publish("a", { stream: stage.key, correlationId: "c" });
  await app.publish(null, { stream: stage.key });
  await within(5000, t.handled(3));
  const results = await t.published(2, { stream: to });
  expect(results.map(({ value }) => value)).toEqual([{ of: "a" }, { of: null }]);
  expect(results[0]!.headers["correlation-id"]).toBe("c");
  for (const pending of pendings) expect(pending).toBeGreaterThan(0);
  expect(pendings).toHaveLength(2);
  await expect.poll(() => stage.pending(stage.key)).toBe(0);
});

test("App.subscriber – a result that was published is not published again when its message is handled again", async () => {
  const app = stage.app();
  const to = `${stage.key}:to`;
  const stored: string[] = [];
  app.use({
    async publish(_value, { stream }, next) {
      const id = await next();
      if (stream === to && stored.push(id) === 1) throw new Error("lost on the way back");
      return id;
    },
  });
  app.subscriber(stage.key, { group: "g", publishTo: to }, (_message, { attempt }) => ({ attempt }));
  await using t = await app.test();
  await app.publish({}, { stream: stage.key });
  const [message] = await within(5000, t.handled(1));
  expect((message as GroupMessage<unknown>).deliveries).toBe(2);
  const entries = await stage.watch.redis.xrange(to, "-", "+");
  expect(entries.map(([id, fields]) => [id, fields[1]])).toEqual([[stored[0], '{"attempt":1}']]);
  expect(stored[1]).toBe(stored[0]);
});

test("App.subscriber – publishTo a publisher: its schema and headers hold; a result that it refuses is a failure", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 } });
  const to = `${stage.key}:to`;
  const schema = z.object({ paid: z.number() });
  const payments = app.publisher(to, { schema, headers: { region: "eu" } });
  app.subscriber(stage.key, { group: "g", publishTo: payments }, ({ data }) => ({ paid: data }));
  await using t = await app.test();
  await app.publish(7, { stream: stage.key });
  await within(5000, t.handled(1));
  await app.publish("seven", { stream: stage.key });
  const { error } = await death(stage.key);
  expect(error.name).toBe("InvalidArgumentError");
  expect(await stage.watch.redis.xlen(to)).toBe(1);
  expect((await t.published(1, { stream: to }))[0]!.headers["region"]).toBe("eu");
});

test("App.subscriber – the first whose filter accepts handles; where none does, that is an error under the retry policy", async () => {
  const app = stage.app({ retry: { maxDeliveries: 3, delay: 1 } });
  const seen: [string, unknown][] = [];
  const small = (message: Message<unknown>): boolean => Number(message.data) < 10;
  const even = (message: Message<unknown>): boolean => Number(message.data) % 2 === 0;
  app.subscriber(stage.key, { group: "g", filter: small }, ({ data }) => void seen.push(["small", data]));
  app.subscriber(stage.key, { group: "g", filter: even }, ({ data }) => void seen.push(["even", data]));
  await using t = await app.test();
  for (const n of [4, 11, 12, 3]) await app.publish(n, { stream: stage.key });
  await within(5000, t.handled(3));
  expect(seen).toEqual([
    ["small", 4],
    ["even", 12],
    ["small", 3],
  ]);
  const { error, deliveries } = await death(stage.key);
  expect(error).toMatchObject({
    name: "UnhandledError",
    message: expect.stringContaining("no subscriber accepts"),
  });
  expect(deliveries).toBe(3);
});

test("App.subscriber – one worker for those who share streams and group, in whatever order the streams are named", async () => {
  const app = stage.app();
  const [a, b] = [`${stage.key}:a`, `${stage.key}:b`];
  app.subscriber([a, b], { group: "g", filter: ({ data }) => data === 1 }, () => {});
  app.subscriber([b, a], { group: "g" }, () => {});
  await using t = await app.test();
  expect((await app.health()).subscribers).toHaveLength(2);
  expect(await stage.consumers(a)).toHaveLength(0);
  await app.publish(1, { stream: a });
  await app.publish(2, { stream: b });
  await within(5000, t.handled(2));
  expect(await stage.consumers(a)).toEqual(await stage.consumers(b));
  expect(await stage.consumers(a)).toHaveLength(1);
});

test("App.subscriber – a filter that throws is a failure", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 } });
  const filter = (): boolean => {
    throw new TypeError("no filter");
  };
  app.subscriber(stage.key, { group: "g", filter }, () => {});
  await using _ = await app.test();
  await app.publish(1, { stream: stage.key });
  expect((await death(stage.key)).error).toMatchObject({ name: "TypeError", message: "no filter" });
});

test("App.subscriber – batch: handlers get arrays, and bad ones do not sink them", async () => {
  const app = stage.app({ retry: { maxDeliveries: 2, delay: 1 } });
  const batches: number[][] = [];
  const schema = z.object({ n: z.number() });
  let drops = 1;
  const handler = (messages: GroupMessage<{ n: number }>[]): GroupMessage<{ n: number }>[] => {
    batches.push(messages.map(({ data }) => data.n));
    return drops-- > 0 ? messages.slice(1) : messages;
  };
  app.subscriber(stage.key, { group: "g", schema, batch: { size: 4, wait: 100 } }, handler);
  const { redis } = stage.watch;
  for (const [i, body] of ['{"n":1}', "{broken", '{"n":"x"}', '{"n":4}'].entries())
    await redis.xadd(
      stage.key,
      `${i + 1}-0`,
      "json",
      body,
      "@headers",
      '{"content-type":"application/json"}',
    );
  await using t = await app.test();
  await within(5000, t.handled(2));
  expect(batches).toEqual([[1, 4], [1]]);
  await expect.poll(() => dead(stage.key)).toBe(2);
  await expect.poll(() => stage.pending(stage.key)).toBe(0);
});

test("App.subscriber – batch: subscribers share one, each gets its part, and one that fails fails its part", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 } });
  const batch = { size: 4, wait: 100 };
  const parts: unknown[][] = [];
  const odd = ({ data }: Message<unknown>): boolean => Number(data) % 2 === 1;
  app.subscriber(stage.key, { group: "g", batch, filter: odd }, (messages) => {
    parts.push(messages.map(({ data }) => data));
    throw new Error("odd");
  });
  app.subscriber(stage.key, { group: "g", batch }, (messages, context) => {
    parts.push(messages.map(({ data }) => data));
    expect(context.messages).toEqual(messages);
  });
  for (const n of [1, 2, 3, 4]) await app.publish(n, { stream: stage.key });
  await using t = await app.test();
  await within(5000, t.handled(2));
  expect(parts).toEqual([
    [1, 3],
    [2, 4],
  ]);
  await expect.poll(() => dead(stage.key)).toBe(2);
});

test("Context – attempt, correlation id, log and app; the id is handed on, and the same at each delivery", async () => {
  const log = new Lines();
  const app = stage.app({ log });
  const to = `${stage.key}:to`;
  const seen: [number, string][] = [];
  app.subscriber(stage.key, { group: "g" }, async (message, context) => {
    seen.push([context.attempt, context.correlationId]);
    expect(context.app).toBe(app);
    context.log.info({ id: message.id }, "seen");
    if (context.attempt === 1) throw new RetryError({ delay: 1 });
    await context.publish({}, { stream: to });
    await context.publish({}, { stream: to, correlationId: "own" });
    await context.publish({}, { stream: to, headers: { "correlation-id": "header" } });
  });
  await using t = await app.test();
  const id = await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  const made = `${stage.key}:${id}`;
  expect(seen).toEqual([
    [1, made],
    [2, made],
  ]);
  const ids = (await t.published(3, { stream: to })).map(({ headers }) => headers["correlation-id"]);
  expect(ids).toEqual([made, "own", "header"]);
  expect(log.lines.filter(({ text }) => text === "seen")).toHaveLength(2);
  expect(log.lines.filter(({ text }) => text === "a message failed")).toMatchObject([
    {
      level: "warn",
      facts: { stream: stage.key, group: "g", id, deliveries: 1, error: expect.any(RetryError) },
    },
  ]);
});

test("Context.signal – is aborted where the handler is too late, and its result goes nowhere", async () => {
  const app = stage.app({ timeout: 20, retry: { maxDeliveries: 1 } });
  const to = `${stage.key}:to`;
  const aborted = gate<unknown>();
  const returned = gate();
  app.subscriber(stage.key, { group: "g", publishTo: to }, async (_, { signal }) => {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    aborted.pass(signal.reason);
    queueMicrotask(() => setImmediate(returned.pass));
    return { late: true };
  });
  await using _ = await app.test();
  await app.publish({}, { stream: stage.key });
  expect(await within(5000, aborted.passed)).toMatchObject({ code: "HANDLER_TIMEOUT" });
  await returned.passed;
  expect((await death(stage.key)).error.name).toBe("HandlerTimeoutError");
  await app.stop();
  expect(await stage.watch.redis.exists(to)).toBe(0);
});

test("App.subscriber – a RejectError is a dead letter at once", async () => {
  const app = stage.app();
  app.subscriber(stage.key, { group: "g" }, () => {
    throw new RejectError("no such sku");
  });
  await using _ = await app.test();
  await app.publish({}, { stream: stage.key });
  expect(await death(stage.key)).toMatchObject({ deliveries: 1, error: { name: "RejectError" } });
});
