import { inspect } from "node:util";
import { expect, test } from "vitest";
import { z } from "zod";
import { App } from "../../../src/flow/app/app.ts";
import { ClosedError, type InvalidArgumentError } from "../../../src/index.ts";
import { failure, loose, Place } from "../../containers/harness.ts";

const place = new Place();
const make = (options: object = {}): App => new App(place.db, { name: "app", log: false, ...options });
const nothing = (): void => {};

test("App, Router, Publisher – what is no option: refused at once, nothing is sent", async () => {
  const refusals: [() => unknown, string, string][] = [
    [() => new App(loose({}), { name: "a" }), "client", "an ioredis"],
    [() => new App(place.db, loose(undefined)), "app options", "an object"],
    [() => new App(place.db, loose({})), "name", "a string that is not empty"],
    [() => make({ name: "" }), "name", "a string that is not empty"],
    [() => make({ nam: "a" }), "app options", "among name, log, concurrency"],
    [() => make({ log: {} }), "log", "false, or an object with debug"],
    [() => make({ concurrency: 0 }), "concurrency", "a whole number"],
    [() => make({ batch: { size: 1 } }), "app options", "among"],
    [() => make().router(loose({ prefx: "a" })), "router options", "among prefix"],
    [() => make().router(loose({ prefix: 1 })), "prefix", "a string"],
    [() => make().publisher(""), "stream", "a string that is not empty"],
    [() => make().publisher("a", loose({ schema: {} })), "schema", "a Standard Schema"],
    [() => make().publisher("a", loose({ maxln: 1 })), "publisher options", "among"],
    [() => make().publisher("a", { maxlen: 1, minid: "1-1" }), "minid", "absent"],
    [() => make().publish({}, loose(undefined)), "publish options", "an object"],
    [() => make().publish({}, loose({})), "stream", "a string that is not empty"],
    [() => make().publish({}, loose({ stream: "a", replyTo: 1 })), "replyTo", "a string"],
    [() => make().publish({}, loose({ stream: "a", correlationId: "" })), "correlationId", "a string"],
    [() => make().publish({}, loose({ stream: "a", headers: { a: 1 } })), "headers.a", "a string"],
    [() => make().publish({}, { stream: "a", maxlen: -1 }), "maxlen", "a whole number"],
    [() => make().request({}, loose({ timeout: 5 })), "stream", "a string"],
    [() => make().request({}, { stream: "a", timeout: 0 }), "timeout", "from 1 to"],
    [() => make().request({}, { stream: "a", timeout: { days: 100 } }), "timeout", "from 1 to"],
    [() => make().request({}, loose({ stream: "a", signal: {} })), "signal", "an AbortSignal"],
    [() => make().onStartup(loose(1)), "hook", "a function"],
    [() => make().onShutdown(loose(undefined)), "hook", "a function"],
  ];
  for (const [act, argument, rule] of refusals) {
    const error = await place.refusal(act);
    expect(error.argument).toBe(argument);
    expect(error.rule).toContain(rule);
  }
});

test("App.subscriber – what cannot be subscribed to: refused at once, nothing is sent or registered", async () => {
  const app = make();
  const refusals: [unknown, unknown, unknown, string][] = [
    ["", { group: "g" }, nothing, "stream"],
    [[], { group: "g" }, nothing, "stream"],
    [["a", "a"], { group: "g" }, nothing, "stream"],
    [undefined, { group: "g" }, nothing, "stream"],
    ["a", undefined, nothing, "subscriber options"],
    ["a", { group: "" }, nothing, "group"],
    ["a", { group: "g" }, undefined, "handler"],
    ["a", { grp: "g" }, nothing, "subscriber options"],
    ["a", { group: "g", schema: {} }, nothing, "schema"],
    ["a", { group: "g", filter: "x" }, nothing, "filter"],
    ["a", { group: "g", middleware: nothing }, nothing, "middleware"],
    ["a", { group: "g", middleware: [{}] }, nothing, "middleware"],
    ["a", { group: "g", publishTo: "" }, nothing, "publishTo"],
    ["a", { group: "g", publishTo: {} }, nothing, "publishTo"],
    ["a", { group: "g", batch: { size: 1 }, publishTo: "b" }, nothing, "publishTo"],
    ["a", { group: "g", batch: { size: 0 } }, nothing, "batch.size"],
    ["a", { group: "g", concurrency: 0 }, nothing, "concurrency"],
    ["a", { group: "g", deadLetter: "a" }, nothing, "deadLetter"],
    ["a", { group: "g", retry: { maxDeliveries: 0 } }, nothing, "retry.maxDeliveries"],
    ["a", { ack: "first" }, nothing, "ack"],
    ["a", { retry: {} }, nothing, "retry"],
    ["a", { batch: { size: 1 } }, nothing, "batch"],
    ["a", { concurrency: 0 }, nothing, "concurrency"],
    ["a", { from: "no id" }, nothing, "from"],
  ];
  for (const [stream, options, handler, argument] of refusals) {
    const error = await place.refusal(() => app.subscriber(loose(stream), loose(options), loose(handler)));
    expect(error.argument).toBe(argument);
  }
  expect(app.subscriptions).toEqual([]);
});

test("App.subscriber – those that share a worker agree on it: what differs is refused, what is not said is no matter", async () => {
  const some = { group: "g", filter: () => false };
  const app = make({ concurrency: 5 });
  app.subscriber("a", { ...some, concurrency: 10, retry: { maxDeliveries: 3 } }, nothing);
  app.subscriber("a", { ...some, retry: { maxDeliveries: 3 } }, nothing);
  const differ = (options: object): Promise<InvalidArgumentError> =>
    place.refusal(() => app.subscriber("a", loose({ ...some, ...options }), nothing));
  expect((await differ({ concurrency: 11 })).argument).toBe("concurrency");
  expect((await differ({ retry: { maxDeliveries: 4 } })).argument).toBe("retry");
  expect((await differ({ batch: { size: 2 } })).argument).toBe("batch");
  expect(app.subscriptions).toHaveLength(2);
});

test("App.subscriber – of routers whose options differ, none of which the subscribers say themselves, that is refused", async () => {
  const app = make();
  const some = { group: "g", filter: () => false };
  app.router({ lease: 1000 }).subscriber("a", some, nothing);
  const error = await place.refusal(() => app.router({ lease: 2000 }).subscriber("a", some, nothing));
  expect(error.argument).toBe("lease");
  app.router({ lease: 2000 }).subscriber("a", { ...some, group: "other" }, nothing);
  // What is undefined erases nothing.
  const inner = app.router({ lease: 1000 }).router(loose({ lease: undefined }));
  inner.subscriber("a", loose({ ...some, lease: undefined }), nothing);
});

test("App.subscriber – streams of one group: the same, or none in common; after one that takes all there is none", async () => {
  const app = make();
  app.subscriber(["a", "b"], { group: "g", filter: () => false }, nothing);
  app.subscriber("c", { group: "g" }, nothing);
  app.subscriber("a", { group: "h" }, nothing);
  expect((await place.refusal(() => app.subscriber("a", { group: "g" }, nothing))).argument).toBe("stream");
  expect((await place.refusal(() => app.subscriber(["a", "b", "d"], { group: "g" }, nothing))).argument).toBe(
    "stream",
  );
  expect((await place.refusal(() => app.subscriber("c", { group: "g" }, nothing))).argument).toBe("filter");
  expect(app.subscriptions).toHaveLength(3);
});

test("Publisher.publish – what the schema does not accept is refused before anything is sent", async () => {
  await using app = make();
  const key = place.key();
  for (const total of [z.number(), z.number().refine(async () => true)]) {
    const publisher = app.publisher(key, { schema: z.object({ total }) });
    const error = await place.refusal(() => publisher.publish(loose({ total: "7" })));
    expect(error.argument).toBe("data.total");
  }
  const publisher = app.publisher(key, { schema: z.object({ total: z.coerce.number() }) });
  await publisher.publish(loose({ total: "7" }));
  const [message] = await place.db.Stream(key).range();
  expect(message!.data).toEqual({ json: '{"total":"7"}' });
});

test("App.publisher – bounds, headers, id and idempotency key; publishers of a stream share writes", async () => {
  await using app = make();
  const key = place.key();
  const bounded = app.publisher(key, { maxlen: 2, approximate: false, headers: { a: "1", b: "1" } });
  await bounded.publish(1, { id: "1-1" });
  await bounded.publish(2, { id: "2-1", headers: { b: "2", "content-type": "text/x" }, replyTo: "r" });
  const id = await bounded.publish(3, { idempotencyKey: "k" });
  expect(await bounded.publish(3, { idempotencyKey: "k" })).toBe(id);
  const stored = await place.db.Stream(key).range();
  expect(stored.map((one) => one.id)).toEqual(["2-1", id]);
  expect(stored[0]!.headers).toEqual({ a: "1", b: "2", "content-type": "text/x", "reply-to": "r" });
  const plain = [app.publisher(key), app.publisher(key, { schema: z.number() })];
  const writes = async (): Promise<number> =>
    Number(/total_reads_processed:(\d+)/.exec(await place.db.info("stats"))![1]);
  await plain[0]!.publish(0);
  const before = await writes();
  await Promise.all(Array.from({ length: 100 }, (_, i) => plain[i % 2]!.publish(i)));
  expect((await writes()) - before).toBeLessThan(20);
});

test("App – after stop: nothing is published, requested or started", async () => {
  const app = make();
  await app.stop();
  await app.stop();
  await failure(app.publish({}, { stream: "a" }), ClosedError);
  await failure(app.publisher("a").publish({}), ClosedError);
  await failure(app.request({}, { stream: "a" }), ClosedError);
  await failure(app.start(), ClosedError);
});

test("App – prints itself", () => {
  const app = make();
  expect(inspect(app)).toBe("<App app>");
  expect(inspect(app.router({ prefix: "eu:" }))).toBe("<Router eu:>");
  expect(inspect(app.publisher("orders"))).toBe("<Publisher orders>");
});
