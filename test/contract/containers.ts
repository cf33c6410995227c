import type { Cluster, Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  ClusterDatabase,
  ConsumerGroup,
  Database,
  type GroupKeys,
  json,
  type KeyOf,
  Message,
  NoSuchGroupError,
  NoSuchStreamError,
  Stream,
  TimeSeries,
  WrongTypeError,
} from "../../src/index.ts";
import { waitFor } from "../../src/testing/index.ts";
import { collect, failure, ids, idsOf, numbered } from "../containers/harness.ts";

type Connection = Database | ClusterDatabase | Redis | Cluster;

let suites = 0;

/**
 * What containers promise on every kind of connection.
 *
 * @param connect - Makes the connection; a database makes its containers, anything else is given to their constructors.
 * @param prefix - What stands before every key on the server.
 */
export function contract(name: string, connect: () => Connection, prefix: string = ""): void {
  const suite = suites++;
  describe(name, () => {
    let redis: Connection;
    let keys = 0;
    beforeAll(async () => {
      redis = connect();
      await redis.ping();
    });
    afterAll(async () => {
      if (redis instanceof Database || redis instanceof ClusterDatabase) await redis.close();
      else redis.disconnect();
    });

    const key = (): string => `contract-${suite}-${keys++}`;
    /** Six keys, which lie on all masters of a cluster. */
    const spread = (): string[] => Array.from({ length: 6 }, key);
    const isDatabase = (): boolean => redis instanceof Database || redis instanceof ClusterDatabase;
    const streamOf = (at: string = key()): Stream =>
      isDatabase() ? (redis as Database).Stream(at) : new Stream(redis, at);
    const groupOf = <const K extends GroupKeys>(group: string, at: K): ConsumerGroup<KeyOf<K>> =>
      isDatabase() ? (redis as Database).consumerGroup(group, at) : new ConsumerGroup(redis, group, at);
    const seriesOf = <const K extends GroupKeys>(group: string, at: K): TimeSeries<KeyOf<K>> =>
      isDatabase() ? (redis as Database).timeSeries(group, at) : new TimeSeries(redis, group, at);

    /** Waits until somebody is blocked in a read. */
    async function blocked(): Promise<void> {
      const nodes = redis.isCluster ? (redis as Cluster).nodes("master") : [redis as Redis];
      const isSo = async (): Promise<boolean> => {
        const infos = await Promise.all(nodes.map((node) => node.info("clients")));
        return infos.some((info) => /blocked_clients:[1-9]/.test(info));
      };
      await waitFor(isSo, { what: "a blocked client" });
    }

    test("Stream – one entry from add to delete", async () => {
      const stream = streamOf();
      const id = await stream.add({ a: 1, ["__proto__"]: "é" }, { headers: { region: "eu" } });
      const message = (await stream.get(id))!;
      expect(message).toBeInstanceOf(Message);
      expect([message.stream, message.id]).toEqual([stream.key, id]);
      expect(Object.entries(message.data)).toEqual([
        ["a", "1"],
        ["__proto__", "é"],
      ]);
      expect(message.headers).toEqual({ region: "eu" });
      expect([await stream.has(id), await stream.length(), await stream.exists()]).toEqual([true, 1, true]);
      for (const same of [
        await stream.first(),
        await stream.last(),
        (await stream.range())[0],
        (await stream.read())[0],
      ]) {
        expect(same).toEqual(message);
      }
      expect(await stream.delete(message)).toBe(1);
      expect([await stream.get(id), await stream.first(), await stream.length()]).toEqual([null, null, 0]);
      expect([await stream.clear(), await stream.exists()]).toEqual([true, false]);
    });

    test("Stream – the key on the server", async () => {
      const stream = streamOf();
      await stream.add({ n: 0 });
      await stream.addMany(numbered(2, 1));
      const args = ["XLEN", `${prefix}${stream.key}`, "unprefixed"];
      // By a script, whose arguments ioredis leaves as they are.
      const length = await redis.eval("return redis.call(ARGV[1], ARGV[2])", 1, stream.key, ...args);
      expect(Number(length)).toBe(3);
    });

    test("Stream.add – Dates, bounds and noMkStream", async () => {
      const stream = streamOf();
      expect(await stream.add({ a: 1 }, { noMkStream: true })).toBeNull();
      expect(await stream.add({ a: 1 }, { id: new Date(5) })).toBe("5-0");
      expect(await stream.add({ a: 1 }, { id: new Date(5) })).toBe("5-1");
      await stream.add({ a: 1 }, { id: 6, maxlen: 2, approximate: false });
      expect(idsOf(await stream.range())).toEqual(["5-1", "6-0"]);
    });

    test("Stream.addMany and range – 2,500 entries, over pages, both ways", async () => {
      const stream = streamOf();
      expect(await stream.addMany(numbered(2500), { id: (_, i) => i + 1 })).toEqual(ids(2500));
      expect(idsOf(await stream.range())).toEqual(ids(2500));
      expect(idsOf(await collect(stream.range().reverse()))).toEqual(ids(2500).reverse());
      expect(idsOf(await stream.range(new Date(10), "(20-0", 5))).toEqual(ids(14).slice(9));
      expect((await collect(stream.range().pages())).map((page) => page.length)).toEqual([1000, 1000, 500]);
      expect(await stream.range("5-0", "4-0")).toEqual([]);
    });

    test("Stream.trim – maxlen, minid and olderThan", async () => {
      const stream = streamOf();
      await stream.addMany(numbered(10), { id: (_, i) => i + 1 });
      expect(await stream.trim({ maxlen: 8, approximate: false })).toBe(2);
      expect(await stream.trim({ minid: new Date(5), approximate: false })).toBe(2);
      const last = await stream.add({ n: 10 });
      expect(await stream.trim({ olderThan: { hours: 1 }, approximate: false })).toBe(6);
      expect(idsOf(await stream.range())).toEqual([last]);
    });

    test("Stream.info – with groups and consumers, in short and in full", async () => {
      const cg = groupOf("g", key());
      const stream = cg.streams[cg.keys[0]!]!;
      await cg.create();
      await stream.addMany(numbered(3), { id: (_, i) => i + 1 });
      await stream.read({ count: 2 });
      expect(await stream.info()).toMatchObject({
        length: 3,
        groups: 1,
        entriesAdded: 3,
        lastGeneratedId: "3-0",
        firstEntry: { id: "1-0", data: { n: "0" }, stream: stream.key },
      });
      const group = { name: "g", lag: 1, lastDeliveredId: "2-0", entriesRead: 2 };
      expect(await stream.groupsInfo()).toMatchObject([{ ...group, consumers: 1, pending: 2 }]);
      expect(await stream.consumersInfo()).toMatchObject([{ name: "g.c1", pending: 2 }]);
      const full = await stream.info({ full: true });
      expect(idsOf(full.entries)).toEqual(ids(3));
      expect(full.groups).toMatchObject([
        { ...group, pendingCount: 2, pending: [{ id: "1-0", deliveries: 1 }, {}] },
      ]);
      expect(full.groups[0]!.consumers).toMatchObject([{ name: "g.c1", pendingCount: 2 }]);
    });

    test("Stream.read – waits after $, and is ended by a signal", async () => {
      const stream = streamOf();
      await stream.add({ n: 0 });
      const reading = stream.read({ block: { seconds: 20 }, lastId: "$" });
      await blocked();
      const id = await stream.add({ n: 1 });
      expect(idsOf(await reading)).toEqual([id]);
      const controller = new AbortController();
      const waiting = stream.read({ block: 0, lastId: "$", signal: controller.signal });
      await blocked();
      controller.abort(new Error("enough"));
      await expect(waiting).rejects.toThrow("enough");
      expect(await stream.read({ block: 20, lastId: "$" })).toEqual([]);
    });

    test("ConsumerGroup – over streams of all slots: create, read, ack, pending, claim, destroy", async () => {
      const at = spread();
      const cg = groupOf("g", at);
      expect(await cg.create()).toEqual(Object.fromEntries(at.map((one) => [one, true])));
      for (const one of at) await streamOf(one).addMany(numbered(3), { id: (_, i) => i + 1 });
      const read = await cg.read({ count: 2 });
      expect(Object.keys(read).sort()).toEqual(at.toSorted());
      for (const one of at) expect(idsOf(read[one]!)).toEqual(["1-0", "2-0"]);
      await Promise.all(Object.values(read).flatMap((messages) => messages!.map((message) => message.ack())));
      expect((await cg.stats()).pending).toBe(0);
      const other = cg.consumer("other");
      await other.read();
      expect(await cg.read()).toEqual({});
      for (const one of at) {
        const stream = cg.streams[one]!;
        expect(await stream.pending()).toMatchObject([{ id: "3-0", consumer: "other", deliveries: 1 }]);
        const claimed = await stream.claim(["3-0"]);
        expect(claimed).toMatchObject([{ id: "3-0", consumer: "g.c1", deliveries: 2, data: { n: "2" } }]);
        expect(await stream.pendingSummary()).toEqual({
          count: 1,
          first: "3-0",
          last: "3-0",
          consumers: [{ name: "g.c1", pending: 1 }],
        });
      }
      expect(Object.keys(await cg.read({ lastId: "0" })).sort()).toEqual(at.toSorted());
      expect(await cg.destroy()).toEqual(Object.fromEntries(at.map((one) => [one, true])));
      await failure(cg.read(), NoSuchGroupError);
    });

    test("ConsumerGroup – stats, health, consumers and removeIdleConsumers over all slots", async () => {
      const at = spread();
      const cg = groupOf("g", at);
      await cg.create();
      for (const one of at) await streamOf(one).addMany(numbered(2));
      await cg.consumer("busy").read({ count: 1 });
      await cg.consumer("done").read({ noAck: true });
      expect(await cg.stats()).toMatchObject({ length: 12, lag: 0, pending: 6, unknownLags: 0 });
      expect((await cg.health({ maxPending: 0 })).issues).toHaveLength(6);
      expect(await cg.consumers()).toMatchObject([
        { name: "busy", pending: 6 },
        { name: "done", pending: 0 },
      ]);
      expect(await cg.removeIdleConsumers({ idle: 0 })).toEqual(["done"]);
      expect((await cg.consumers()).map(({ name }) => name)).toEqual(["busy"]);
    });

    test("ConsumerGroup.read – a blocking read is woken by any of its streams, nothing is lost", async () => {
      const at = spread();
      const cg = groupOf("g", at);
      await cg.create();
      for (const one of at) {
        const reading = cg.read({ block: { seconds: 20 } });
        await blocked();
        const id = await streamOf(one).add({ n: 0 });
        const read = await reading;
        expect([Object.keys(read), idsOf(read[one]!)]).toEqual([[one], [id]]);
      }
      expect(await cg.read({ block: 20 })).toEqual({});
      const reading = cg.read({ block: { seconds: 20 } });
      await blocked();
      await Promise.all(at.map((one) => streamOf(one).add({ n: 1 })));
      const seen = new Set(Object.keys(await reading));
      while (seen.size < at.length)
        for (const one of Object.keys(await cg.read({ block: 20_000 }))) seen.add(one);
      expect((await cg.stats()).pending).toBe(12);
    });

    test("ConsumerGroup.read – a signal ends it on all slots", async () => {
      const cg = groupOf("g", spread());
      await cg.create();
      const controller = new AbortController();
      const reading = cg.read({ block: 0, signal: controller.signal });
      await blocked();
      controller.abort(new Error("enough"));
      await expect(reading).rejects.toThrow("enough");
    });

    test("ConsumerGroup – streams of one slot are one read", async () => {
      const at = [`{${key()}}a`, `{contract-${suite}-${keys - 1}}b`];
      const cg = groupOf("g", at);
      await cg.create();
      for (const one of at) await streamOf(one).add({ n: 0 });
      expect(Object.keys(await cg.read({ block: 1000 }))).toEqual(at);
    });

    test("GroupStream – 2,500 pending entries, deleted ones, autoclaim to the end", async () => {
      const cg = groupOf("g", key());
      const stream = cg.streams[cg.keys[0]!]!;
      await cg.create();
      await stream.addMany(numbered(2500), { id: (_, i) => i + 1 });
      expect(await stream.read()).toHaveLength(2500);
      expect(idsOf(await stream.pending())).toEqual(ids(2500));
      await stream.delete("1-0", "700-0");
      expect(idsOf(await stream.read({ lastId: "0", count: 3 }))).toEqual(["2-0", "3-0"]);
      const taken: string[] = [];
      const gone: string[] = [];
      let start = "0-0";
      do {
        const { next, messages, deleted } = await stream.autoclaim({ start, count: 1000, consumer: "other" });
        taken.push(...idsOf(messages));
        gone.push(...deleted);
        start = next;
      } while (start !== "0-0");
      expect([taken.length, gone]).toEqual([2498, ["1-0", "700-0"]]);
      expect(await stream.ack(...taken)).toBe(2498);
      expect(await stream.pendingSummary()).toEqual({ count: 0, first: null, last: null, consumers: [] });
    });

    test("TimeSeries – streams of all slots, merged in time order over pages, read flat, in buckets", async () => {
      const at = spread();
      const ts = seriesOf("ts", at);
      await ts.create();
      // Stream i has i, i + 6, i + 12, ... and all of them have 10,000.
      for (const [i, one] of at.entries()) {
        await ts.streams[one]!.addMany(numbered(250), { id: ({ n }) => Number(n) * 6 + i + 1 });
        await ts.streams[one]!.add({ n: 0 }, { id: new Date(10_000) });
      }
      const merged = await ts.range();
      expect(idsOf(merged)).toEqual([...ids(1500), ...at.map(() => "10000-0")]);
      expect(merged.slice(1500).map((message) => message.stream)).toEqual(at.toSorted());
      expect(idsOf(await ts.range(new Date(5), undefined, 4).reverse())).toEqual(
        at.slice(2).map(() => "10000-0"),
      );
      const buckets = await collect(ts.buckets({ stop: 1500, every: { seconds: 1 }, value: "n" }));
      expect(buckets.map(({ count }) => count)).toEqual([999, 501]);
      const read = await ts.read({ count: 2 });
      expect(idsOf(read)).toEqual(ids(12));
    });

    test("Stream – a codec of its own", async () => {
      const stream = new Stream(redis, key(), { codec: json<{ list: number[] }>() });
      await stream.add({ list: [1] });
      await stream.addMany([{ list: [2, 3] }]);
      expect((await stream.range()).map(({ data }) => data.list)).toEqual([[1], [2, 3]]);
      expect((await stream.last())!.data).toEqual({ list: [2, 3] });
    });

    test("errors – typed on the connection and on wires, with the key as it was given", async () => {
      const at = key();
      await redis.set(at, "text");
      for (const call of [
        () => streamOf(at).add({ a: 1 }),
        () => streamOf(at).addMany([{ a: 1 }]),
        () => streamOf(at).range(),
        () => streamOf(at).read({ block: 10 }),
        () => groupOf("g", at).create(),
        () => groupOf("g", [at, ...spread()]).create(),
      ]) {
        expect((await failure(call, WrongTypeError)).stream).toBe(at);
      }
      expect(await redis.get(at)).toBe("text");
      expect((await failure(streamOf().info(), NoSuchStreamError)).code).toBe("NO_SUCH_STREAM");
      const nobody = await failure(groupOf("nobody", key()).read({ block: 10 }), NoSuchGroupError);
      expect(nobody).toMatchObject({ code: "NO_SUCH_GROUP", group: "nobody" });
    });
  });
}
