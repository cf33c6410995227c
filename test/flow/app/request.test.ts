import { expect, test } from "vitest";
import { App } from "../../../src/flow/app/app.ts";
import { RequestFailedError, RequestTimeoutError } from "../../../src/ground/errors.ts";
import { ClosedError, type GroupMessage, RejectError } from "../../../src/index.ts";
import { startProxy, waitFor } from "../../../src/testing/index.ts";
import { open, within } from "../../connection/harness.ts";
import { failure } from "../../containers/harness.ts";
import { gate, Stage } from "./stage.ts";

const stage = new Stage();
const repliesOf = (name: string): Promise<string[]> => stage.watch.redis.keys(`${name}:replies:*`);

test("App.request – the reply is what the handler returned; any number at once, each its own", async () => {
  const app = stage.app({ concurrency: 10 });
  app.subscriber(stage.key, { group: "g" }, async ({ data }) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    return { double: Number(data) * 2 };
  });
  await using _ = await app.test();
  const numbers = Array.from({ length: 200 }, (_, n) => n);
  const replies = await within(
    10_000,
    Promise.all(numbers.map((n) => app.request(n, { stream: stage.key }))),
  );
  expect(replies.map(({ data }) => data)).toEqual(numbers.map((n) => ({ double: n * 2 })));
  expect(await repliesOf("app")).toEqual([replies[0]!.stream]);
  await expect.poll(() => stage.pending(stage.key)).toBe(0);
});

test("App.request – strings, bytes and null come back as they are; the correlation id too", async () => {
  const app = stage.app();
  app.subscriber(stage.key, { group: "g" }, ({ data }) => data);
  await using _ = await app.test();
  for (const value of ["text", null, 0, [1]])
    expect((await app.request(value, { stream: stage.key })).data).toEqual(value);
  const reply = await app.request(new Uint8Array([1, 255]), { stream: stage.key, correlationId: "c" });
  expect([...(reply.data as Uint8Array)]).toEqual([1, 255]);
  expect(reply.headers["correlation-id"]).toBe("c");
});

test("App.request – a failure is told at once when no delivery is left, and not before", async () => {
  const app = stage.app({ retry: { maxDeliveries: 3, delay: 1 } });
  const attempts: number[] = [];
  app.subscriber(stage.key, { group: "g" }, ({ data }, { attempt }) => {
    attempts.push(attempt);
    if (data === "recovers" && attempt === 3) return "done";
    if (data === "rejects") throw new RejectError("no such sku");
    throw new TypeError("no total");
  });
  await using _ = await app.test();
  const ask = (value: string) => app.request(value, { stream: stage.key, timeout: 10_000 });
  expect((await ask("recovers")).data).toBe("done");
  const failed = await failure(ask("fails"), RequestFailedError);
  expect(failed.remote).toEqual({ name: "TypeError", message: "no total" });
  expect(failed).toMatchObject({ code: "REQUEST_FAILED", retriable: false, stream: stage.key });
  expect(attempts).toEqual([1, 2, 3, 1, 2, 3]);
  expect((await failure(ask("rejects"), RequestFailedError)).remote.name).toBe("RejectError");
  expect(attempts).toHaveLength(7);
});

test("App.request – what no subscriber accepts is a failure at once where it is acknowledged all the same", async () => {
  const app = stage.app();
  app.subscriber(stage.key, { group: "g", ack: "always", filter: () => false }, () => 1);
  await using _ = await app.test();
  const asked = app.request({}, { stream: stage.key, timeout: 4000 });
  await expect(asked).rejects.toMatchObject({ code: "REQUEST_FAILED" });
});

test("App.request – a handler that is too late for the last time, and a body that does not decode, are failures", async () => {
  const app = stage.app({ timeout: 20, retry: { maxDeliveries: 1 } });
  app.subscriber(stage.key, { group: "g" }, () => new Promise(() => {}));
  await using _ = await app.test();
  const late = app.request({}, { stream: stage.key });
  expect((await failure(late, RequestFailedError)).remote.name).toBe("HandlerTimeoutError");
  const bad = app.request("{", { stream: stage.key, headers: { "content-type": "application/json" } });
  expect((await failure(bad, RequestFailedError)).remote.name).toBe("DecodeError");
});

test.each(["always", "first"] as const)(
  "App.request – with ack %s the first failure is the last",
  async (ack) => {
    const app = stage.app({ ack, timeout: 20 });
    app.subscriber(stage.key, { group: "g" }, async ({ data }) => {
      if (data === "late") await new Promise(() => {});
      throw new TypeError("no total");
    });
    app.subscriber(`${stage.key}:batch`, { group: "g", batch: { size: 2 } }, () => {
      throw new TypeError("no totals");
    });
    await using _ = await app.test();
    const one = await failure(app.request({}, { stream: stage.key }), RequestFailedError);
    const many = await failure(app.request({}, { stream: `${stage.key}:batch` }), RequestFailedError);
    expect([one.remote.message, many.remote.message]).toEqual(["no total", "no totals"]);
    const late = await failure(app.request("late", { stream: stage.key }), RequestFailedError);
    expect(late.remote.name).toBe("HandlerTimeoutError");
  },
);

test("App.request – one that kills its worker again and again is a failure too", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 }, lease: 100 });
  app.subscriber(stage.key, { group: "g" }, () => "handled");
  const group = stage.db.consumerGroup("g", [stage.key]);
  await group.create();
  const requester = stage.app({ name: "requester" });
  const asked = failure(requester.request({}, { stream: stage.key }), RequestFailedError);
  const read = await group.read({ block: 5000 });
  expect(read[stage.key]).toHaveLength(1);
  await using _ = await app.test();
  expect((await within(5000, asked)).remote.name).toBe("LeaseLostError");
  await requester.stop();
});

test("App.request – no reply in time is a timeout; one that comes later disturbs nobody", async () => {
  const app = stage.app({ concurrency: 2 });
  const open = gate();
  app.subscriber(stage.key, { group: "g" }, async ({ data }) => {
    if (data === "slow") await open.passed;
    return data;
  });
  await using t = await app.test();
  const late = await failure(app.request("slow", { stream: stage.key, timeout: 30 }), RequestTimeoutError);
  expect(late).toMatchObject({ stream: stage.key, timeout: 30, code: "REQUEST_TIMEOUT", retriable: true });
  open.pass();
  await within(5000, t.handled(1));
  expect((await app.request("fast", { stream: stage.key })).data).toBe("fast");
});

test("App.request – a signal ends the wait, also before it; nothing is left behind", async () => {
  await using app = stage.app();
  const aborted = AbortSignal.abort(new Error("before"));
  await expect(app.request({}, { stream: stage.key, signal: aborted })).rejects.toThrow("before");
  expect(await stage.watch.redis.exists(stage.key)).toBe(0);
  const controller = new AbortController();
  const asked = app.request({}, { stream: stage.key, signal: controller.signal, timeout: { hours: 1 } });
  await waitFor(() => stage.watch.redis.xlen(stage.key), { what: "the request" });
  controller.abort(new Error("meanwhile"));
  await expect(asked).rejects.toThrow("meanwhile");
});

test("App.request – stop rejects those that wait, and removes the stream and the connection", async () => {
  const app = stage.app();
  const asked = failure(app.request({}, { stream: stage.key, timeout: { hours: 1 } }), ClosedError);
  await waitFor(() => stage.watch.redis.xlen(stage.key), { what: "the request" });
  expect(await repliesOf("app")).toHaveLength(1);
  await app.stop();
  await within(1000, asked);
  expect(await repliesOf("app")).toEqual([]);
});

test("App.request – the stream of replies expires, also where it is made anew by a late reply", async () => {
  const { redis } = stage.watch;
  const app = stage.app();
  app.subscriber(stage.key, { group: "g" }, () => 7);
  await using _ = await app.test();
  const { stream } = await app.request({}, { stream: stage.key, timeout: 600_000 });
  const lasts = await redis.pttl(stream);
  expect(lasts).toBeGreaterThan(600_000);
  expect(lasts).toBeLessThan(700_000);
  const gone = `${stage.key}:gone`;
  const headers = { "request-id": "1" };
  await app.publish({}, { stream: stage.key, replyTo: gone, headers });
  await waitFor(async () => (await redis.pttl(gone)) > 0, { what: "an expiry" });
  expect(await redis.pttl(gone)).toBeLessThanOrEqual(60_000);
  await redis.del(stream);
  expect((await app.request({}, { stream: stage.key })).data).toBe(7);
});

test("App.request – a reply that is there before anything is read is not missed", async () => {
  await using app = stage.app();
  app.use({
    async publish(_value, { replyTo, headers }, next) {
      const reply = JSON.stringify({ ...headers, "content-type": "application/json" });
      await stage.watch.redis.xadd(replyTo!, "*", "json", "7", "@headers", reply);
      return next();
    },
  });
  expect((await app.request({}, { stream: stage.key })).data).toBe(7);
});

test("App.request – replies that are read are dropped, and a reply stream is bounded", async () => {
  const app = stage.app({ concurrency: 100 });
  app.subscriber(stage.key, { group: "g" }, () => 7);
  await using _ = await app.test();
  const ask = () => app.request({}, { stream: stage.key });
  const { stream } = await ask();
  for (let i = 0; i < 25; i++) await Promise.all(Array.from({ length: 100 }, ask));
  await expect.poll(() => stage.watch.redis.xlen(stream)).toBeLessThan(1200);
});

test("App.publish – replyTo: the answer goes to a stream of one's own, which does not expire", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 } });
  const to = `${stage.key}:to`;
  app.subscriber(stage.key, { group: "g" }, ({ data }) => {
    if (data === "bad") throw new TypeError("bad");
    return { answer: data };
  });
  await using t = await app.test();
  await app.publish("a", { stream: stage.key, replyTo: to, correlationId: "c" });
  await app.publish("bad", { stream: stage.key, replyTo: to });
  const [good, bad] = await within(5000, t.published(2, { stream: to }));
  expect(good).toMatchObject({ value: { answer: "a" }, headers: { "correlation-id": "c" } });
  expect(bad).toMatchObject({ value: { name: "TypeError", message: "bad" }, headers: { reply: "error" } });
  expect(await stage.watch.redis.pttl(to)).toBe(-1);
});

test("App.request – a subscriber without a group replies too, and fails at once", async () => {
  const app = stage.app();
  app.subscriber(stage.key, {}, ({ data }) => {
    if (data === "bad") throw new TypeError("bad");
    return { answer: data };
  });
  await using _ = await app.test();
  expect((await app.request("a", { stream: stage.key })).data).toEqual({ answer: "a" });
  expect((await failure(app.request("bad", { stream: stage.key }), RequestFailedError)).remote.message).toBe(
    "bad",
  );
});

test("App.request – connections that break lose no reply", async () => {
  const proxy = await startProxy(stage.server);
  const db = open({ host: proxy.host, port: proxy.port });
  const requester = new App(db, { name: "far", log: false });
  const replier = stage.app();
  const held: (() => void)[] = [];
  replier.subscriber(stage.key, { group: "g", concurrency: 100 }, async (message: GroupMessage<unknown>) => {
    await new Promise<void>((resolve) => held.push(resolve));
    return message.data;
  });
  await using _ = await replier.test();
  const asked = Array.from({ length: 50 }, (_, n) =>
    requester.request(n, { stream: stage.key, timeout: 20_000 }),
  );
  await waitFor(() => held.length === 50, { what: "all requests" });
  // The replies are written while the requester is away, and half of them are on a connection that breaks.
  proxy.swallow();
  for (const pass of held.slice(0, 25)) pass();
  const [replies] = await repliesOf("far");
  await waitFor(async () => (await stage.watch.redis.xlen(replies!)) === 26, { what: "half of the replies" });
  proxy.refuse();
  proxy.cut();
  for (const pass of held.slice(25)) pass();
  await waitFor(async () => (await stage.watch.redis.xlen(replies!)) === 51, { what: "all replies" });
  proxy.pass();
  await proxy.accept();
  const all = await within(15_000, Promise.all(asked));
  expect(all.map(({ data }) => data)).toEqual(Array.from({ length: 50 }, (_, n) => n));
  await requester.stop();
  await db.close();
  await proxy.close();
});

test("Context.request – hands on the correlation id", async () => {
  const app = stage.app();
  const to = `${stage.key}:to`;
  app.subscriber(to, { group: "g" }, (_message, { correlationId }) => correlationId);
  app.subscriber(stage.key, { group: "g" }, async (_message, context) => {
    return (await context.request({}, { stream: to })).data;
  });
  await using _ = await app.test();
  expect((await app.request({}, { stream: stage.key, correlationId: "c" })).data).toBe("c");
});
