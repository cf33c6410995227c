import { setImmediate as turn } from "node:timers/promises";
import { inspect } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Redis } from "ioredis";
import { expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { Producer } from "../../src/flow/producer.ts";
import type { ProducerOptions } from "../../src/flow/producer-options.ts";
import {
  bytes,
  ClosedError,
  type InvalidArgumentError,
  json,
  ReplyError,
  WrongTypeError,
} from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { open, within } from "../connection/harness.ts";
import { failure, loose, numbered, Place } from "../containers/harness.ts";

const place = new Place();
const hour = { hours: 1 };

function make(options: ProducerOptions = {}, key = place.key()): Producer {
  return new Producer(place.db, key, options);
}

/** The numbers that a stream holds, in order. */
async function stored({ key }: { readonly key: string }): Promise<number[]> {
  return (await place.db.Stream(key).range()).map(({ data }) => Number(data["n"]));
}

const numbers = (count: number): number[] => numbered(count).map(({ n }) => n);

/** How many pieces the server has read while something was done: a small write is one. */
async function reads(act: () => Promise<unknown>): Promise<number> {
  const count = async (): Promise<number> =>
    Number(/total_reads_processed:(\d+)/.exec(await place.db.info("stats"))![1]);
  const before = await count();
  await act();
  return (await count()) - before - 1;
}

/** A promise, and what settles it. */
function gate(): { readonly passed: Promise<void>; readonly pass: () => void } {
  let pass = (): void => {};
  const passed = new Promise<void>((resolve) => {
    pass = resolve;
  });
  return { passed, pass };
}

test("Producer – what is no option, no time, no bound: refused at once, nothing is sent", async () => {
  const refusals: [unknown, string, string][] = [
    [{ linge: 1 }, "producer options", "among codec, schema, linger, window, maxlen"],
    [1, "producer options", "an object"],
    [{ linger: -1 }, "linger", "at least 0"],
    [{ linger: "1" }, "linger", "milliseconds or a date-fns Duration"],
    [{ linger: { days: 30 } }, "linger", "from 0 to 2147483647 milliseconds"],
    [{ window: 0 }, "window", "from 1 to"],
    [{ window: { hour: 1 } }, "window unit", "among years"],
    [{ maxlen: 1, minid: "1-1" }, "minid", "absent where maxlen is given"],
    [{ maxlen: -1 }, "maxlen", "a whole number of at least 0"],
    [{ limit: 5 }, "limit", "given with maxlen or minid"],
    [{ approximate: 1 }, "approximate", "true or false"],
    [{ codec: {} }, "codec", "an object with encode and decode"],
    [{ schema: {} }, "schema", "a Standard Schema"],
  ];
  for (const [options, argument, rule] of refusals) {
    const error = await place.refusal(() => make(loose(options)));
    expect(error.argument).toBe(argument);
    expect(error.rule).toContain(rule);
  }
  expect((await place.refusal(() => make({}, ""))).argument).toBe("key");
  expect((await place.refusal(() => new Producer(loose({}), "a"))).argument).toBe("client");
  expect(Producer.allMetrics()).toEqual([]);
});

test("Producer.push, pushMany, ensureGroup – what cannot be pushed: a rejection, nothing is sent", async () => {
  const producer = make();
  const calls: [() => Promise<unknown>, string, string?][] = [
    [() => producer.push(loose(null)), "data"],
    [() => producer.push(loose({ a: null })), 'data["a"]'],
    [() => producer.push({ a: 1 }, loose({ idempotencykey: "k" })), "push options"],
    [() => producer.push({ a: 1 }, { idempotencyKey: "" }), "idempotencyKey"],
    [() => producer.push({ a: 1 }, { idempotencyKey: loose(7) }), "idempotencyKey"],
    [() => producer.push({ a: 1 }, { id: "x" }), "id"],
    [() => producer.push({ a: 1 }, { headers: loose({ h: 1 }) }), "headers.h"],
    [() => producer.pushMany(loose(5)), "values"],
    [() => producer.pushMany([{ a: 1 }], loose({ id: 1 })), "pushMany options"],
    [() => producer.pushMany([{ a: 1 }], { idempotencyKey: loose("k") }), "idempotencyKey"],
    [() => producer.pushMany([{ a: 1 }, loose({})]), "data", "(value 1 of pushMany)"],
    [() => producer.pushMany([loose({})], { idempotencyKey: () => "k" }), "data", "(value 0 of pushMany)"],
    [
      () => producer.pushMany([{ a: 1 }], { idempotencyKey: () => loose(undefined) }),
      "idempotencyKey",
      "(value 0 of pushMany)",
    ],
    [() => producer.ensureGroup(""), "group"],
    [() => producer.ensureGroup("g", ">"), "id"],
  ];
  for (const [call, argument, text = ""] of calls) {
    const error: InvalidArgumentError = await place.refusal(call);
    expect(`${call} ${error.argument}`).toBe(`${call} ${argument}`);
    expect(error.message).toContain(text);
  }
  expect(producer.metrics()).toMatchObject({ pushed: 0, failed: calls.length - 2 });
  await producer.close();
});

test("Producer.push – 2,500 at once: in order, each its own id; within few writes", async () => {
  await using producer = make();
  const ids = await Promise.all(numbered(2500).map((data) => producer.push(data)));
  expect((await place.db.Stream(producer.key).range()).map(({ id }) => id)).toEqual(ids);
  expect(await stored(producer)).toEqual(numbers(2500));
});

test("Producer.push – 50 made together are one write, with keys or without", async () => {
  await using producer = make();
  await producer.push({ n: 0 }, { idempotencyKey: "first" }); // The wire is there, and the script.
  const plain = await reads(() => Promise.all(numbered(50).map((data) => producer.push(data))));
  expect(plain).toBe(1);
  const keyed = await reads(() =>
    Promise.all(numbered(50).map((data) => producer.push(data, { idempotencyKey: String(data.n) }))),
  );
  expect(keyed).toBe(1);
  expect(await place.db.xlen(producer.key)).toBe(101);
});

test("Producer.push – one after another: each goes out at once, without a timer", async () => {
  await using producer = make();
  await producer.push({ n: 0 });
  vi.useFakeTimers({ toFake: ["setTimeout", "setInterval", "setImmediate"] });
  onTestFinished(() => void vi.useRealTimers());
  const count = await reads(async () => {
    for (const data of numbered(5, 1)) await producer.push(data);
  });
  expect(count).toBe(5);
});

test("Producer.push – linger: what comes in later turns shares the write of the first", async () => {
  await using producer = make({ linger: 50 });
  await producer.push({ n: 0 });
  const count = await reads(async () => {
    const pushed: Promise<string>[] = [];
    for (const data of numbered(5, 1)) {
      pushed.push(producer.push(data));
      await turn();
    }
    await Promise.all(pushed);
  });
  expect(count).toBe(1);
  expect(await stored(producer)).toEqual(numbers(6));
});

test("Producer.push – linger: a full batch does not wait, one of few but big entries neither", async () => {
  await using producer = make({ linger: hour });
  await within(5000, Promise.all(numbered(1000).map((data) => producer.push(data))));
  const text = "x".repeat(3 * 1024 * 1024);
  await within(
    5000,
    Promise.all([producer.push({ text }), producer.push({ text }), producer.push({ text })]),
  );
  const alone = producer.push({ n: 1003 });
  await place.db.ping();
  expect(await place.db.xlen(producer.key)).toBe(1003);
  await within(5000, producer.flush());
  expect(await alone).toBe((await place.db.Stream(producer.key).last())!.id);
});

test("Producer.push – a schema that takes its time: order is kept, a refusal is one's own", async () => {
  const gates = [gate(), gate(), gate(), gate()];
  const schema = z.object({ n: z.string() }).refine(async ({ n }) => {
    await gates[Number(n)]!.passed;
    return n !== "1";
  });
  await using producer = new Producer(place.db, place.key(), { schema });
  const pushes = ["0", "1", "2", "3"].map((n) => producer.push({ n }));
  const outcomes = Promise.allSettled(pushes);
  const flushed = producer.flush();
  for (const { pass } of [gates[3]!, gates[2]!, gates[1]!]) {
    pass();
    await turn();
  }
  await expect(pushes[1]).rejects.toThrow("data must be as the schema says");
  expect(await place.db.xlen(producer.key)).toBe(0);
  gates[0]!.pass();
  await flushed;
  expect((await outcomes).map(({ status }) => status)).toEqual([
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
  ]);
  expect(await stored(producer)).toEqual([0, 2, 3]);
});

test("Producer.push – a schema refuses: InvalidArgumentError with the path, nothing is sent", async () => {
  const schema = z.object({ sku: z.string(), total: z.coerce.number() });
  const producer = new Producer(place.db, place.key(), { schema, codec: json() });
  const error = await place.refusal(() => producer.push(loose({ sku: 5, total: 7 })));
  expect(error.argument).toBe("data.sku");
  const id = await producer.push({ sku: "a", total: "7" });
  expect((await place.db.Stream(producer.key, { schema, codec: json() }).get(id))!.data).toEqual({
    sku: "a",
    total: 7,
  });
  await producer.close();
});

test("Producer.push – id and headers; one refused id of a batch is its own failure", async () => {
  await using producer = make();
  const outcomes = await Promise.allSettled([
    producer.push({ n: 0 }, { id: "5-1", headers: { region: "eu" } }),
    producer.push({ n: 1 }, { id: "4-1" }),
    producer.push({ n: 2 }, { id: new Date(7) }),
    producer.push({ n: 3 }, { id: "3-3", idempotencyKey: "k" }),
  ]);
  expect(outcomes[0]).toEqual({ status: "fulfilled", value: "5-1" });
  expect(outcomes[2]).toEqual({ status: "fulfilled", value: "7-0" });
  for (const outcome of [outcomes[1], outcomes[3]]) {
    const { reason } = outcome as PromiseRejectedResult;
    expect(reason).toBeInstanceOf(ReplyError);
    expect(reason).toMatchObject({ command: "XADD", stream: producer.key, prefix: "ERR" });
    expect(reason.message).toContain("equal or smaller");
  }
  expect((await place.db.Stream(producer.key).get("5-1"))!.headers).toEqual({ region: "eu" });
  expect(producer.metrics()).toMatchObject({ pushed: 2, failed: 2 });
  // What was refused is not remembered.
  expect(await producer.push({ n: 4 }, { id: "8-1", idempotencyKey: "k" })).toBe("8-1");
});

test("Producer – the key holds something else: WrongTypeError, and it is not touched", async () => {
  await using producer = make();
  await place.db.set(producer.key, "text");
  const pushes = [
    () => producer.push({ n: 0 }),
    () => producer.push({ n: 0 }, { idempotencyKey: "k" }),
    () => producer.pushMany(numbered(3)),
    () => producer.pushMany(numbered(3), { idempotencyKey: (_, index) => `m${index}` }),
    () => producer.ensureGroup("g"),
  ];
  for (const push of pushes) expect((await failure(push, WrongTypeError)).stream).toBe(producer.key);
  expect(await place.db.get(producer.key)).toBe("text");
  expect(await place.db.exists(`{${producer.key}}:once:k`)).toBe(0);
});

test("Producer.push – bytes may be used again as soon as it returns", async () => {
  await using producer = new Producer(place.db, place.key(), { codec: bytes, linger: hour });
  const data = Buffer.from("before");
  const pushed = producer.push({ data });
  data.fill("x");
  await producer.flush();
  const message = await place.db.Stream(producer.key).get(await pushed);
  expect(message!.data["data"]).toBe("before");
});

test("Producer.push – an idempotency key: repeats give the first id, by any producer, and one entry", async () => {
  await using producer = make();
  await using other = make({}, producer.key);
  const idempotencyKey = "order é 7";
  const first = await producer.push({ n: 0 }, { idempotencyKey });
  const again = await Promise.all([
    producer.push({ n: 1 }, { idempotencyKey }),
    other.push({ n: 2 }, { idempotencyKey, id: "1-1", headers: { a: "b" } }),
    other.push({ n: 3 }, { idempotencyKey }),
  ]);
  expect(new Set(again)).toEqual(new Set([first]));
  expect(await stored(producer)).toEqual([0]);
  expect(await producer.push({ n: 4 }, { idempotencyKey: "another" })).not.toBe(first);
  const left = await place.db.pttl(`{${producer.key}}:once:${idempotencyKey}`);
  expect(left).toBeGreaterThan(290_000);
  expect(left).toBeLessThanOrEqual(300_000);
});

test("Producer.push – an idempotency key is forgotten after the window, which a repeat does not lengthen", async () => {
  await using producer = make({ window: { seconds: 0.2 } });
  const start = performance.now();
  const first = await producer.push({ n: 0 }, { idempotencyKey: "k" });
  const next = await waitFor(
    async () => {
      const id = await producer.push({ n: 1 }, { idempotencyKey: "k" });
      return id === first ? null : id;
    },
    { what: "a new id" },
  );
  expect(performance.now() - start).toBeGreaterThanOrEqual(199);
  expect(next).not.toBe(first);
  expect(await stored(producer)).toEqual([0, 1]);
});

test("Producer.push – SCRIPT FLUSH: those that the server does not know are sent with the text, all in one write", async () => {
  await using producer = make();
  await producer.push({ n: 0 }, { idempotencyKey: "0" });
  await place.db.script("FLUSH");
  const sent = await place.sent(() =>
    Promise.all(numbered(30, 1).map((data) => producer.push(data, { idempotencyKey: String(data.n) }))),
  );
  expect(sent).toMatchObject({ evalsha: 30, eval: 30, xadd: 30 });
  expect(await stored(producer)).toEqual(numbers(31));
  const after = await place.sent(() => producer.push({ n: 31 }, { idempotencyKey: "31" }));
  expect(after).toMatchObject({ evalsha: 1, xadd: 1 });
  expect(after).not.toHaveProperty("eval");
});

test("Producer – maxlen and minid, with keys, without, and in bulk", async () => {
  await using short = make({ maxlen: 3, approximate: false });
  for (const data of numbered(5)) await short.push(data);
  expect(await stored(short)).toEqual([2, 3, 4]);
  for (const data of numbered(4, 5)) await short.push(data, { idempotencyKey: String(data.n) });
  expect(await stored(short)).toEqual([6, 7, 8]);
  await short.pushMany(numbered(4, 9));
  expect(await stored(short)).toEqual([10, 11, 12]);
  await using recent = make({ minid: "5-0", approximate: false });
  for (const n of [4, 5, 6]) await recent.push({ n }, { id: `${n}-0` });
  expect(await stored(recent)).toEqual([5, 6]);
});

test("Producer.pushMany – any iterable; ids in order; after the pushes before it", async () => {
  await using producer = make({ linger: hour });
  const first = producer.push({ n: 0 });
  const ids = await producer.pushMany(numbered(2500, 1), { headers: { a: "b" } });
  expect((await place.db.Stream(producer.key).range()).map(({ id }) => id)).toEqual([await first, ...ids]);
  await producer.pushMany(
    (async function* () {
      yield* numbered(3, 2501);
    })(),
  );
  await producer.pushMany(new Set(numbered(2, 2504)).values());
  expect(await producer.pushMany([])).toEqual([]);
  expect(await stored(producer)).toEqual(numbers(2506));
  expect((await place.db.Stream(producer.key).get(ids[7]!))!.headers).toEqual({ a: "b" });
  expect(producer.metrics().pushed).toBe(2506);
});

test("Producer.pushMany – with keys: once each, however often it is called; after the pushes before it", async () => {
  await using producer = make({ linger: hour });
  const first = producer.push({ n: 0 }, { idempotencyKey: "0" });
  const push = (values: Iterable<{ n: number }>) =>
    producer.pushMany(values, {
      headers: { a: "b" },
      idempotencyKey: ({ n }, index) => `${n} ${index}`,
    });
  const ids = await push(numbered(2500, 1));
  expect((await place.db.Stream(producer.key).range()).map(({ id }) => id)).toEqual([await first, ...ids]);
  expect(await stored(producer)).toEqual(numbers(2501));
  expect(await push(numbered(2500, 1).values())).toEqual(ids);
  expect(await place.db.xlen(producer.key)).toBe(2501);
  expect((await place.db.Stream(producer.key).get(ids[7]!))!.headers).toEqual({ a: "b" });
});

test.each([false, true])(
  "Producer.pushMany – an endless source is never far ahead (keys: %s)",
  async (isKeyed) => {
    await using producer = make();
    let furthest = 0;
    const boom = new Error("enough");
    let isReturned = false;
    const source = {
      *[Symbol.iterator]() {
        try {
          for (let n = 0; ; n++) {
            furthest = Math.max(furthest, n - producer.metrics().pushed);
            if (producer.metrics().pushed >= 6000) throw boom;
            yield { n };
          }
        } finally {
          isReturned = true;
        }
      },
    };
    const options = isKeyed ? { idempotencyKey: ({ n }: { n: number }) => String(n) } : {};
    await expect(producer.pushMany(source, options)).rejects.toBe(boom);
    expect(isReturned).toBe(true);
    expect(furthest).toBeLessThanOrEqual(2001);
    expect(furthest).toBeGreaterThan(900);
  },
);

test("Producer.pushMany – a value that is refused: the source is told to end, what came before is stored", async () => {
  await using producer = make();
  let isReturned = false;
  async function* source() {
    try {
      yield* [{ n: 0 }, { n: 1 }, loose({ n: null }), { n: 3 }];
    } finally {
      isReturned = true;
    }
  }
  const keyed = producer.pushMany(source(), { idempotencyKey: (_, index) => String(index) });
  await expect(keyed).rejects.toThrow("(value 2 of pushMany)");
  expect(isReturned).toBe(true);
  expect(await stored(producer)).toEqual([0, 1]);
});

test("Producer.ensureGroup – made once, from where it is told", async () => {
  await using producer = make();
  expect(await producer.ensureGroup("g")).toBe(true);
  expect(await producer.ensureGroup("g", "5-5")).toBe(false);
  await producer.push({ n: 0 }, { id: "1-1" });
  expect(await producer.ensureGroup("late", "1-1")).toBe(true);
  const groups = await place.db.Stream(producer.key).groupsInfo();
  expect(groups.map(({ name, lastDeliveredId }) => [name, lastDeliveredId])).toEqual([
    ["g", "0-0"],
    ["late", "1-1"],
  ]);
});

test("Producer.flush – all that was pushed is settled; a failure is its push's own", async () => {
  await using producer = make({ linger: hour });
  await producer.flush();
  const settled: string[] = [];
  const note = (name: string, pushed: Promise<unknown>) =>
    pushed.then(
      () => settled.push(name),
      () => settled.push(`${name} failed`),
    );
  note("plain", producer.push({ n: 0 }, { id: "5-5" }));
  note("refused", producer.push({ n: 1 }, { id: "1-1" }));
  note("keyed", producer.push({ n: 2 }, { idempotencyKey: "k" }));
  note("many", producer.pushMany(numbered(1500)));
  await within(5000, producer.flush());
  await turn();
  expect(settled.sort()).toEqual(["keyed", "many", "plain", "refused failed"]);
});

test("Producer.close – what was pushed is stored, also what lingers; then it refuses", async () => {
  const producer = make({ linger: hour });
  const pushes = [producer.push({ n: 0 }), producer.push({ n: 1 }, { idempotencyKey: "k" })];
  const many = producer.pushMany(numbered(3000, 2));
  const closing = producer.close();
  expect(producer.close()).toBe(closing);
  const late = [
    () => producer.push({ n: -1 }),
    () => producer.push({ n: -1 }, { idempotencyKey: "late" }),
    () => producer.pushMany(numbered(2)),
    () => producer.ensureGroup("g"),
  ];
  for (const call of late) expect((await failure(call, ClosedError)).code).toBe("CLOSED");
  await within(5000, closing);
  const ids = await Promise.all([...pushes, many]);
  expect(new Set(ids.flat()).size).toBe(3002);
  expect((await stored(producer)).toSorted((a, b) => a - b)).toEqual(numbers(3002));
  await producer[Symbol.asyncDispose]();
});

test.each([false, true])("Producer.close – a source that never ends is cut (keys: %s)", async (isKeyed) => {
  const producer = make();
  const options = isKeyed ? { idempotencyKey: ({ n }: { n: number }) => String(n) } : {};
  let given = 0;
  let isReturned = false;
  async function* waiting() {
    yield { n: given++ };
    yield { n: given++ };
    await new Promise(() => {});
  }
  function* endless() {
    try {
      for (;;) yield { n: given++ };
    } finally {
      isReturned = true;
    }
  }
  const waits = failure(producer.pushMany(waiting(), options), ClosedError);
  const never = failure(producer.pushMany(endless(), options), ClosedError);
  await waitFor(() => producer.metrics().pushed > 2000, { what: "some to be stored" });
  await within(5000, producer.close());
  await within(100, Promise.all([waits, never]));
  expect(isReturned).toBe(true);
  const numbersOfAll = await stored(producer);
  expect(numbersOfAll.length).toBe(given);
  expect(new Set(numbersOfAll).size).toBe(given);
});

test("Producer.close – a source that has ended is not cut", async () => {
  const producer = make();
  const pushed = producer.pushMany(numbered(10).values());
  await turn();
  await producer.close();
  expect(await pushed).toHaveLength(10);
});

test("Producer – the database is closed: pushes reject, close ends", async () => {
  const db = open(place.server.options);
  const producer = new Producer(db, place.key(), { linger: hour });
  const lingering = failure(producer.push({ n: 0 }), ClosedError);
  await db.close();
  await within(1000, producer.close());
  await lingering;
});

test("Producer – on a plain ioredis connection, with a keyPrefix", async () => {
  const redis = new Redis({ ...place.server.options, keyPrefix: "p:" });
  const key = place.key();
  const producer = new Producer(redis, key);
  const first = await producer.push({ n: 0 });
  const second = await producer.push({ n: 1 }, { idempotencyKey: "k" });
  const [third] = await producer.pushMany([{ n: 2 }]);
  expect(await producer.ensureGroup("g")).toBe(true);
  expect((await place.db.Stream(`p:${key}`).range()).map(({ id }) => id)).toEqual([first, second, third]);
  expect(await place.db.get(`p:{${key}}:once:k`)).toBe(second);
  expect(inspect(producer)).toBe(`<Producer ${key}>`);
  await producer.close();
  redis.disconnect();
});

test("Producer.metrics – counts, rates and uptime", async () => {
  await using producer = make();
  expect(producer.metrics()).toMatchObject({ pushed: 0, failed: 0 });
  await producer.push({ n: 0 });
  await producer.push({ n: 0 }, { idempotencyKey: "k" });
  await producer.pushMany(numbered(98));
  await expect(producer.push({ n: 0 }, { id: "1-1" })).rejects.toThrow("equal or smaller");
  const metrics = await waitFor(() => {
    const now = producer.metrics();
    return now.uptime >= 200 ? now : null;
  });
  expect(metrics).toMatchObject({ pushed: 100, failed: 1 });
  for (const rate of [metrics.rate, metrics.averageRate])
    expect(Math.abs((rate * metrics.uptime) / 1000 - 100)).toBeLessThan(10);
});

test("Producer.allMetrics – those that are not closed; one that nobody holds is let go", async () => {
  setFlagsFromString("--expose-gc");
  const gc = runInNewContext("gc") as () => void;
  const ours = (): string[] => Producer.allMetrics().map(({ stream }) => stream);
  const [kept, closed, dropped] = ["kept", "closed", "dropped"].map((name) => place.key(name)) as [
    string,
    string,
    string,
  ];
  const producer = make({}, kept);
  const other = make({}, closed);
  await (async () => {
    const lost = make({}, dropped);
    await Promise.all([lost.push({ n: 0 }), lost.push({ n: 1 }, { idempotencyKey: "k" })]);
    await lost.pushMany(numbered(3));
  })();
  expect(ours()).toEqual(expect.arrayContaining([kept, closed, dropped]));
  await other.close();
  expect(ours()).not.toContain(closed);
  await waitFor(
    () => {
      gc();
      return !ours().includes(dropped);
    },
    { what: "the dropped one to be collected" },
  );
  expect(Producer.allMetrics().find(({ stream }) => stream === kept)).toMatchObject({ pushed: 0, failed: 0 });
  await producer.close();
});
