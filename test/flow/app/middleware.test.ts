import { expect, test } from "vitest";
import type { ConsumeMiddleware } from "../../../src/flow/app/middleware.ts";
import type { PublishOptions } from "../../../src/flow/app/publish-options.ts";
import { InvalidArgumentError } from "../../../src/index.ts";
import { within } from "../../connection/harness.ts";
import { failure, loose } from "../../containers/harness.ts";
import { Lines, Stage } from "./stage.ts";

const stage = new Stage();

/** Says when it is entered and left. */
function noting(notes: string[], name: string): ConsumeMiddleware {
  return async (_message, _context, next) => {
    notes.push(`${name} in`);
    const result = await next();
    notes.push(`${name} out`);
    return result;
  };
}

test("App.use – onion order: app, router, router in it, subscriber; what each returns is the result", async () => {
  const notes: string[] = [];
  const app = stage.app();
  const to = `${stage.key}:to`;
  const inner = app.router().use(noting(notes, "router"));
  const innermost = inner.router().use({ consume: noting(notes, "inner router") });
  app.use(noting(notes, "app"));
  app.use(async (_message, _context, next) => ({ wrapped: await next() }));
  const middleware = [noting(notes, "own")];
  innermost.subscriber(stage.key, { group: "g", publishTo: to, middleware }, () => {
    notes.push("handler");
    return 7;
  });
  await using t = await app.test();
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  expect(notes).toEqual([
    ...["app in", "router in", "inner router in", "own in", "handler"],
    ...["own out", "inner router out", "router out", "app out"],
  ]);
  expect((await t.published(1, { stream: to }))[0]!.value).toEqual({ wrapped: 7 });
});

test("App.use – one router's middleware is no other's", async () => {
  const notes: string[] = [];
  const app = stage.app();
  app.router().use(noting(notes, "other"));
  app.router().subscriber(stage.key, { group: "g" }, () => void notes.push("handler"));
  await using t = await app.test();
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  expect(notes).toEqual(["handler"]);
});

test("App.use – handlers and middlewares that give no promises make none", async () => {
  const app = stage.app();
  const results: unknown[] = [];
  app.use((_message, _context, next) => {
    results.push(next());
    return undefined;
  });
  app.use((_message, _context, next) => next());
  app.subscriber(stage.key, { group: "g" }, () => 7);
  await using t = await app.test();
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  expect(results).toEqual([7]);
});

test("App.use – what a middleware throws or does not go on with is the outcome; what it catches is handled", async () => {
  const log = new Lines();
  const app = stage.app({ log, retry: { maxDeliveries: 1 } });
  const handled: unknown[] = [];
  app.use(async (message, _context, next) => {
    if (message.data === "throw") throw new Error("of the middleware");
    if (message.data === "skip") return;
    await Promise.resolve(next()).catch((error) => {
      if (error.message !== "caught") throw error;
    });
  });
  app.subscriber(stage.key, { group: "g" }, async ({ data }) => {
    handled.push(data);
    if (data === "catch") throw new Error("caught");
  });
  await using t = await app.test();
  for (const data of ["throw", "skip", "catch", "go"]) await app.publish(data, { stream: stage.key });
  await within(5000, t.handled(3));
  expect(handled).toEqual(["catch", "go"]);
  await expect.poll(() => log.errors("a message was given up")).toEqual([new Error("of the middleware")]);
});

test("App.use – next called twice is an error, when consuming and when publishing", async () => {
  const log = new Lines();
  const app = stage.app({ log, retry: { maxDeliveries: 1 } });
  let calls = 0;
  const twice: ConsumeMiddleware = async (_message, _context, next) => {
    await next();
    return next();
  };
  app.subscriber(stage.key, { group: "g", middleware: [twice] }, () => void calls++);
  const to = `${stage.key}:to`;
  app.use({
    async publish(_value, { stream }, next) {
      if (stream === to) await next();
      return next();
    },
  });
  await using _ = await app.test();
  const refusal = await failure(app.publish({}, { stream: to }), InvalidArgumentError);
  expect(refusal.message).toBe('next must be called once by each middleware, got "called twice"');
  expect(await stage.watch.redis.xlen(to)).toBe(1);
  await app.publish({}, { stream: stage.key });
  await expect.poll(() => log.errors("a message was given up")).toHaveLength(1);
  expect(log.errors("a message was given up")[0]).toBeInstanceOf(InvalidArgumentError);
  expect(calls).toBe(1);
});

test("App.use – a body that does not decode passes through the middleware, and fails whatever that does", async () => {
  const log = new Lines();
  const app = stage.app({ log });
  const notes: string[] = [];
  app.use(async (message, _context, next) => {
    try {
      await next();
    } catch (error) {
      notes.push((error as Error).name, (message.data as object).constructor.name);
      throw new TypeError("because of it");
    }
  });
  app.subscriber(stage.key, { group: "g" }, () => {});
  await stage.watch.redis.xadd(
    stage.key,
    "1-0",
    "json",
    "{",
    "@headers",
    '{"content-type":"application/json"}',
  );
  await using _ = await app.test();
  await expect
    .poll(() => log.errors("a message was given up"))
    .toMatchObject([{ code: "DECODE", id: "1-0" }]);
  expect(notes).toEqual(["DecodeError", "Undecodable"]);
});

test("App.use – a body that does not decode fails also where middleware swallows that", async () => {
  const log = new Lines();
  const app = stage.app({ log });
  app.use(async (_message, _context, next) => {
    try {
      await next();
    } catch {}
  });
  app.subscriber(stage.key, { group: "g" }, () => {});
  const headers = '{"content-type":"application/json"}';
  await stage.watch.redis.xadd(stage.key, "1-0", "json", "{", "@headers", headers);
  await using _ = await app.test();
  await expect
    .poll(() => log.errors("a message was given up"))
    .toMatchObject([{ code: "DECODE", id: "1-0" }]);
});

test("App.use – publish: onion order around publishers, results and what handlers publish, with other values and options", async () => {
  const app = stage.app();
  const [to, more] = [`${stage.key}:to`, `${stage.key}:more`];
  const add = (name: string) => ({
    publish: (
      value: unknown,
      options: PublishOptions,
      next: (value?: unknown, options?: PublishOptions) => Promise<string>,
    ) =>
      next(`${value}${name}`, {
        ...options,
        headers: { ...options.headers, by: `${options.headers?.["by"] ?? ""}${name}` },
      }),
  });
  const router = app.router().use(add("r"));
  app.use(add("a"));
  router.subscriber(
    stage.key,
    { group: "g", publishTo: to, middleware: [add("s")] },
    async (_message, context) => {
      await context.publish("context ", { stream: more });
      return "result ";
    },
  );
  await using t = await app.test();
  await app.publish("app ", { stream: stage.key });
  await router.publisher(more).publish("router ");
  await within(5000, t.handled(1));
  const values = (await t.published(4)).map(({ value, headers }) => `${value} ${headers["by"]}`).sort();
  expect(values).toEqual(["app a a", "context ars ars", "result ars ars", "router ar ar"]);
});

test("App.use – wraps publishing from then on, also where something was published before", async () => {
  await using app = stage.app();
  const publisher = app.router().publisher(stage.key);
  await publisher.publish(1);
  app.use({ publish: (value, options, next) => next(Number(value) * 10, options) });
  await publisher.publish(2);
  await app.publish(3, { stream: stage.key });
  const stored = await stage.watch.redis.xrange(stage.key, "-", "+");
  expect(stored.map(([, fields]) => fields[1])).toEqual(["1", "20", "30"]);
});

test("App.use, App.onStartup, App.subscriber – too late when the app has started", async () => {
  await using app = stage.app();
  await app.start();
  const late = [
    () => app.use(() => {}),
    () => app.router().use(() => {}),
    () => app.onStartup(() => {}),
    () => app.subscriber("a", { group: "g" }, () => {}),
  ];
  for (const act of late) expect(act).toThrow(/is to be called before the app starts/);
});

test.each([null, undefined, {}, { consume: 1 }, { publish: "x" }, "x"])(
  "App.use – %j is refused",
  (middleware) => {
    expect(() => stage.app().use(loose(middleware))).toThrow(InvalidArgumentError);
  },
);

test("Router – prefixes and options add up; publishTo and publishers have the prefix, what is published by name has not", async () => {
  const app = stage.app({ concurrency: 2 });
  const eu = app.router({ prefix: `${stage.key}:`, concurrency: 3 }).router({ prefix: "eu:" });
  eu.subscriber("orders", { group: "g", publishTo: "payments" }, () => 7);
  const publisher = eu.publisher("orders");
  expect(publisher.stream).toBe(`${stage.key}:eu:orders`);
  expect(app.subscriptions).toMatchObject([
    {
      streams: [`${stage.key}:eu:orders`],
      group: "g",
      publishTo: `${stage.key}:eu:payments`,
      isBatch: false,
    },
  ]);
  expect(app.publications).toEqual([
    { stream: `${stage.key}:eu:orders`, schema: null, title: null, description: null },
  ]);
  await using t = await app.test();
  await publisher.publish({});
  await within(5000, t.handled(1));
  await t.published(1, { stream: `${stage.key}:eu:payments` });
});
