import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { deadLetterKey, json, WrongTypeError } from "../../src/index.ts";
import { failure, Place } from "./harness.ts";

const place = new Place();
const DISPLAY: symbol = Symbol.for("Jupyter.display");
const START = Date.UTC(2018, 0, 1);

/** What a notebook shows of a value. */
async function shown(value: object): Promise<{ lines: string[]; html: string }> {
  const bundle = await (value as Record<symbol, () => Promise<Record<string, string>>>)[DISPLAY]!();
  expect(Object.keys(bundle).sort()).toEqual(["text/html", "text/plain"]);
  return { lines: bundle["text/plain"]!.split("\n"), html: bundle["text/html"]! };
}

/** A stream with an entry an hour. */
async function hourly(count: number, key: string = place.key()): Promise<string> {
  for (let n = 0; n < count; n++)
    await place.db.Stream(key).add({ n, temp: n / 4 }, { id: START + n * 3_600_000 });
  return key;
}

describe("Stream", () => {
  test("display – length, both ends, the number between, ids and dates", async () => {
    const key = await hourly(25);
    const { lines, html } = await shown(place.db.Stream(key));
    expect(lines[0]).toBe(`Stream ${key}: 25 entries`);
    expect(lines[1]!.split(/ +/)).toEqual(["id", "time", "n", "temp"]);
    expect(lines[2]!.split(/ +/)).toEqual([`${START}-0`, "2018-01-01T00:00:00.000Z", "0", "0"]);
    expect(lines[12]).toBe("... 5 more ...");
    expect(lines.at(-1)!.split(/ +/)).toEqual([
      `${START + 24 * 3_600_000}-0`,
      "2018-01-02T00:00:00.000Z",
      "24",
      "6",
    ]);
    expect(lines).toHaveLength(23);
    expect(html).toContain("⋯ 5 more ⋯");
  });

  test("display – no stream is an empty table; another type is the error that reading gives", async () => {
    const key = place.key();
    expect((await shown(place.db.Stream(key))).lines).toEqual([`Stream ${key}: 0 entries`]);
    await place.db.set(key, "x");
    await failure(shown(place.db.Stream(key)), WrongTypeError);
  });

  test("display – of many entries only what is shown is read", async () => {
    const key = place.key();
    await place.db.Stream(key).addMany(Array.from({ length: 20_000 }, () => ({ text: "x".repeat(100) })));
    const before = Number(/total_net_output_bytes:(\d+)/.exec(await place.db.info("stats"))![1]);
    const { lines } = await shown(place.db.Stream(key));
    const after = Number(/total_net_output_bytes:(\d+)/.exec(await place.db.info("stats"))![1]);
    expect(lines[12]).toBe("... 19,980 more ...");
    expect(after - before).toBeLessThan(30_000);
  });

  test("display – markup in keys, fields and values is text", async () => {
    const key = place.key("<img src=x onerror=alert(1)>");
    await place.db.Stream(key).add({ "<b>": "<script>alert(1)</script>" });
    const { html } = await shown(place.db.Stream(key));
    expect(html).not.toMatch(/<(script|img|b)\b/);
    expect(html).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(inspect(place.db.Stream("a\u001b[31m\nb"))).toBe("<Stream a\\u001b[31m\\nb>");
  });

  test("display – data that is no record has one column, fields that are facts' names have a prefix", async () => {
    const key = place.key();
    const values = place.db.Stream(key, { codec: json<unknown>() });
    await values.add([1, 2]);
    expect((await shown(values)).lines[1]!.split(/ +/)).toEqual(["id", "time", "data"]);
    await values.clear();
    await values.add({ id: 5, time: "noon" }, { headers: { trace: "t" } });
    expect((await shown(values)).lines[1]!.split(/ +/)).toEqual([
      "id",
      "time",
      "data.id",
      "data.time",
      "headers",
    ]);
  });
});

describe("Range", () => {
  test("display – a lazy one is read as far as it is shown, from both ends", async () => {
    const key = await hourly(30);
    const whole = await shown(place.db.Stream(key).range());
    expect(whole.lines[0]).toBe(`Range ${key} - .. +`);
    expect(whole.lines[12]).toBe("... more ...");
    expect(whole.lines.at(-1)).toContain(`${START + 29 * 3_600_000}-0`);
    const reversed = await shown(place.db.Stream(key).range().reverse());
    expect(reversed.lines[2]).toContain(`${START + 29 * 3_600_000}-0`);
    expect(reversed.lines.at(-1)).toContain(`${START}-0`);
    const limited = await shown(place.db.Stream(key).range(undefined, undefined, 25));
    expect(limited.lines.at(-1)).toBe("... more, not read ...");
    expect(limited.lines).toHaveLength(23);
  });

  test("display – bounds that are whole milliseconds stand as these", async () => {
    const stream = place.db.Stream(await hourly(3));
    const [from, to] = [new Date(START), new Date(START + 3_600_000)];
    const { lines } = await shown(stream.range(from, to));
    expect(lines[0]).toBe(`Range ${stream.key} ${START} .. ${START + 3_600_000}: 2`);
    const exact = await shown(stream.range("(1-0", `${START}-5`));
    expect(exact.lines[0]).toBe(`Range ${stream.key} (1-0 .. ${START}-5: 1`);
  });

  test("display – what await gives shows itself too, and stays a plain array", async () => {
    const key = await hourly(3);
    const messages = await place.db.Stream(key).range(undefined, undefined, 2);
    expect((await shown(messages)).lines.slice(0, 1)).toEqual([`Range ${key} - .. +, at most 2: 2`]);
    expect(Object.getPrototypeOf(messages)).toBe(Array.prototype);
    expect(Object.keys(messages)).toEqual(["0", "1"]);
    expect((await shown(await place.db.Stream(key).read())).lines).toHaveLength(5);
  });

  test("display – one message is a list of its parts", async () => {
    const key = await hourly(1);
    const { lines, html } = await shown((await place.db.Stream(key).first())!);
    expect(lines[0]).toBe(`Message ${START}-0 of ${key}`);
    expect(lines.slice(1).map((line) => line.split(/ +/)[0])).toEqual(["id", "time", "n", "temp"]);
    expect(html).not.toContain("<thead>");
  });
});

describe("ConsumerGroup", () => {
  test("display – each stream's state, also where the group is missing", async () => {
    const a = await hourly(4);
    const cg = place.db.consumerGroup("cg", [a, place.key()]);
    expect((await shown(cg)).lines[2]).toMatch(/4 {2,}no such group$/);
    await cg.create();
    await cg.streams[a]!.read({ count: 3 });
    const { lines } = await shown(cg);
    expect(lines[0]).toBe("Consumer group cg");
    expect(lines[1]!.split(/ {2,}/)).toEqual([
      "stream",
      "length",
      "lag",
      "pending",
      "consumers",
      "last delivered id",
    ]);
    expect(lines[2]!.split(/ +/)).toEqual([a, "4", "1", "3", "1", `${START + 2 * 3_600_000}-0`]);
    const stream = await shown(cg.streams[a]!);
    expect(stream.lines[2]).toBe(lines[2]);
    expect(stream.lines).toContain(`Stream ${a}: 4 entries`);
  });

  test("display – what it reads and claims, of all its streams, with the deliveries", async () => {
    const [a, b] = [await hourly(1), await hourly(1)];
    const cg = place.db.consumerGroup("cg", [a, b]);
    await cg.create();
    const { lines } = await shown(await cg.read());
    expect(lines[1]!.split(/ +/)).toEqual(["id", "time", "stream", "deliveries", "n", "temp"]);
    expect(lines).toHaveLength(4);
    const claimed = await cg.streams[a]!.claim([START]);
    expect((await shown(claimed)).lines[0]).toBe(`Claimed from ${a} by cg.c1 of cg: 1`);
    const { messages } = await cg.streams[a]!.autoclaim();
    expect((await shown(messages)).lines[0]).toBe(`Claimed from ${a} by cg.c1 of cg: 1`);
    expect((await shown(await cg.read())).lines).toEqual(["Read by cg.c1 of cg: 0"]);
    expect((await shown(claimed[0]!)).lines.join()).toContain("deliveries  2");
  });

  test("display – pending entries, no more of them read than are shown", async () => {
    const a = await hourly(25);
    const cg = place.db.consumerGroup("cg", [a]);
    await cg.create();
    await cg.read();
    const { lines } = await shown(cg.streams[a]!.pending());
    expect(lines[0]).toBe(`Pending entries of cg on ${a}`);
    expect(lines[1]!.split(/ {2,}/)).toEqual(["id", "time", "consumer", "idle ms", "deliveries"]);
    expect(lines.at(-1)).toBe("... more, not read ...");
    const some = await cg.streams[a]!.pending({ count: 2 });
    expect((await shown(some)).lines).toHaveLength(4);
    expect((await shown(some[0]!)).lines[0]).toBe(`Pending entry ${START}-0`);
  });
});

describe("TimeSeries", () => {
  test("display – each stream's length and ends, then all merged", async () => {
    const [a, b] = [await hourly(24), await hourly(2)];
    const ts = place.db.timeSeries("ts", [a, b, place.key()]);
    const { lines } = await shown(ts);
    expect(lines[0]).toBe("Streams of ts");
    expect(lines[2]!.split(/ +/)).toEqual([a, "24", "2018-01-01T00:00:00.000Z", "2018-01-01T23:00:00.000Z"]);
    expect(lines).toContain("Time series ts: 26 entries");
    expect(lines).toContain("... 6 more ...");
    expect((await shown(ts.range())).lines[0]).toBe("Range ts - .. +");
  });

  test("buckets – lazily, awaited and drawn; markup in the name is text", async () => {
    const a = await hourly(48);
    const ts = place.db.timeSeries("<b>", [a]);
    const buckets = ts.buckets({ every: { hours: 12 }, value: "temp" });
    const { lines, html } = await shown(buckets);
    expect(lines[0]).toBe("Buckets of <b>: 4");
    expect(lines[2]!.split(/ +/).slice(0, 3)).toEqual([
      "2018-01-01T00:00:00.000Z",
      "2018-01-01T12:00:00.000Z",
      "12",
    ]);
    expect(html).toMatch(/^<svg [^>]*viewBox="0 0 640 180"/);
    expect(html).toContain("<polyline");
    expect(html).not.toContain("<b>");
    const list = await buckets;
    expect(list.map(({ count }) => count)).toEqual([12, 12, 12, 12]);
    expect((await shown(list)).html).toBe(html);
  });

  test("buckets – a thousand are drawn and no more read; none is no chart", async () => {
    const a = place.key();
    const added = place.db.pipeline();
    for (let n = 0; n < 1100; n++) added.xadd(a, START + n * 1000, "n", n);
    await added.exec();
    const ts = place.db.timeSeries("ts", [a]);
    const many = await shown(ts.buckets({ every: { seconds: 1 }, value: "n" }));
    expect(many.lines[0]).toBe("Buckets of ts: the first 1000");
    expect(many.lines).toHaveLength(23);
    const none = await shown(ts.buckets({ every: { seconds: 1 }, value: "absent" }));
    expect(none.lines).toEqual(["Buckets of ts: 0"]);
    expect(none.html).not.toContain("<svg");
  });
});

describe("Worker and DeadLetters", () => {
  test("display – figures with their units; dead letters with origin and error", async () => {
    const key = await hourly(2);
    const worker = place.db.worker(
      place.db.consumerGroup("cg", [key]),
      () => {
        throw new TypeError("no <total>");
      },
      { retry: { maxDeliveries: 1 } },
    );
    await worker.runOnce();
    const metrics = worker.metrics();
    const { lines } = await shown(metrics);
    expect(lines[0]).toBe("Worker");
    expect(lines.find((line) => line.startsWith("deadLettered"))!.split(/ +/)).toEqual(["deadLettered", "2"]);
    expect(lines.find((line) => line.startsWith("handlerTime.p99"))).toMatch(/\d ms$|\d {2,}ms$/);
    expect(lines.find((line) => line.startsWith("lastError"))).toContain("TypeError: no <total>");
    expect(Object.keys(metrics)).not.toContain("Symbol(Jupyter.display)");
    expect((await shown(worker)).lines[0]).toBe("Worker, not running");

    const letters = place.db.deadLetters(deadLetterKey(key));
    const dead = await shown(letters);
    expect(dead.lines[0]).toBe(`Dead letters ${deadLetterKey(key)}: 2 entries`);
    expect(dead.lines[1]!.split(/ +/)).toEqual([
      ...["id", "time", "of", "group", "deliveries", "redrives", "error", "n", "temp"],
    ]);
    expect(dead.lines[2]).toContain(`${key} ${START}-0`);
    expect(dead.html).toContain("TypeError: no &lt;total&gt;");
    expect((await shown((await letters.range())[0]!)).lines[0]).toMatch(/^Dead letter \d+-\d+ of /);
  });

  test("display – a producer's figures", async () => {
    const key = place.key();
    await using producer = place.db.producer(key);
    await producer.push({ n: 1 });
    expect((await shown(producer)).lines[0]).toBe(`Producer ${key}`);
    expect((await shown(producer.metrics())).lines[2]!.split(/ +/)).toEqual(["pushed", "1"]);
  });
});
