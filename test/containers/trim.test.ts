import { expect, test } from "vitest";
import type { Stream } from "../../src/index.ts";
import { idsOf, numbered, Place } from "./harness.ts";

const place = new Place();

/** A stream with the entries `1-0` to `<count>-0`. */
async function make(count: number): Promise<Stream> {
  const stream = place.db.Stream(place.key());
  await stream.addMany(numbered(count), { id: (_, i) => i + 1 });
  return stream;
}

test("Stream.trim – a number is approximate: whole nodes only", async () => {
  const stream = await make(250);
  expect(await stream.trim(120)).toBe(100);
  expect(await stream.length()).toBe(150);
  expect(await stream.trim(120)).toBe(0);
  expect((await stream.first())!.id).toBe("101-0");
});

test("Stream.trim – maxlen, exact", async () => {
  const stream = await make(10);
  expect(await stream.trim({ maxlen: 3, approximate: false })).toBe(7);
  expect(idsOf(await stream.range())).toEqual(["8-0", "9-0", "10-0"]);
  expect(await stream.trim({ maxlen: 0, approximate: false })).toBe(3);
  expect(await stream.exists()).toBe(true);
});

test("Stream.trim – minid by id, number, Date and message, exact and approximate", async () => {
  const stream = await make(10);
  expect(await stream.trim({ minid: "3-0", approximate: false })).toBe(2);
  expect(await stream.trim({ minid: 4, approximate: false })).toBe(1);
  expect(await stream.trim({ minid: new Date(5), approximate: false })).toBe(1);
  expect(await stream.trim({ minid: (await stream.get("7-0"))!, approximate: false })).toBe(2);
  expect(idsOf(await stream.range())).toEqual(["7-0", "8-0", "9-0", "10-0"]);
  expect(await stream.trim({ minid: "9-0" })).toBe(0);
});

test("Stream.trim – limit bounds what is dropped at once", async () => {
  const stream = await make(450);
  expect(await stream.trim({ maxlen: 0, limit: 100 })).toBe(100);
  expect(await stream.trim({ minid: "400-0", limit: 200 })).toBe(200);
  expect(await stream.trim({ maxlen: 0, limit: 0 })).toBe(150);
});

test("Stream.trim – olderThan a Duration or milliseconds, by the server's clock", async () => {
  const stream = place.db.Stream(place.key());
  const [seconds] = await place.db.time();
  const now = Number(seconds) * 1000;
  const hour = 3_600_000;
  for (const age of [5 * hour, 3 * hour, hour, 0]) await stream.add({ age }, { id: now - age });
  expect(await stream.trim({ olderThan: { hours: 4 }, approximate: false })).toBe(1);
  expect(await stream.trim({ olderThan: 2 * hour, approximate: false })).toBe(1);
  expect(await stream.trim({ olderThan: { days: 1 }, approximate: false })).toBe(0);
  expect((await stream.range()).map(({ data }) => data["age"])).toEqual([String(hour), "0"]);
  expect(await stream.trim({ olderThan: Number.MAX_SAFE_INTEGER, approximate: false })).toBe(0);
});

test("Stream.trim – olderThan a Date keeps that millisecond", async () => {
  const stream = await make(5);
  const sent = await place.sent(async () => {
    expect(await stream.trim({ olderThan: new Date(4), approximate: false })).toBe(3);
  });
  expect(sent).toEqual({ xtrim: 1 });
  expect(idsOf(await stream.range())).toEqual(["4-0", "5-0"]);
});

test("Stream.trim – of a stream that is not there", async () => {
  expect(await place.db.Stream(place.key()).trim(5)).toBe(0);
});
