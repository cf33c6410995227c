import type { Redis } from "ioredis";
import { expect, test } from "vitest";
import { ClosedError, ConsumerGroup, Database, Stream, WrongTypeError } from "../../src/index.ts";
import { failure, numbered, numbersOf, type Watch, within } from "./harness.ts";

/** One way to connect. */
export interface Transport {
  /** A new connection; all that belongs to it has this name on the server. */
  readonly connect: (name: string) => Redis | Promise<Redis>;
  /** The server's own view. */
  readonly watch: () => Watch;
  /** What stands before every key on the server. */
  readonly prefix?: string;
  /** The database its keys are in. */
  readonly db?: number;
}

let connections = 0;

/** What has to hold on every transport. */
export function contract({ connect, watch, prefix = "", db = 0 }: Transport): void {
  const use = async (act: (redis: Redis, name: string) => Promise<void>): Promise<void> => {
    const name = `contract-${process.pid}-${connections++}`;
    const redis = await connect(name);
    try {
      await act(redis, name);
    } finally {
      if (redis instanceof Database) await redis.close();
      else redis.disconnect();
    }
    await watch().gone(name);
  };

  /** How long the stream of that key is in each of the first databases. */
  const lengths = async (key: string): Promise<number[]> => {
    const pipeline = watch().redis.multi();
    for (let other = 0; other < 5; other++) pipeline.select(other).xlen(key);
    const replies = (await pipeline.select(0).exec())!;
    return replies.flatMap(([, reply]) => (typeof reply === "number" ? [reply] : []));
  };
  const only = (length: number): number[] => [0, 1, 2, 3, 4].map((other) => (other === db ? length : 0));

  test("Stream.range – gives back what add and addMany stored, in this database and under this key", () =>
    use(async (redis, name) => {
      const stream = new Stream(redis, `${name}:é`);
      const first = await stream.add({ n: 0 });
      const ids = await stream.addMany(numbered(2500, 1));
      const messages = await stream.range();
      expect(messages.map(({ id }) => id)).toEqual([first, ...ids]);
      expect(numbersOf(messages)).toEqual(Array.from({ length: 2501 }, (_, i) => i));
      expect(new Set(messages.map((message) => message.stream))).toEqual(new Set([`${name}:é`]));
      expect(await lengths(`${prefix}${name}:é`)).toEqual(only(2501));
      if (prefix !== "") expect(await lengths(`${name}:é`)).toEqual([0, 0, 0, 0, 0]);
      expect(numbersOf(await stream.range().reverse())).toHaveLength(2501);
      expect(await stream.length()).toBe(2501);
      expect((await stream.get(ids[7]!))?.data).toEqual({ n: "8" });
    }));

  test("Stream.read – waits for an entry while other commands on the connection go on", () =>
    use(async (redis, name) => {
      const stream = new Stream(redis, `${name}:a`);
      await stream.add({ n: 0 });
      const reading = stream.read({ block: 10_000, lastId: "$" });
      await watch().blocked(1, name);
      const id = await within(1000, stream.add({ n: 1 }));
      const messages = await within(1000, reading);
      expect(messages).toMatchObject([{ stream: `${name}:a`, id, data: { n: "1" } }]);
    }));

  test("Stream.read – nothing comes: [] when the block is over", () =>
    use(async (redis, name) => {
      const start = performance.now();
      expect(await new Stream(redis, `${name}:a`).read({ block: 150 })).toEqual([]);
      expect(performance.now() - start).toBeGreaterThanOrEqual(148);
      expect(performance.now() - start).toBeLessThan(1500);
    }));

  test("ConsumerGroup.read – by key, pending until acknowledged", () =>
    use(async (redis, name) => {
      const keys = [`${name}:a`, `${name}:b`];
      const group = new ConsumerGroup(redis, "g", keys);
      expect(await group.create()).toEqual({ [keys[0]!]: true, [keys[1]!]: true });
      const [a, b] = keys.map((key) => group.streams[key]!) as unknown as [Stream, Stream];
      await a.addMany(numbered(3));
      const id = await b.add({ n: 9 });
      const messages = await group.read({ block: 5000, count: 10 });
      expect(Object.keys(messages).sort()).toEqual(keys);
      expect(numbersOf(messages[keys[0]!]!)).toEqual([0, 1, 2]);
      expect(messages[keys[1]!]).toMatchObject([{ id, stream: keys[1], deliveries: 1, consumer: "g.c1" }]);
      const reading = group.read({ block: 10_000 });
      await watch().blocked(1, name);
      await a.add({ n: 3 });
      expect(numbersOf((await within(1000, reading))[keys[0]!]!)).toEqual([3]);
      await messages[keys[1]!]![0]!.ack();
      expect(await group.streams[keys[1]!]!.pending()).toEqual([]);
      expect(await group.streams[keys[0]!]!.pending()).toHaveLength(4);
      expect(await lengths(prefix + keys[0])).toEqual(only(4));
    }));

  test("Stream.read – an abort ends the wait at once and keeps the connection", () =>
    use(async (redis, name) => {
      const stream = new Stream(redis, `${name}:a`);
      await stream.length(); // The connection is there: only then can it unblock.
      const before = await reads(1);
      expect(await reads(2)).toEqual(before);
      async function reads(round: number): Promise<string[]> {
        const controller = new AbortController();
        const reading = stream.read({ block: 0, signal: controller.signal });
        const [blocked] = await watch().blocked(1, name);
        controller.abort(new Error(`enough ${round}`));
        const { error, took } = await failure(reading);
        expect(error).toBe(controller.signal.reason);
        expect(took).toBeLessThan(500);
        expect(blocked?.db).toBe(String(db));
        return (await watch().clients(name)).map(({ id }) => id!);
      }
    }));

  test("Stream.read – an error names the key as the caller knows it", () =>
    use(async (redis, name) => {
      await redis.set(`${name}:s`, "text");
      const stream = new Stream(redis, `${name}:s`);
      const attempts = [
        () => stream.read(),
        () => stream.range(),
        () => stream.add({ n: 1 }),
        () => stream.addMany([{ n: 1 }]),
      ];
      for (const attempt of attempts) {
        const { error } = await failure(attempt());
        expect(error).toBeInstanceOf(WrongTypeError);
        expect(error).toMatchObject({ stream: `${name}:s`, retriable: false });
      }
    }));

  test("Redis.quit – ends the wires too, and a blocked read with them", () =>
    use(async (redis, name) => {
      const reading = new Stream(redis, `${name}:a`).read({ block: 0 });
      reading.catch(() => {});
      await watch().blocked(1, name);
      if (redis instanceof Database) await within(1500, redis.close());
      else await within(1500, redis.quit());
      expect((await failure(reading)).error).toBeInstanceOf(ClosedError);
      await watch().gone(name);
    }));
}
