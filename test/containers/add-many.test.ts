import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, test } from "vitest";
import { InvalidArgumentError, ReplyError, type Stream } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { failure, ids, idsOf, loose, numbered, Place } from "./harness.ts";

const place = new Place();
const make = (): Stream => place.db.Stream(place.key());

/** The numbers that a stream holds, in order. */
async function stored(stream: Stream): Promise<number[]> {
  return (await stream.range()).map(({ data }) => Number(data["n"]));
}

const numbers = (count: number): number[] => numbered(count).map(({ n }) => n);

test("Stream.addMany – an array, in order; the ids are those of the entries", async () => {
  const stream = make();
  const added = await stream.addMany(numbered(25));
  expect(added).toHaveLength(25);
  expect(idsOf(await stream.range())).toEqual(added);
  expect(await stored(stream)).toEqual(numbers(25));
});

test("Stream.addMany – 2,500 values in one XADD each, over a wire", async () => {
  const stream = make();
  const sent = await place.sent(async () => {
    expect(await stream.addMany(numbered(2500))).toHaveLength(2500);
  });
  expect(sent["xadd"]).toBe(2500);
  expect(await stored(stream)).toEqual(numbers(2500));
});

test("Stream.addMany – exactly one batch, and one more", async () => {
  for (const count of [999, 1000, 1001, 2000]) {
    const stream = make();
    expect(new Set(await stream.addMany(numbered(count))).size).toBe(count);
    expect(await stored(stream)).toEqual(numbers(count));
  }
});

/** Run by a thread of its own, since this one stands still: asks for a length until it is `least`, and then says so. */
const LENGTH = `
const { connect } = require("node:net");
const { workerData } = require("node:worker_threads");
const { port, key, least, flag } = workerData;
const socket = connect(port, "127.0.0.1");
const ask = () => socket.write(\`XLEN \${key}\\r\\n\`);
socket.on("connect", ask).on("data", (reply) => {
  if (Number(String(reply).slice(1)) < least) return ask();
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
  socket.destroy();
});
`;

test("Stream.addMany – a batch is with the server before the next is encoded", async () => {
  const stream = make();
  await stream.addMany(numbered(1)); // From now on a wire is open, as in all but the first batch.
  const flag = new Int32Array(new SharedArrayBuffer(4));
  const workerData = { port: place.server.port, key: stream.key, least: 1001, flag };
  const thread = new Worker(LENGTH, { eval: true, workerData });
  await once(thread, "online");
  let seen = "";
  await stream.addMany(
    (function* () {
      for (const value of numbered(2000)) {
        // Nothing else of this thread runs meanwhile.
        if (value.n === 1000) seen = Atomics.wait(flag, 0, 0, 3000);
        yield value;
      }
    })(),
  );
  await thread.terminate();
  expect(["ok", "not-equal"]).toContain(seen);
});

test("Stream.addMany – nothing to add sends nothing", async () => {
  const stream = make();
  await stream.addMany(numbered(1));
  const sent = await place.sent(async () => {
    expect(await stream.addMany([])).toEqual([]);
    expect(await stream.addMany(new Set<{ n: number }>())).toEqual([]);
  });
  expect(sent).toEqual({});
});

test("Stream.addMany – any iterable: a Set, a generator, an async generator", async () => {
  const stream = make();
  await stream.addMany(new Set([{ n: 0 }]));
  await stream.addMany(
    (function* () {
      yield { n: 1 };
      yield { n: 2 };
    })(),
  );
  await stream.addMany(
    (async function* () {
      for (let n = 3; n < 1503; n++) yield { n };
    })(),
  );
  expect(await stored(stream)).toEqual(numbers(1503));
});

test("Stream.addMany – an async iterator that gives thenables of its own kind", async () => {
  const stream = make();
  let n = 0;
  const values = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const step =
          n < 3 ? { done: false as const, value: { n: n++ } } : { done: true as const, value: undefined };
        return loose({ then: (resolve: (step: unknown) => void) => resolve(step) });
      },
    }),
  };
  await stream.addMany(values as AsyncIterable<{ n: number }>);
  expect(await stored(stream)).toEqual([0, 1, 2]);
});

test("Stream.addMany – from one stream to another, whatever it holds", async () => {
  const [from, to] = [make(), make()];
  await from.addMany(numbered(1200));
  async function* payloads() {
    for await (const { data } of from) yield data;
  }
  await to.addMany(payloads());
  expect(await stored(to)).toEqual(numbers(1200));
});

test("Stream.addMany – an infinite source is never held: it is asked for one batch more than is stored", async () => {
  const stream = make();
  let given = 0;
  function* endless() {
    for (;;) yield { n: given++ };
  }
  const boom = new Error("enough");
  const adding = stream.addMany(endless(), {
    id: (_, index) => {
      if (index === 5500) throw boom;
      return "*";
    },
  });
  await expect(adding).rejects.toBe(boom);
  expect(given).toBe(5501);
  expect(await stored(stream)).toEqual(numbers(5000));
});

test("Stream.addMany – id by a function of value and index", async () => {
  const stream = make();
  const seen: [number, number][] = [];
  const added = await stream.addMany(numbered(3, 10), {
    id: (value, index) => {
      seen.push([value["n"] as number, index]);
      return value["n"] as number;
    },
  });
  expect(added).toEqual(["10-0", "11-0", "12-0"]);
  expect(seen).toEqual([
    [10, 0],
    [11, 1],
    [12, 2],
  ]);
});

test("Stream.addMany – ids as Dates: many in one millisecond all fit", async () => {
  const stream = make();
  const added = await stream.addMany(numbered(1100), { id: () => new Date(7) });
  expect(added).toEqual(Array.from({ length: 1100 }, (_, i) => `7-${i}`));
});

test("Stream.addMany – headers beside every value", async () => {
  const stream = make();
  await stream.addMany(numbered(2), { headers: { from: "test" } });
  expect((await stream.range()).map(({ headers, data }) => [headers, data])).toEqual([
    [{ from: "test" }, { n: "0" }],
    [{ from: "test" }, { n: "1" }],
  ]);
});

test("Stream.addMany – bounds hold at each add", async () => {
  const stream = make();
  await stream.addMany(numbered(1500), { maxlen: 7, approximate: false });
  expect(await stored(stream)).toEqual(numbers(1500).slice(-7));
  await stream.clear();
  await stream.addMany(numbered(5), { id: (_, i) => i + 1, minid: "4-0", approximate: false });
  expect(idsOf(await stream.range())).toEqual(["4-0", "5-0"]);
});

test("Stream.addMany – a bad value in a later batch: its index is named, the batches before it are stored", async () => {
  const stream = make();
  let isReturned = false;
  function* values() {
    try {
      for (let n = 0; n < 3000; n++) yield n === 2345 ? { n, bad: loose(null) } : { n };
    } finally {
      isReturned = true;
    }
  }
  const error = await failure(stream.addMany(values()), InvalidArgumentError);
  expect(error.argument).toBe('data["bad"]');
  expect(error.message).toContain("value 2345 of addMany");
  expect(error.value).toBeNull();
  expect(isReturned).toBe(true);
  expect(await stored(stream)).toEqual(numbers(2000));
});

test("Stream.addMany – a bad value in the first batch: nothing is stored", async () => {
  const stream = make();
  await failure(stream.addMany([{ n: 0 }, { n: loose(undefined) }]), InvalidArgumentError);
  expect(await stream.exists()).toBe(false);
});

test("Stream.addMany – a bad id: its index is named", async () => {
  const stream = make();
  const error = await failure(
    stream.addMany(numbered(5), { id: (_, i) => (i === 3 ? "nonsense" : "*") }),
    InvalidArgumentError,
  );
  expect(error.message).toContain("value 3 of addMany");
  expect(error.value).toBe("nonsense");
  expect(await stream.exists()).toBe(false);
});

test("Stream.addMany – an error of the source comes through, and what was sent is stored", async () => {
  const stream = make();
  const boom = new Error("boom");
  async function* values() {
    for (let n = 0; n < 1200; n++) yield { n };
    throw boom;
  }
  await expect(stream.addMany(values())).rejects.toBe(boom);
  expect(await stored(stream)).toEqual(numbers(1000));
});

test("Stream.addMany – an async source is told to end when the server refuses", async () => {
  const stream = make();
  await stream.add({ n: -1 }, { id: "50-0" });
  let isReturned = false;
  async function* values() {
    try {
      for (let n = 0; ; n++) yield { n };
    } finally {
      isReturned = true;
    }
  }
  const error = await failure(stream.addMany(values(), { id: (_, i) => i + 1 }), ReplyError);
  expect(isReturned).toBe(true);
  expect(error.command).toBe("XADD");
  // Those of the batch that the server took are there, and the error says which.
  expect(error.ids).toEqual(ids(1000).slice(50));
  expect(await stream.length()).toBe(1 + 950);
});

test("Stream.addMany – a server that does not read: what is on its way stays as it was while more is encoded", async () => {
  const stream = make();
  await stream.addMany(numbered(1)); // Its connection is open from here on.
  // Two of these are a batch, and more than a kernel takes for a server that does not read.
  const size = 7_000_000;
  const text = (n: number): string => String.fromCharCode(97 + n).repeat(size);
  let given = 0;
  function* values() {
    for (; given < 8; given++) yield { text: text(given) };
  }
  await place.server.freeze();
  let adding: Promise<string[]>;
  try {
    adding = stream.addMany(values());
    adding.catch(() => {});
    await waitFor(() => given >= 3, { what: "the second batch" });
    // Time enough to encode a third, which is to wait for the first.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  } finally {
    await place.server.thaw();
  }
  const added = await adding;
  expect(added).toHaveLength(8);
  for (const [n, id] of added.entries()) {
    const message = await stream.get(id);
    expect(message!.data["text"] === text(n), `entry ${n} as it was`).toBe(true);
  }
});

test("Stream.addMany – two at once on one stream both arrive whole, each in its order", async () => {
  const stream = make();
  await Promise.all([stream.addMany(numbered(1500)), stream.addMany(numbered(1500, 10_000))]);
  const all = await stored(stream);
  expect(all.filter((n) => n < 10_000)).toEqual(numbers(1500));
  expect(all.filter((n) => n >= 10_000)).toEqual(numbered(1500, 10_000).map(({ n }) => n));
});
