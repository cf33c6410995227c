import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { metrics } from "@opentelemetry/api";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { describe, expect, test } from "vitest";
import { Producer } from "../../src/flow/producer.ts";
import { Worker } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { instrument, traceHandler } from "../../src/watching/otel.ts";
import { Ground } from "../flow/harness.ts";
import { Sdk } from "./harness.ts";

const ground = new Ground();
const sdk = new Sdk();

setFlagsFromString("--expose_gc");
const collectGarbage: () => void = runInNewContext("gc");

const group = () => ground.db.consumerGroup("g", [ground.key]);
const stream = () => ground.db.Stream(ground.key);
/** The attributes of what this test instruments. */
const mine = (more: Record<string, string> = {}) => ({ "messaging.destination.name": ground.key, ...more });

describe("instrument – a worker", () => {
  test("what it counts is reported, by the conventions", async () => {
    await stream().addMany([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await using worker = ground.db.worker(
      group(),
      ({ data }) => {
        if (data.n === "2") throw new Error("no");
        if (data.n === "3") throw new Error("never");
      },
      { retry: { maxDeliveries: 1 } },
    );
    using _ = instrument(worker);
    await worker.runOnce();
    const all = await sdk.scrape();
    const of = (name: string) =>
      all.get(name)!.dataPoints.filter((p) => p.attributes["messaging.destination.name"] === ground.key);
    expect(of("messaging.client.consumed.messages")).toMatchObject([
      {
        value: 3,
        attributes: {
          "messaging.system": "redis",
          "messaging.destination.name": ground.key,
          "messaging.consumer.group.name": "g",
          "messaging.operation.name": "receive",
          "messaging.operation.type": "receive",
        },
      },
    ]);
    const values = Object.fromEntries(
      ["acked", "failed", "retried", "reclaimed", "dead_lettered", "released", "in_flight"].map((name) => [
        name,
        of(`walrus.worker.${name}`)[0]!.value,
      ]),
    );
    const { acked, failed, retried, reclaimed, deadLettered, released, inFlight } = worker.metrics();
    expect(values).toEqual({
      acked,
      failed,
      retried,
      reclaimed,
      dead_lettered: deadLettered,
      released,
      in_flight: inFlight,
    });
    expect(values).toMatchObject({ acked: 1, failed: 2, dead_lettered: 2 });
    expect(all.get("walrus.worker.acked")!.descriptor).toMatchObject({
      unit: "{message}",
      type: "OBSERVABLE_COUNTER",
    });
  });

  test("in flight – goes up and down", async () => {
    await stream().add({ n: 1 });
    let finish = () => {};
    await using worker = ground.db.worker(group(), () => new Promise<void>((resolve) => (finish = resolve)));
    using _ = instrument(worker);
    const over = worker.runOnce();
    await waitFor(() => worker.metrics().inFlight === 1, { what: "the handler" });
    expect(await sdk.values("walrus.worker.in_flight", mine())).toEqual([1]);
    finish();
    await over;
    expect(await sdk.values("walrus.worker.in_flight", mine())).toEqual([0]);
  });

  test("of several streams – no destination", async () => {
    const many = ground.db.consumerGroup(`many-${ground.key}`, [ground.key, `${ground.key}b`]);
    await using worker = ground.db.worker(many, () => {});
    using _ = instrument(worker);
    const [point] = await sdk.points("walrus.worker.acked", {
      "messaging.consumer.group.name": `many-${ground.key}`,
    });
    expect(point!.attributes).not.toHaveProperty("messaging.destination.name");
  });

  test("two of one group – are added up, and the sum stays when one is no longer reported", async () => {
    await using first = ground.db.worker(group(), () => {});
    await using second = ground.db.worker(group().consumer("other"), () => {});
    const one = instrument(first);
    using _ = instrument(second);
    await stream().addMany([{ n: 1 }, { n: 2 }]);
    await first.runOnce();
    await stream().add({ n: 3 });
    await second.runOnce();
    expect([first.metrics().acked, second.metrics().acked]).toEqual([2, 1]);
    expect(await sdk.values("walrus.worker.acked", mine())).toEqual([3]);
    expect(await sdk.values("walrus.worker.acked", mine())).toEqual([3]);
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    expect(await sdk.values("walrus.worker.acked", mine())).toEqual([3]);
    await stream().add({ n: 4 });
    await second.runOnce();
    expect(await sdk.values("walrus.worker.acked", mine())).toEqual([4]);
  });

  test("disposed – it is not looked at any more; instrumented again it goes on", async () => {
    await using worker = ground.db.worker(group(), () => {});
    const first = instrument(worker);
    await stream().add({ n: 1 });
    await worker.runOnce();
    expect(await sdk.values("walrus.worker.acked", mine())).toEqual([1]);
    first[Symbol.dispose]();
    let looks = 0;
    const metrics = worker.metrics.bind(worker);
    worker.metrics = () => {
      looks++;
      return metrics();
    };
    await sdk.scrape();
    expect(looks).toBe(0);
    using _ = instrument(worker);
    await sdk.scrape();
    expect(looks).toBeGreaterThan(0);
  });

  test("it is not held: one that nobody else has is collected, and what it counted stays", async () => {
    await stream().add({ n: 1 });
    const registrations: Disposable[] = [];
    const make = async (): Promise<WeakRef<object>> => {
      const worker = new Worker(group(), () => {});
      registrations.push(instrument(worker));
      await worker.runOnce();
      await sdk.scrape();
      await worker.stop();
      return new WeakRef(worker);
    };
    const reference = await make();
    await waitFor(
      () => {
        collectGarbage();
        return reference.deref() === undefined;
      },
      { what: "the worker to be collected" },
    );
    expect(await sdk.values("walrus.worker.acked", mine())).toEqual([1]);
    for (const registration of registrations) registration[Symbol.dispose]();
  });
});

describe("instrument – a producer", () => {
  test("what was sent, and what failed with an error type", async () => {
    await using producer = new Producer(ground.db, ground.key);
    using _ = instrument(producer);
    await producer.pushMany([{ n: 1 }, { n: 2 }]);
    await expect(producer.push({ n: null } as never)).rejects.toThrow();
    const points = await sdk.points("messaging.client.sent.messages", mine());
    expect(points.map(({ value, attributes }) => [value, attributes["error.type"]])).toEqual([
      [2, undefined],
      [1, "_OTHER"],
    ]);
    expect(points[0]!.attributes).toMatchObject({
      "messaging.operation.name": "send",
      "messaging.system": "redis",
    });
  });
});

describe("instrument – a group", () => {
  const facts = () => mine({ "messaging.consumer.group.name": "g" });

  test("lag, pending, dead letters and age, stream by stream", async () => {
    const other = `${ground.key}b`;
    const both = ground.db.consumerGroup("g", [ground.key, other]);
    await both.create();
    await stream().addMany([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await both.streams[ground.key]!.read({ count: 2 });
    await waitFor(async () => (await both.stats()).oldestPendingAge! > 0, { what: "an age" });
    using _ = instrument(both);
    const all = await sdk.scrape();
    const of = (name: string, key: string) =>
      all
        .get(`walrus.group.${name}`)!
        .dataPoints.find((p) => p.attributes["messaging.destination.name"] === key)!;
    expect(of("lag", ground.key)).toMatchObject({
      value: 1,
      attributes: { "messaging.system": "redis", ...facts() },
    });
    expect(of("pending", ground.key).value).toBe(2);
    expect(of("dead_letters", ground.key).value).toBe(0);
    expect(of("oldest_pending_age", ground.key).value).toBeGreaterThan(0);
    expect(of("oldest_pending_age", ground.key).value).toBeLessThan(20);
    expect(of("oldest_pending_age", other).value).toBe(0);
    expect(of("lag", other).value).toBe(0);
  });

  test("many scrapes – the server is asked once in `every`", async () => {
    const cg = group();
    await cg.create();
    using _ = instrument(cg, { every: { hours: 1 } });
    const before = await ground.watch.calls("xpending");
    await stream().add({ n: 1 });
    for (let i = 0; i < 5; i++) expect(await sdk.values("walrus.group.lag", facts())).toEqual([1]);
    await stream().add({ n: 2 });
    expect(await sdk.values("walrus.group.lag", facts())).toEqual([1]);
    expect((await ground.watch.calls("xpending")) - before).toBe(1);
  });

  test("every: 0 – it is asked at each scrape", async () => {
    const cg = group();
    await cg.create();
    using _ = instrument(cg, { every: 0 });
    const before = await ground.watch.calls("xpending");
    expect(await sdk.values("walrus.group.lag", facts())).toEqual([0]);
    await stream().add({ n: 1 });
    expect(await sdk.values("walrus.group.lag", facts())).toEqual([1]);
    expect((await ground.watch.calls("xpending")) - before).toBe(2);
  });

  test("a group that is not there, or a closed database – nothing is reported, the scrape goes on", async () => {
    using _ = instrument(group(), { every: 0 });
    expect(await sdk.values("walrus.group.lag", facts())).toEqual([]);
    await group().create();
    expect(await sdk.values("walrus.group.lag", facts())).toEqual([0]);
    await ground.db.close();
    expect(await sdk.values("walrus.group.pending", facts())).toEqual([]);
  });

  test("a server that hangs – the scrape waits a second, not longer", async () => {
    const cg = group();
    await cg.create();
    using _ = instrument(cg, { every: 0 });
    await ground.server.freeze();
    try {
      const begun = performance.now();
      expect(await sdk.values("walrus.group.lag", facts())).toEqual([]);
      expect(performance.now() - begun).toBeLessThan(4000);
    } finally {
      await ground.server.thaw();
    }
    await waitFor(async () => (await sdk.values("walrus.group.lag", facts())).length === 1, {
      what: "a lag again",
    });
  });

  test("disposed – the server is asked no more", async () => {
    const cg = group();
    await cg.create();
    const registration = instrument(cg, { every: 0 });
    await sdk.scrape();
    registration[Symbol.dispose]();
    const before = await ground.watch.calls("xpending");
    await sdk.scrape();
    expect(await ground.watch.calls("xpending")).toBe(before);
  });

  test("a time series – likewise", async () => {
    const series = ground.db.timeSeries("g", [ground.key]);
    await series.create();
    using _ = instrument(series, { every: 0 });
    expect(await sdk.values("walrus.group.lag", facts())).toEqual([0]);
  });
});

describe("durations", () => {
  test("traceHandler – a histogram of seconds, by outcome", async () => {
    await stream().addMany([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await using worker = ground.db.worker(
      group(),
      traceHandler(async ({ data }) => {
        if (data.n === "2") throw new TypeError("no");
      }),
      { retry: { maxDeliveries: 1 } },
    );
    await worker.runOnce();
    const points = await sdk.points("messaging.process.duration", mine());
    const [good, bad] = points as {
      value: { count: number; sum: number; buckets: { boundaries: number[] } };
    }[];
    expect(good!.value).toMatchObject({ count: 2 });
    expect(good!.value.sum).toBeLessThan(1);
    expect(good!.value.buckets.boundaries[0]).toBe(0.005);
    expect(bad!.value).toMatchObject({ count: 1 });
    expect(points.map(({ attributes }) => attributes["error.type"])).toEqual([undefined, "TypeError"]);
    expect(points[0]!.attributes).toEqual({
      "messaging.system": "redis",
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "messaging.destination.name": ground.key,
      "messaging.consumer.group.name": "g",
    });
  });

  test("an SDK that is set up later – has those from then on", async () => {
    await stream().addMany([{ n: 1 }, { n: 2 }]);
    const [first, second] = await stream().range();
    const handle = traceHandler((message: typeof first & {}) => message.id);
    handle(first!);
    expect(await sdk.points("messaging.process.duration", mine())).toHaveLength(1);
    const global = metrics.getMeterProvider();
    const { InMemoryMetricExporter } = await import("@opentelemetry/sdk-metrics");
    const exporter = new InMemoryMetricExporter(1);
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 2 ** 31 - 1 });
    metrics.disable();
    metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
    try {
      handle(second!);
      await reader.forceFlush();
      const names = exporter
        .getMetrics()[0]!
        .scopeMetrics.flatMap((scope) => scope.metrics.map((m) => m.descriptor.name));
      expect(names).toEqual(["messaging.process.duration"]);
    } finally {
      metrics.disable();
      metrics.setGlobalMeterProvider(global);
      await reader.shutdown();
    }
  });
});

test("instrument – what cannot be instrumented, and options that are none, are refused", () => {
  expect(() => instrument(stream() as never)).toThrow(/^subject must be a Worker/);
  expect(() => instrument(group(), { interval: 1 } as never)).toThrow(/meter, every/);
  expect(() => instrument(group(), { every: -1 })).toThrow(/^every/);
});
