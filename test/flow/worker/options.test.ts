import { expect, test } from "vitest";
import { workerSettings } from "../../../src/flow/worker/options.ts";
import { InvalidArgumentError, Worker } from "../../../src/index.ts";
import { loose, Place } from "../../containers/harness.ts";

const place = new Place();
const handler = (): void => {};

test("workerSettings – the defaults, those of the manual", () => {
  const { retry, ...rest } = workerSettings({});
  expect(rest).toEqual({
    ...{ concurrency: 1, prefetch: 2, isAdaptive: true, batch: null, orderBy: null, lease: 30_000 },
    ...{ timeout: null, deadLetter: null, ack: "success", drain: 15_000, block: 5000, from: null },
    ...{ signal: null, stopOn: [] },
  });
  expect(retry.maxDeliveries).toBe(5);
});

test("workerSettings – an option that is undefined is one that is absent", () => {
  const { retry: _, ...plain } = workerSettings({});
  const names = Object.keys(plain).filter((name) => name !== "isAdaptive");
  const none = Object.fromEntries([...names, "retry"].map((name) => [name, undefined]));
  const { retry, ...settings } = workerSettings(none);
  expect(settings).toEqual(plain);
  expect(retry.maxDeliveries).toBe(5);
});

test("workerSettings – prefetch is twice the concurrency, at least the batch, or what is said", () => {
  const of = (options: object) => {
    const { prefetch, isAdaptive } = workerSettings(options);
    return [prefetch, isAdaptive];
  };
  expect(of({ concurrency: 10 })).toEqual([20, true]);
  expect(of({ concurrency: 10, batch: { size: 5 } })).toEqual([20, false]);
  expect(of({ concurrency: 10, batch: { size: 500 } })).toEqual([500, false]);
  expect(of({ concurrency: 10, prefetch: 3 })).toEqual([3, false]);
});

test("workerSettings – times as milliseconds or durations", () => {
  const { lease, timeout, drain, block, batch } = workerSettings({
    lease: { minutes: 1 },
    timeout: { seconds: 2 },
    drain: 0,
    block: { seconds: 1 },
    batch: { size: 3, wait: { seconds: 4 } },
  });
  expect({ lease, timeout, drain, block, batch }).toEqual({
    ...{ lease: 60_000, timeout: 2000, drain: 0, block: 1000, batch: { size: 3, wait: 4000 } },
  });
});

test("workerSettings – where a group begins", () => {
  const of = (from: unknown) => workerSettings({ from: loose(from) }).from;
  expect(["earliest", "latest", "5-3", 7, { id: "1-1" }].map(of)).toEqual(["0-0", "$", "5-3", "7-0", "1-1"]);
  expect(of(new Date(5))).toBe("5-18446744073709551615");
});

test("workerSettings – signals of the process, in a list of its own", () => {
  const list: NodeJS.Signals[] = ["SIGUSR2"];
  const { stopOn } = workerSettings({ stopOn: list });
  list.push("SIGHUP");
  expect(stopOn).toEqual(["SIGUSR2"]);
  expect(workerSettings({ stopOn: true }).stopOn).toEqual(["SIGINT", "SIGTERM"]);
  expect(workerSettings({ stopOn: false }).stopOn).toEqual([]);
});

const INTEGER = "a whole number of at least 1";
const TIME = "milliseconds of at least 0";
const DURATION = "milliseconds or a date-fns Duration";
const DAYS = "at most 2147483647 ms, which is 24.8 days";
const MONTH = { days: 30 };

test.each<[string, unknown, string, string?]>([
  ...[0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "1", null, 2n].map(
    (value) => ["concurrency", value, INTEGER] as [string, unknown, string],
  ),
  ...[0, 1.5, "5", null].map((value) => ["prefetch", value, INTEGER] as [string, unknown, string]),
  ["batch", null, "{ size, wait }"],
  ["batch", 5, "an object", "batch options"],
  ["batch", { size: 5, wiat: 1 }, "among size, wait", "batch options"],
  ["batch", {}, INTEGER, "batch.size"],
  ["batch", { size: 0 }, INTEGER, "batch.size"],
  ["batch", { size: 5, wait: -1 }, TIME, "batch.wait"],
  ["batch", { size: 5, wait: null }, DURATION, "batch.wait"],
  ["batch", { size: 5, wait: MONTH }, DAYS, "batch.wait"],
  ["orderBy", "sku", "a function that gives a message's key"],
  ["orderBy", null, "a function that gives a message's key"],
  ["lease", 9, "at least 10 ms"],
  ["lease", 0, "at least 10 ms"],
  ["lease", -1, TIME],
  ["lease", Number.POSITIVE_INFINITY, TIME],
  ["lease", null, DURATION],
  ["lease", "30s", DURATION],
  ["timeout", 0, "at least 1 ms"],
  ["timeout", null, DURATION],
  ["timeout", MONTH, DAYS],
  ["retry", null, "options or a function"],
  ["retry", 5, "an object", "retry options"],
  ["retry", { maxDeliveries: 0 }, INTEGER, "retry.maxDeliveries"],
  ["deadLetter", "", "a string that is not empty"],
  ["deadLetter", null, "a key, false or a function"],
  ["deadLetter", true, "a key, false or a function"],
  ["deadLetter", 5, "a key, false or a function"],
  ["ack", "sucess", "among success, always, first, manual"],
  ["ack", null, "among success, always, first, manual"],
  ["ack", true, "among success, always, first, manual"],
  ["drain", -1, TIME],
  ["drain", null, DURATION],
  ["drain", MONTH, DAYS],
  ["block", 0, "at least 1 ms"],
  ["block", null, DURATION],
  ["from", "first", '"earliest", "latest", an id or a Date'],
  ["from", null, '"earliest", "latest", an id or a Date'],
  ["from", ">", '"earliest", "latest", an id or a Date'],
  ["from", { s: "earliest" }, '"earliest", "latest", an id or a Date'],
  ["from", new Date(Number.NaN), '"earliest", "latest", an id or a Date'],
  ["signal", {}, "an AbortSignal"],
  ["signal", null, "an AbortSignal"],
  ["stopOn", "SIGINT", "true or a list of signals"],
  ["stopOn", null, "true or a list of signals"],
  ["stopOn", ["SIGNOT"], "of signals that can be listened to"],
  ["stopOn", ["SIGINT", "SIGKILL"], "of signals that can be listened to"],
  ["stopOn", [15], "of signals that can be listened to"],
  ["concurency", 5, "among concurrency, prefetch, batch,", "worker options"],
])("Worker – refused before anything is sent: %s %o", async (name, value, rule, argument = name) => {
  const group = place.db.consumerGroup("g", "s");
  const error = await place.refusal(() => place.db.worker(group, handler, { [name]: value }));
  expect(error.argument).toBe(argument);
  expect(error.rule).toContain(rule);
  expect(error.message).toBe(
    `${error.argument} must be ${error.rule}, got ${error.message.split(", got ")[1]}`,
  );
});

test("Worker – refused: no options, no handler, no group", async () => {
  const group = place.db.consumerGroup("g", "s");
  const make = (...args: unknown[]) => place.refusal(() => new Worker(...(args as [never, never, never])));
  expect(await make(group, handler, null)).toMatchObject({ argument: "worker options", rule: "an object" });
  expect(await make(group, undefined)).toMatchObject({ argument: "handler", rule: "a function" });
  expect(await make(group, {})).toMatchObject({ argument: "handler", value: {} });
  for (const source of [place.db.Stream("s"), [place.db.Stream("s")]])
    expect(await make(source, handler)).toMatchObject({ argument: "group" });
  for (const source of [undefined, "s", {}]) expect((await make(source, handler)).value).toBe(source);
  const both = { orderBy: () => 1, batch: { size: 2 } };
  expect(await make(group, handler, both)).toMatchObject({
    ...{ argument: "orderBy", rule: "absent where batch is given" },
  });
});

test("Worker – refused: dead letters that would be handled again", async () => {
  const group = place.db.consumerGroup("g", ["a", "b"]);
  const error = await place.refusal(() => place.db.worker(group, handler, { deadLetter: "b" }));
  expect(error).toMatchObject({ argument: "deadLetter", value: "b" });
  expect(error).toBeInstanceOf(InvalidArgumentError);
});

test("Worker – nothing is sent by the constructor, metrics, status, pause and stop", async () => {
  const sent = await place.sent(async () => {
    const worker = place.db.worker(place.db.consumerGroup("g", "s"), handler);
    worker.metrics();
    const status = worker.status();
    await worker.pause();
    worker.resume();
    await worker.stop();
    expect(await status.next()).toEqual({ done: true, value: undefined });
  });
  expect(sent).toEqual({});
});
