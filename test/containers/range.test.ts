import { inspect } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { type Codec, Message, Range, type Stream, text } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { collect, ids, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();
let big: Stream;
let small: Stream;

beforeAll(async () => {
  big = place.db.Stream("big");
  await big.addMany(numbered(2500), { id: (_, i) => i + 1 });
  small = place.db.Stream("small");
  for (const id of ["1-1", "1-9", "1-10", "2-0", "3-0", "3-5"]) await small.add({ id }, { id });
});

const all = ["1-1", "1-9", "1-10", "2-0", "3-0", "3-5"];

test("Stream.range – awaited, it is an array of messages", async () => {
  const messages = await small.range();
  expect(Array.isArray(messages)).toBe(true);
  expect(idsOf(messages)).toEqual(all);
  expect(messages[0]).toBeInstanceOf(Message);
  expect(messages[0]!.data).toEqual({ id: "1-1" });
  expect(messages[2]).toMatchObject({ stream: "small", sequence: 10, timestamp: new Date(1) });
});

test("Stream.range – nothing is sent until it is asked for", async () => {
  const sent = await place.sent(() => {
    const range = big.range(1, 5, 3);
    range.reverse().pages();
    range[Symbol.asyncIterator]();
    return inspect(range);
  });
  expect(sent).toEqual({});
});

test("Stream.range – both ends are included, a number or Date is its whole millisecond", async () => {
  const cases: [start: unknown, stop: unknown, expected: string[]][] = [
    ["1-9", "3-0", ["1-9", "1-10", "2-0", "3-0"]],
    ["-", "+", all],
    [undefined, "1-9", ["1-1", "1-9"]],
    ["3-0", undefined, ["3-0", "3-5"]],
    [new Date(1), new Date(1), ["1-1", "1-9", "1-10"]],
    [new Date(2), new Date(3), ["2-0", "3-0", "3-5"]],
    [3, 3, ["3-0", "3-5"]],
    [3n, 3n, ["3-0", "3-5"]],
    ["3", "3", ["3-0", "3-5"]],
    [{ timestamp: new Date(3) }, { timestamp: new Date(3) }, ["3-0"]],
    [{ timestamp: new Date(1), sequence: 9 }, { id: "2-0" }, ["1-9", "1-10", "2-0"]],
    [{ id: "3-0" }, "+", ["3-0", "3-5"]],
    ["0", "0", []],
  ];
  for (const [start, stop, expected] of cases) {
    expect(idsOf(await small.range(start as string, stop as string))).toEqual(expected);
    expect(idsOf(await small.range(start as string, stop as string).reverse())).toEqual(
      expected.toReversed(),
    );
  }
});

test("Stream.range – exclusive start and stop", async () => {
  expect(idsOf(await small.range("(1-1", "(3-5"))).toEqual(["1-9", "1-10", "2-0", "3-0"]);
  expect(idsOf(await small.range("(1-10", "(3"))).toEqual(["2-0", "3-0", "3-5"]); // Redis: before 3-<greatest>.
  expect(idsOf(await small.range("(1-9", "3-0").reverse())).toEqual(["3-0", "2-0", "1-10"]);
  expect(idsOf(await small.range("(2-0", "(3-0"))).toEqual([]);
});

test("Stream.range – inverted, it is empty", async () => {
  expect(await small.range("3-0", "1-0")).toEqual([]);
  expect(await small.range(new Date(3), new Date(1)).reverse()).toEqual([]);
  expect(await small.range("+", "-")).toEqual([]);
  expect(await collect(small.range("3-0", "1-0"))).toEqual([]);
  expect(await collect(small.range("3-0", "1-0").pages())).toEqual([]);
});

test("Stream.range – of a stream that is not there, it is empty", async () => {
  expect(await place.db.Stream(place.key()).range()).toEqual([]);
  expect(await collect(place.db.Stream(place.key()).range().reverse())).toEqual([]);
});

test("Stream.range – count, from either end; 0 asks nothing", async () => {
  expect(idsOf(await small.range(undefined, undefined, 2))).toEqual(["1-1", "1-9"]);
  expect(idsOf(await small.range(undefined, undefined, 2).reverse())).toEqual(["3-5", "3-0"]);
  expect(idsOf(await small.range("2-0", "+", 99))).toEqual(["2-0", "3-0", "3-5"]);
  expect(await place.sent(async () => expect(await small.range("-", "+", 0)).toEqual([]))).toEqual({});
});

test("Stream.range – 2,500 entries over pages, each of 1,000, in order", async () => {
  await big.range("-", "+", 1); // Opens the wire.
  let messages: Message<Record<string, string>>[] = [];
  const sent = await place.sent(async () => {
    messages = await big.range();
  });
  expect(sent).toEqual({ xrange: 3 });
  expect(idsOf(messages)).toEqual(ids(2500));
  expect(messages.map(({ data }) => data["n"])).toEqual(numbered(2500).map(({ n }) => String(n)));
  const pages = await collect(big.range().pages());
  expect(pages.map((page) => page.length)).toEqual([1000, 1000, 500]);
  expect(idsOf(pages.flat())).toEqual(ids(2500));
});

test("Stream.range – 2,500 entries reversed, by XREVRANGE", async () => {
  let messages: Message<Record<string, string>>[] = [];
  const sent = await place.sent(async () => {
    messages = await collect(big.range().reverse());
  });
  expect(sent).toEqual({ xrevrange: 3 });
  expect(idsOf(messages)).toEqual(ids(2500).reverse());
  expect(idsOf(await big.range().reverse().reverse())).toEqual(ids(2500));
});

test("Stream.range – count over pages, also at a page's border", async () => {
  for (const count of [999, 1000, 1001, 2000, 2001, 2500, 9999]) {
    expect(await big.range(undefined, undefined, count)).toHaveLength(Math.min(count, 2500));
  }
  const sent = await place.sent(() => big.range(undefined, undefined, 2000));
  expect(sent).toEqual({ xrange: 2 });
  const [, last] = await collect(big.range("100-0", undefined, 1500).reverse().pages());
  expect(idsOf(last!)).toEqual(ids(2500).slice(1000, 1500).reverse());
});

test("Range.pages – a stream of exactly one page ends after it", async () => {
  const pages = await collect(big.range("1-0", "1000-0").pages());
  expect(pages.map((page) => page.length)).toEqual([1000]);
});

test("Range.asyncIterator – break stops reading", async () => {
  const sent = await place.sent(async () => {
    for await (const message of big.range()) {
      expect(message.id).toBe("1-0");
      break;
    }
  });
  expect(sent).toEqual({ xrange: 1 });
  const next = await place.sent(() => small.range());
  expect(next).toEqual({ xrange: 1 }); // The wire was given back and is used again.
});

test("Range.pages – break stops reading, at most one page ahead", async () => {
  const sent = await place.sent(async () => {
    for await (const page of big.range().pages()) if (page[0]!.id !== "1-0") break;
    await place.db.ping();
  });
  expect(sent["xrange"]).toBeLessThanOrEqual(3);
});

test("Range.asyncIterator – an error in the loop's body stops reading", async () => {
  const boom = new Error("boom");
  const sent = await place.sent(async () => {
    const reading = (async () => {
      for await (const _ of big.range()) throw boom;
    })();
    await expect(reading).rejects.toBe(boom);
  });
  expect(sent).toEqual({ xrange: 1 });
});

test("Range – two loops and two awaits over the same one read anew", async () => {
  const stream = place.db.Stream(place.key());
  await stream.addMany(numbered(3), { id: (_, i) => i + 1 });
  const range = stream.range();
  expect(idsOf(await range)).toEqual(ids(3));
  await stream.add({ n: 3 }, { id: 4 });
  expect(idsOf(await range)).toEqual(ids(4));
  expect(idsOf(await collect(range))).toEqual(ids(4));
  await stream.delete("1-0");
  expect(idsOf(await collect(range))).toEqual(ids(4).slice(1));
  const [one, other] = [range[Symbol.asyncIterator](), range[Symbol.asyncIterator]()];
  expect((await one.next()).value.id).toBe("2-0");
  expect((await one.next()).value.id).toBe("3-0");
  expect((await other.next()).value.id).toBe("2-0");
});

test("Range – many at once, each on its own", async () => {
  const results = await Promise.all(Array.from({ length: 12 }, (_, i) => big.range(i + 1, undefined, 1500)));
  results.forEach((messages, i) => {
    expect(idsOf(messages)).toEqual(ids(2500).slice(i, i + 1500));
  });
});

test("Range.asyncIterator – never holds the whole: entries added behind the page are read, cleared ones are not", async () => {
  const stream = place.db.Stream(place.key());
  await stream.addMany(numbered(1500), { id: (_, i) => i + 1 });
  const seen: string[] = [];
  for await (const { id } of stream.range()) {
    if (seen.push(id) === 1) {
      await stream.trim({ minid: 1400, approximate: false });
      await stream.add({ n: 1500 }, { id: 1501 });
    }
  }
  expect(seen).toEqual([...ids(1000), ...ids(1501).slice(1399)]);
});

test("Range.asyncIterator – at most two pages are ahead of a slow reader", async () => {
  const stream = place.db.Stream(place.key());
  await stream.addMany(numbered(6000));
  const iterator = stream.range()[Symbol.asyncIterator]();
  const sent = await place.sent(async () => {
    for (let i = 0; i < 1001; i++) await iterator.next();
    await stream.length();
    await stream.length();
  });
  expect(sent["xrange"]).toBeLessThanOrEqual(3);
  await iterator.return?.();
  expect(await iterator.next()).toEqual({ done: true, value: undefined });
});

test("Range – the next page is under way while one is decoded, from the second one on", async () => {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(3001));
  const begun: number[] = [];
  let decoded = 0;
  const slow: Codec<Record<string, string>> = {
    ...text,
    decode(fields) {
      if (decoded++ % 1000 === 0) {
        begun.push(Date.now());
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      }
      return text.decode(fields);
    },
  };
  const monitor = await place.db.monitor();
  const asked: number[] = [];
  monitor.on("monitor", (time: string, [command, name]: string[]) => {
    if (command === "XRANGE" && name === key) asked.push(1000 * Number(time));
  });
  try {
    expect(await place.db.Stream(key, { codec: slow }).range()).toHaveLength(3001);
    await waitFor(() => asked.length === 4);
  } finally {
    monitor.disconnect();
  }
  // The first page may be all that is wanted.
  const isOverlapped = asked.slice(1).map((time, n) => time < begun[n]! + 300);
  expect(isOverlapped).toEqual([false, true, true]);
});

test("Range – then, catch and finally as of a promise; an async function that returns one gives the array", async () => {
  const range = small.range("1-1", "1-1");
  expect(await range.then((messages) => messages.length)).toBe(1);
  expect(await range.catch(() => "caught")).toHaveLength(1);
  let isDone = false;
  await range.finally(() => {
    isDone = true;
  });
  expect(isDone).toBe(true);
  const read = async () => range;
  expect(idsOf(await read())).toEqual(["1-1"]);
  expect(await Promise.all([range, small.range("9-0")])).toMatchObject([[{ id: "1-1" }], []]);
});

test("Range – its class and how it prints", () => {
  expect(small.range()).toBeInstanceOf(Range);
  expect(inspect(small.range(1, new Date(2), 5).reverse())).toBe(
    "<Range small 1-0 .. 2-18446744073709551615, at most 5, reversed>",
  );
  expect(inspect(small.range())).toBe("<Range small - .. +>");
});
