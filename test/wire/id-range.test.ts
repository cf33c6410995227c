import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  compareIds,
  Database,
  type IdLike,
  Message,
  nextId,
  previousId,
  ReplyError,
} from "../../src/index.ts";
import { startServer } from "../../src/testing/index.ts";

const MAX = 2n ** 64n - 1n;
const LEAST = "0-0";
const GREATEST = `${MAX}-${MAX}`;

let server: Awaited<ReturnType<typeof startServer>>;
let db: Database;

beforeAll(async () => {
  server = await startServer();
  db = new Database(server.url);
});

afterAll(async () => {
  await db.close();
  await server.stop();
});

/** Few values, so that bounds meet entries, and both ends of what 64 bits hold. */
const MS = [0n, 1n, 2n, 9n, 10n, 1_539_008_591_844n, 2n ** 53n, 2n ** 53n + 1n, MAX];
const SEQUENCES = [0n, 1n, 2n, 9n, 10n, 2n ** 53n + 1n, MAX - 1n, MAX];
const ms = fc.constantFrom(...MS);
const sequence = fc.constantFrom(...SEQUENCES);
const id = fc.tuple(ms, sequence).map(([a, b]) => `${a}-${b}`);

/** A bound as it is given, with the first and the last id that it lets in. */
interface Bound {
  readonly given: IdLike | undefined;
  readonly first: string;
  readonly last: string;
}

/** The whole millisecond. */
const whole = (given: IdLike, at: bigint): Bound => ({ given, first: `${at}-0`, last: `${at}-${MAX}` });
const exactly = (given: IdLike, at: string): Bound => ({ given, first: at, last: at });

const bound: fc.Arbitrary<Bound> = fc.oneof(
  fc.constant<Bound>({ given: undefined, first: LEAST, last: GREATEST }),
  fc.constant(exactly("-", LEAST)),
  fc.constant(exactly("+", GREATEST)),
  id.map((at) => exactly(at, at)),
  id.map((at) => exactly({ id: at }, at)),
  id.map((at) => exactly(new Message("s", at, {}), at)),
  id
    .filter((at) => at !== LEAST && at !== GREATEST)
    .map((at) => ({ given: `(${at}`, first: nextId(at), last: previousId(at) })),
  ms.map((at) => whole(String(at), at)),
  ms.map((at) => whole(at, at)),
  fc.constantFrom(0, 1, 9, 10).map((at) => whole(at, BigInt(at))),
  fc.constantFrom(0, 1, 9, 1_539_008_591_844).map((at) => whole(new Date(at), BigInt(at))),
  fc
    .tuple(fc.constantFrom(0, 1, 9), fc.constantFrom(0, 1, 9))
    .map(([at, then]) => exactly({ timestamp: new Date(at), sequence: then }, `${at}-${then}`)),
);

test("Stream.range – the server agrees with compareIds, for any entries and bounds", async () => {
  let key = 0;
  const entries = fc.uniqueArray(
    id.filter((at) => at !== LEAST),
    { maxLength: 40 },
  );
  const bounds = fc.array(fc.tuple(bound, bound), { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(entries, bounds, async (unsorted, pairs) => {
      const ids = [...unsorted].sort(compareIds);
      const stream = db.Stream(`s${key++}`);
      expect(
        await stream.addMany(
          ids.map((at) => ({ at })),
          { id: (_, i) => ids[i]! },
        ),
      ).toEqual(ids);
      for (const [start, stop] of pairs) {
        const expected = ids.filter(
          (at) => compareIds(at, start.first) >= 0 && compareIds(at, stop.last) <= 0,
        );
        const range = stream.range(start.given, stop.given);
        expect((await range).map((message) => message.id)).toEqual(expected);
        expect((await range.reverse()).map((message) => message.data["at"])).toEqual(expected.reverse());
      }
    }),
    { numRuns: 40 },
  );
});

test("Stream.get, Stream.has – the entry of exactly that id", async () => {
  const stream = db.Stream("get");
  const all = MS.flatMap((at) => SEQUENCES.map((then) => `${at}-${then}`)).filter((at) => at !== LEAST);
  const stored = all.filter((_, i) => i % 3 !== 0);
  const options = { id: (_: unknown, i: number) => stored[i]! };
  await stream.addMany(
    stored.map((at) => ({ at })),
    options,
  );
  for (const at of all) {
    expect((await stream.get(at))?.data ?? null, at).toEqual(stored.includes(at) ? { at } : null);
    expect(await stream.has({ id: at }), at).toBe(stored.includes(at));
  }
});

test("Stream.range – an exclusive bound that lets nothing in is the server's refusal", async () => {
  await expect(db.Stream("s").range(`(${GREATEST}`)).rejects.toBeInstanceOf(ReplyError);
  await expect(db.Stream("s").range("-", `(${LEAST}`)).rejects.toBeInstanceOf(ReplyError);
});

test("Stream.add – a Date gives each entry of the millisecond its own sequence", async () => {
  const stream = db.Stream("dates");
  const date = new Date(1_539_008_591_844);
  expect(await stream.add({ a: 1 }, { id: date })).toBe("1539008591844-0");
  expect(await stream.add({ a: 2 }, { id: date })).toBe("1539008591844-1");
  expect((await stream.range(date, date)).map((message) => message.sequence)).toEqual([0, 1]);
  expect(await stream.read({ lastId: date })).toEqual([]);
  expect(await stream.read({ lastId: new Date(date.getTime() - 1) })).toHaveLength(2);
  expect((await stream.get(date))?.data).toEqual({ a: "1" });
  expect(await stream.delete(date)).toBe(1);
  expect(await stream.length()).toBe(1);
});
