import { hostname } from "node:os";
import { expect, test } from "vitest";
import { App } from "../../../src/flow/app/app.ts";
import { ClosedError, InvalidArgumentError, WrongTypeError } from "../../../src/index.ts";
import { startServer, waitFor } from "../../../src/testing/index.ts";
import { open, Watch, within } from "../../connection/harness.ts";
import { failure } from "../../containers/harness.ts";
import { gate, Lines, Stage } from "./stage.ts";

const stage = new Stage(["--hz", "100", "--enable-debug-command", "yes"]);

/** Make a stream's consumers as old as if so many milliseconds had passed: their times stand in its dump. */
async function age(key: string, ms: number): Promise<void> {
  const { redis } = stage.watch;
  const dump = await redis.dumpBuffer(key);
  const now = Date.now();
  for (let at = 0; at < dump!.length - 8; at++) {
    const time = dump!.readBigUInt64LE(at);
    if (time > now - 300_000 && time <= now) dump!.writeBigUInt64LE(time - BigInt(ms), at);
  }
  await redis.call("DEBUG", "SET-SKIP-CHECKSUM-VALIDATION", "1");
  await redis.restore(key, 0, dump!, "REPLACE");
}

test("App.start, App.stop – hooks in order: startup before anything is read, shutdown after all has stopped", async () => {
  const notes: string[] = [];
  const app = stage.app();
  app.subscriber(stage.key, { group: "g" }, async () => void notes.push("handler"));
  app.onStartup(async () => {
    await Promise.resolve();
    notes.push(`first, groups: ${await stage.watch.redis.exists(stage.key)}`);
  });
  app.onStartup(() => void notes.push("second"));
  app.onShutdown(async () => {
    notes.push(`first down, consumers: ${await stage.consumers(stage.key)}`);
    await failure(app.publish({}, { stream: stage.key }), ClosedError);
  });
  app.onShutdown(() => void notes.push("second down"));
  const t = await app.test();
  await Promise.all([app.start(), app.start()]);
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  await Promise.all([app.stop(), app.stop()]);
  expect(notes).toEqual(["first, groups: 0", "second", "handler", "first down, consumers: ", "second down"]);
});

test("App.start – after stop: it does not start again, and says so", async () => {
  const app = stage.app();
  await app.start();
  await app.stop();
  await failure(app.start(), ClosedError);
});

test("App.run – called twice: both end when it is stopped", async () => {
  const app = stage.app();
  const runs = Promise.all([app.run(), app.run()]);
  await app.start();
  await app.stop();
  expect(await within(5000, runs)).toEqual([0, 0]);
});

test("App.start – a startup hook that fails: nothing is read, shutdown hooks are called, start rejects", async () => {
  const app = stage.app();
  const notes: string[] = [];
  app.subscriber(stage.key, { group: "g" }, () => {});
  app.onStartup(() => {
    throw new Error("no database");
  });
  app.onStartup(() => void notes.push("second"));
  app.onShutdown(() => void notes.push("down"));
  await expect(app.start()).rejects.toThrow("no database");
  expect(notes).toEqual(["down"]);
  expect(await stage.watch.redis.exists(stage.key)).toBe(0);
  await failure(app.publish({}, { stream: stage.key }), ClosedError);
});

test("App.stop – every shutdown hook is called, and the first failure is thrown", async () => {
  const log = new Lines();
  const app = stage.app({ log });
  const notes: string[] = [];
  app.onShutdown(() => {
    throw new Error("first");
  });
  app.onShutdown(() => {
    notes.push("second");
    throw new Error("second");
  });
  await app.start();
  await expect(app.stop()).rejects.toThrow("first");
  await expect(app.stop()).rejects.toThrow("first");
  expect(notes).toEqual(["second"]);
  expect(log.errors("a shutdown hook failed")).toHaveLength(2);
});

test("App.start – a key of another type: it rejects, and what had begun is stopped", async () => {
  const { redis } = stage.watch;
  await redis.set(`${stage.key}:b`, "text");
  const app = stage.app();
  app.subscriber(stage.key, { group: "g" }, () => {});
  app.subscriber(`${stage.key}:b`, { group: "g" }, () => {});
  await failure(app.start(), WrongTypeError);
  expect(await redis.get(`${stage.key}:b`)).toBe("text");
  expect(await app.health()).toMatchObject({ ready: false });
});

test("App.start – waits for a server that is away; stop ends the wait", async () => {
  await using server = await startServer();
  const db = open(server.options);
  await server.kill();
  const log = new Lines();
  const make = (): App => {
    const app = new App(db, { name: "early", log });
    app.subscriber("s", { group: "g" }, () => {});
    app.subscriber("s", {}, () => {});
    return app;
  };
  const never = make();
  const refused = failure(never.start(), ClosedError);
  await waitFor(() => log.lines.length >= 2, { what: "two warnings" });
  expect(log.lines[0]).toMatchObject({ level: "warn", facts: { error: { code: "CONNECTION_LOST" } } });
  await within(3000, never.stop());
  await refused;
  const app = make();
  const started = app.test();
  await server.restart();
  await using t = await within(10_000, started);
  await app.publish({}, { stream: "s" });
  await within(5000, t.handled(2));
  await app.stop();
  await db.close();
});

test("App – consumers are named by app and host; a stopped app removes its own, and idle ones of its kind at start", async () => {
  const { redis } = stage.watch;
  await redis.xgroup("CREATE", stage.key, "g", "0", "MKSTREAM");
  for (const name of ["app-old-1", "app-old-2", "other-old"])
    await redis.xgroup("CREATECONSUMER", stage.key, "g", name);
  await redis.xadd(stage.key, "1-0", "n", "1");
  await redis.xreadgroup("GROUP", "g", "app-old-2", "COUNT", 1, "STREAMS", stage.key, ">");
  const young = stage.app();
  young.subscriber(stage.key, { group: "g", lease: 60_000 }, () => {});
  const t = await young.test();
  await young.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  const named = (await stage.consumers(stage.key)).filter((name) => name.startsWith(`app-${hostname()}-`));
  expect(named).toHaveLength(1);
  expect(await stage.consumers(stage.key)).toEqual(
    expect.arrayContaining(["app-old-1", "app-old-2", "other-old"]),
  );
  await young.stop();
  expect((await stage.consumers(stage.key)).toSorted()).toEqual(["app-old-1", "app-old-2", "other-old"]);
  await age(stage.key, 59_000);
  const early = stage.app();
  early.subscriber(stage.key, { group: "g", lease: 60_000 }, () => {});
  await early.start();
  await early.stop();
  expect(await stage.consumers(stage.key)).toContain("app-old-1");
  await age(stage.key, 10_000);
  const late = stage.app();
  late.subscriber(stage.key, { group: "g", lease: 120_000 }, () => {});
  await late.start();
  await late.stop();
  expect(await stage.consumers(stage.key)).toContain("app-old-1");
  const due = stage.app();
  due.subscriber(stage.key, { group: "g", lease: 60_000, filter: () => false }, () => {});
  due.subscriber(stage.key, { group: "h", lease: 60_000 }, () => {});
  await due.start();
  expect(await stage.consumers(stage.key)).not.toContain("app-old-1");
  expect(await stage.consumers(stage.key)).toContain("other-old");
  await due.stop();
});

test("App – a consumer that is given its name keeps it, and its place", async () => {
  const app = stage.app({ consumer: "fixed" });
  app.subscriber(stage.key, { group: "g" }, () => {});
  const t = await app.test();
  await app.publish({}, { stream: stage.key });
  await within(5000, t.handled(1));
  await app.stop();
  expect(await stage.consumers(stage.key)).toEqual(["fixed"]);
});

test("App.stop – all subscribers stop at once: the slowest decides", async () => {
  const app = stage.app({ drain: 150 });
  const begun = [gate(), gate(), gate()];
  for (const [i, { pass }] of begun.entries())
    app.subscriber(`${stage.key}:${i}`, { group: "g" }, () => {
      pass();
      return new Promise(() => {});
    });
  await app.start();
  for (const i of begun.keys()) await app.publish({}, { stream: `${stage.key}:${i}` });
  await Promise.all(begun.map(({ passed }) => passed));
  const start = performance.now();
  await app.stop();
  // 150 ms to drain and a moment of 1 s, once and not three times.
  expect(performance.now() - start).toBeLessThan(2500);
});

test("App.stop – what handlers publish while it drains is stored", async () => {
  const app = stage.app();
  const to = `${stage.key}:to`;
  const begun = gate();
  const go = gate();
  app.subscriber(stage.key, { group: "g", publishTo: to }, async (_message, context) => {
    begun.pass();
    await go.passed;
    await context.publish("context", { stream: to });
    return "result";
  });
  await app.start();
  await app.publish({}, { stream: stage.key });
  await begun.passed;
  const stopped = app.stop();
  go.pass();
  await within(5000, stopped);
  expect(await stage.watch.redis.xlen(to)).toBe(2);
  expect(await stage.pending(stage.key)).toBe(0);
});

test("App.health – lag, pending and the last error by stream; ready from start to stop", async () => {
  const app = stage.app({ retry: { maxDeliveries: 1 }, prefetch: 1 });
  const [a, b] = [`${stage.key}:a`, `${stage.key}:b`];
  const held = gate();
  const begun = gate();
  app.subscriber(a, { group: "g" }, () => {
    begun.pass();
    return held.passed;
  });
  app.subscriber(b, { group: "g" }, () => {
    throw new TypeError("bad");
  });
  expect(await app.health()).toEqual({ healthy: true, ready: false, subscribers: [] });
  await app.start();
  for (const n of [1, 2, 3, 4, 5]) await app.publish(n, { stream: a });
  await app.publish(1, { stream: b });
  await begun.passed;
  const health = await waitFor(async () => {
    const { subscribers } = await app.health();
    return subscribers[1]!.lastError && subscribers[0]!.pending! > 0 ? app.health() : null;
  });
  expect(health).toMatchObject({ healthy: true, ready: true });
  const [first, second] = health.subscribers;
  expect(first).toMatchObject({ stream: a, group: "g", running: true, lastError: null });
  expect(first!.lag! + first!.pending!).toBe(5);
  expect(second).toMatchObject({ stream: b, lag: 0, lastError: new TypeError("bad") });
  held.pass();
  await app.stop();
  const stopped = await app.health();
  expect(stopped).toMatchObject({ healthy: true, ready: false });
  expect(stopped.subscribers[0]!.running).toBe(false);
});

test("App.health – answers soon where the server does not, asks it once, and says so", async () => {
  await using server = await startServer();
  const db = open(server.options);
  const app = new App(db, { name: "far", log: false });
  app.subscriber("s", { group: "g" }, () => {});
  app.subscriber("s", {}, () => {});
  await app.start();
  expect((await app.health()).ready).toBe(true);
  const watch = new Watch(server);
  const before = await watch.calls("xinfo\\|groups");
  await server.freeze();
  const all = await within(3000, Promise.all(Array.from({ length: 50 }, () => app.health())));
  expect(all[49]).toMatchObject({ healthy: true, ready: false });
  expect(all[49]!.subscribers).toMatchObject([{ lag: null, running: true }, { lag: null }]);
  await server.thaw();
  await waitFor(async () => (await app.health()).ready, { what: "to be ready again" });
  expect((await watch.calls("xinfo\\|groups")) - before).toBeLessThan(10);
  watch.redis.disconnect();
  await server.kill();
  expect(await within(3000, app.health())).toMatchObject({ healthy: true, ready: false });
  await within(10_000, app.stop());
  await db.close();
});

test("App.health – a subscriber that cannot go on makes it unhealthy, and ends run", async () => {
  const log = new Lines();
  const app = stage.app({ log });
  app.subscriber(stage.key, {}, () => {});
  const running = app.run();
  await waitFor(async () => (await app.health()).ready, { what: "to be ready" });
  await stage.watch.redis.multi().del(stage.key).set(stage.key, "text").exec();
  expect(await within(10_000, running)).toBe(1);
  expect(process.exitCode).toBe(1);
  process.exitCode = undefined;
  const health = await app.health();
  expect(health).toMatchObject({ healthy: false, ready: false });
  expect(health.subscribers[0]!.lastError).toBeInstanceOf(WrongTypeError);
  expect(log.errors("a subscriber has ended")[0]).toBeInstanceOf(WrongTypeError);
});

test("App.run – ends with 0 where it is stopped, and leaves no listener", async () => {
  const before = process.listenerCount("SIGTERM");
  const app = stage.app();
  const started = gate();
  app.onStartup(started.pass);
  const running = app.run();
  await started.passed;
  expect(process.listenerCount("SIGTERM")).toBe(before + 1);
  await app.stop();
  expect(await within(5000, running)).toBe(0);
  expect(process.listenerCount("SIGTERM")).toBe(before);
});

test("App – a log that throws does no harm", async () => {
  const thrower = (): never => {
    throw new Error("of the log");
  };
  const app = stage.app({ log: { debug: thrower, info: thrower, warn: thrower, error: thrower } });
  const fail = ({ data }: { data: unknown }): void => {
    if (data === "bad") throw new TypeError("bad");
  };
  app.subscriber(stage.key, { group: "g", retry: { maxDeliveries: 1 } }, fail);
  app.subscriber(stage.key, {}, fail);
  await using t = await app.test();
  await app.publish("bad", { stream: stage.key });
  await app.publish("good", { stream: stage.key });
  await within(5000, t.handled(2));
  await expect.poll(() => stage.watch.redis.xlen(`{${stage.key}}:dead`)).toBe(1);
  expect(() => app.log.info({}, "")).toThrow("of the log");
});

test("App.run – rejects where it cannot start", async () => {
  const app = stage.app();
  app.onStartup(() => {
    throw new Error("no database");
  });
  await expect(app.run()).rejects.toThrow("no database");
});

test("App.test – handled and published: the first n since, by stream; they reject where the app stops before", async () => {
  const app = stage.app();
  const [a, b] = [`${stage.key}:a`, `${stage.key}:b`];
  app.subscriber([a, b], { group: "g" }, () => {});
  await app.publish("before", { stream: a });
  const t = await app.test();
  expect((await within(5000, t.handled(1)))[0]!.data).toBe("before");
  const waiting = t.handled(2, { stream: b });
  await app.publish(1, { stream: b });
  await app.publish(2, { stream: a });
  await app.publish(3, { stream: b });
  expect((await within(5000, waiting)).map(({ data }) => data)).toEqual([1, 3]);
  expect((await t.published(2, { stream: b })).map(({ value }) => value)).toEqual([1, 3]);
  expect((await t.published(3)).map(({ value }) => value)).toEqual([1, 2, 3]);
  const more = [t.handled(5), t.published(9, { stream: a })].map((one) => failure(one, ClosedError));
  await expect(t.handled(5, { timeout: 50 })).rejects.toThrow("4 of 5 messages were handled within 50 ms");
  await failure(t.handled(0), InvalidArgumentError);
  await failure(app.test(), InvalidArgumentError);
  await t.stop();
  const [handled, published] = await Promise.all(more);
  expect(handled!.message).toBe("the app stopped when 4 of 5 messages were handled");
  expect(published!.message).toContain("1 of 9 messages of");
  await failure(t.handled(5), ClosedError);
});
