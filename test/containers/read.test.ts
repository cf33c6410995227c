import { expect, test } from "vitest";
import type { Stream } from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { ids, idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** A stream with the entries `1-0` to `<count>-0`. */
async function make(count = 0): Promise<Stream> {
  const stream = place.db.Stream(place.key());
  await stream.addMany(numbered(count), { id: (_, i) => i + 1 });
  return stream;
}

/** Waits until so many clients are blocked. */
async function blocked(count: number): Promise<void> {
  const isSo = async () => (await place.db.info("clients")).includes(`blocked_clients:${count}\r`);
  await waitFor(isSo, { what: `${count} blocked clients` });
}

test("Stream.read – all entries from the first, at once", async () => {
  const stream = await make(5);
  const messages = await stream.read();
  expect(idsOf(messages)).toEqual(ids(5));
  expect(messages[4]).toMatchObject({ stream: stream.key, data: { n: "4" } });
});

test("Stream.read – an empty or missing stream gives none", async () => {
  expect(await (await make()).read()).toEqual([]);
  expect(await (await make(3)).read({ lastId: "3-0" })).toEqual([]);
});

test("Stream.read – count and lastId go on page by page", async () => {
  const stream = await make(5);
  expect(idsOf(await stream.read({ count: 2 }))).toEqual(["1-0", "2-0"]);
  expect(idsOf(await stream.read({ count: 2, lastId: "2-0" }))).toEqual(["3-0", "4-0"]);
  expect(idsOf(await stream.read({ count: 2, lastId: "4-0" }))).toEqual(["5-0"]);
});

test("Stream.read – lastId: a Date is after the whole millisecond, a message is that entry", async () => {
  const stream = await make(0);
  for (const id of ["1-0", "1-5", "2-0", "2-1"]) await stream.add({ id }, { id });
  expect(idsOf(await stream.read({ lastId: new Date(1) }))).toEqual(["2-0", "2-1"]);
  expect(idsOf(await stream.read({ lastId: 1 }))).toEqual(["1-5", "2-0", "2-1"]);
  expect(idsOf(await stream.read({ lastId: { timestamp: new Date(1) } }))).toEqual(["1-5", "2-0", "2-1"]);
  expect(idsOf(await stream.read({ lastId: (await stream.get("2-0"))! }))).toEqual(["2-1"]);
});

test("Stream.read – 2,500 entries in one reply", async () => {
  const stream = await make(2500);
  expect(idsOf(await stream.read())).toEqual(ids(2500));
});

test("Stream.read – block waits for an entry after $, other commands go on meanwhile", async () => {
  const stream = await make(3);
  const reading = stream.read({ block: { seconds: 20 }, lastId: "$" });
  await blocked(1);
  expect(await stream.length()).toBe(3);
  const id = await stream.add({ n: 3 });
  expect(idsOf(await reading)).toEqual([id]);
});

test("Stream.read – block waits for a stream that is not there yet", async () => {
  const stream = await make();
  const reading = stream.read({ block: 20_000 });
  await blocked(1);
  const id = await stream.add({ n: 0 });
  expect(idsOf(await reading)).toEqual([id]);
});

test("Stream.read – block ends with [] when nothing comes", async () => {
  const stream = await make(3);
  const start = performance.now();
  expect(await stream.read({ block: 60, lastId: "$" })).toEqual([]);
  expect(performance.now() - start).toBeGreaterThanOrEqual(59);
  expect(await stream.read({ block: { seconds: 0.03 }, lastId: "$" })).toEqual([]);
  expect(await stream.read({ block: 0.4, lastId: "$" })).toEqual([]); // Less than a millisecond is not for ever.
});

test("Stream.read – with block and entries there, it does not wait", async () => {
  const stream = await make(3);
  expect(await stream.read({ block: 0 })).toHaveLength(3);
});

test("Stream.read – signal ends the wait with its reason", async () => {
  const stream = await make();
  const controller = new AbortController();
  const reading = stream.read({ block: 0, signal: controller.signal });
  await blocked(1);
  const reason = new Error("enough");
  controller.abort(reason);
  await expect(reading).rejects.toBe(reason);
  await blocked(0);
});

test("Stream.read – a signal that is aborted already: nothing is sent", async () => {
  const stream = await make(1);
  const reason = new Error("before");
  const sent = await place.sent(() =>
    expect(stream.read({ signal: AbortSignal.abort(reason), block: 5 })).rejects.toBe(reason),
  );
  expect(sent).toEqual({});
});

test("Stream.read – several waiting at once are all served", async () => {
  const stream = await make();
  const readings = Array.from({ length: 5 }, () => stream.read({ block: 20_000 }));
  await blocked(5);
  const id = await stream.add({ n: 0 });
  for (const messages of await Promise.all(readings)) expect(idsOf(messages)).toEqual([id]);
});
