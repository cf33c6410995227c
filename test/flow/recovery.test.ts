import { describe, expect, test } from "vitest";
import { Client } from "../../src/connection/client.ts";
import type { Consumer, Database } from "../../src/index.ts";
import { type Server, startProxy, startServer, type TcpProxy, waitFor } from "../../src/testing/index.ts";
import { failure, open, Watch, within } from "../connection/harness.ts";
import { fill, Log, take, upTo } from "./harness.ts";

const servers = { args: ["--hz", "100"] };
const follow = { follow: true } as const;

/** A server of the test's own, and a database that reaches it through a proxy or directly. */
async function ground(options: { appendOnly?: boolean; direct?: boolean } = {}) {
  const { appendOnly = false, direct = false } = options;
  const server = await startServer({ ...servers, appendOnly });
  const watch = new Watch(server);
  const proxy = await startProxy(server);
  // With ioredis's own pauses, so that what a fault costs is what it costs users.
  const retryStrategy = (tries: number) => Math.min(tries * 50, 2000);
  const db = open({ host: proxy.host, port: direct ? server.port : proxy.port, retryStrategy });
  await db.ping();
  const dispose = async (): Promise<void> => {
    await within(1500, db.close());
    await proxy.close();
    watch.redis.disconnect();
    await server.stop();
  };
  return { server, watch, proxy, db, [Symbol.asyncDispose]: dispose };
}

/** That nothing is left of a consumer which is closed: no wire, no client that waits, no call. */
async function leavesNothing(db: Database, watch: Watch, consumer: Consumer<never>): Promise<void> {
  const waiting = consumer.getMessage();
  await within(1000, consumer.close());
  expect(await within(100, waiting)).toBeNull();
  await watch.blocked(0);
  await within(1500, db.close());
  expect(Client.of(db).wires).toBe(0);
  await watch.gone();
}

/** That a message comes whose reply is lost, the first of a group that was made again; then the consumer is closed. */
async function comesAfterLoss(
  { watch, proxy }: { watch: Watch; proxy: TcpProxy },
  consumer: Consumer<Record<string, string>>,
): Promise<void> {
  const waiting = consumer.getMessage();
  await watch.blocked();
  proxy.swallow();
  await fill(watch, "a", 1);
  await lose(proxy);
  expect(await within(3000, waiting)).toMatchObject({ id: "1-0" });
  await within(1000, consumer.close());
}

/** How many connections the server has had until now, refused ones included. */
async function connections(watch: Watch): Promise<number> {
  const stats = (await watch.redis.info("stats")).matchAll(
    /(?:total_connections_received|rejected_connections):(\d+)/g,
  );
  return [...stats].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function killed(server: Server, watch: Watch): Promise<void> {
  await server.kill();
  await waitFor(() => watch.redis.status === "reconnecting", { what: "the watch to notice" });
}

describe.concurrent("recovery", () => {
  test("Consumer – SIGKILL and restart with its data: a group goes on, nothing twice", async () => {
    await using here = await ground({ appendOnly: true, direct: true });
    const { server, watch, db } = here;
    const group = db.consumerGroup("g", ["a"]);
    const consumer = db.consumer(group, follow);
    const log = new Log(consumer);
    await db.Stream("a").add({ n: 1 }, { id: "1-0" });
    expect(await take(consumer, 1)).toEqual([1]);
    const next = consumer.getMessage();
    await watch.blocked();
    await killed(server, watch);
    await log.had("disconnected");
    await server.restart();
    await log.had("reconnected");
    await watch.blocked();
    await fill(watch, "a", 2, 2);
    expect(await within(2000, next)).toMatchObject({ id: "2-0" });
    expect(await take(consumer, 1)).toEqual([3]);
    expect(log.types).toEqual(["disconnected", "reconnected"]);
    await leavesNothing(db, watch, consumer as never);
  });

  test("Consumer – SIGKILL and restart without its data: the group is made again, streams are read on", async () => {
    await using here = await ground({ direct: true });
    const { server, watch, db } = here;
    const grouped = db.consumer(db.consumerGroup("g", ["a"]), follow);
    const plain = db.consumer("b", follow);
    const log = new Log(grouped);
    const waiting = [grouped.getMessage(), plain.getMessage()] as const;
    await watch.blocked(2);
    await killed(server, watch);
    await server.restart();
    await log.had("groupRecreated");
    await watch.blocked(2);
    await fill(watch, "a", 1);
    await fill(watch, "b", 1);
    expect((await within(2000, Promise.all(waiting))).map((message) => message?.id)).toEqual(["1-0", "1-0"]);
    expect(log.types).toEqual(["disconnected", "groupMissing", "groupRecreated", "reconnected"]);
    await plain.close();
    await leavesNothing(db, watch, grouped as never);
  });

  test("Consumer – a dead server: held messages still come, and close settles", async () => {
    await using here = await ground();
    const { watch, proxy, db } = here;
    await fill(watch, "a", 5);
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), follow);
    expect(await take(consumer, 1)).toEqual([1]);
    await watch.blocked();
    const log = new Log(consumer);
    proxy.refuse();
    proxy.cut();
    await log.had("disconnected");
    expect(await take(consumer, 4)).toEqual([2, 3, 4, 5]);
    const waiting = consumer.getMessage();
    await within(1000, consumer.close());
    expect(await within(100, waiting)).toBeNull();
    await within(1500, db.close());
    await watch.gone();
  });

  test("Consumer – SIGSTOP: half-open is noticed after slice and margin, and it goes on", async () => {
    await using here = await ground({ direct: true });
    const { server, watch, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), { ...follow });
    const other = db.consumer("a", { ...follow });
    const log = new Log(consumer);
    const waiting = [consumer.getMessage(), other.getMessage()] as const;
    await watch.blocked(2);
    await server.freeze();
    const adding = watch.redis.xadd("a", "1-0", "n", "1");
    await log.had("disconnected", 8500);
    // Closing does not wait for the server.
    const third = db.consumer("b", follow);
    const unanswered = third.getMessage();
    await within(1000, third.close());
    expect(await within(100, unanswered)).toBeNull();
    await server.thaw();
    await adding;
    expect((await within(5000, Promise.all(waiting))).map((message) => message?.id)).toEqual(["1-0", "1-0"]);
    await other.close();
    await leavesNothing(db, watch, consumer as never);
  });

  test.for(["a stream", "a group"])(
    "Consumer – %s, cut in the middle of replies: every entry once",
    async (what) => {
      await using here = await ground();
      const { watch, proxy, db } = here;
      await fill(watch, "a", 3000);
      const consumer =
        what === "a group"
          ? db.consumer(db.consumerGroup("g", ["a"]), { ...follow, buffer: 500 })
          : db.consumer("a", { ...follow, from: "earliest", buffer: 500 });
      expect(await take(consumer, 1)).toEqual([1]);
      let cuts = 0;
      const cutAgain = (): void => {
        void proxy.cutAfter(1000 + 3000 * cuts).then(() => ++cuts < 3 && cutAgain());
      };
      cutAgain();
      expect(await take(consumer, 2999)).toEqual(upTo(3000, 2));
      expect(cuts).toBe(3);
      await consumer.close();
    },
  );

  test("Consumer – the reply of a group read is lost: its messages come once, from the pending list", async () => {
    await using here = await ground();
    const { watch, proxy, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), follow);
    const waiting = consumer.getMessage();
    await watch.blocked();
    proxy.swallow();
    await fill(watch, "a", 1);
    await lose(proxy);
    expect(await within(3000, waiting)).toMatchObject({ id: "1-0", deliveries: 1 });
    await fill(watch, "a", 1, 2);
    expect(await take(consumer, 1)).toEqual([2]);
    expect((await watch.redis.xpending("a", "g"))[0]).toBe(2);
    await leavesNothing(db, watch, consumer as never);
  });

  test("Consumer – a lost reply after FLUSHALL: its messages come, below what was read before", async () => {
    await using here = await ground();
    const { watch, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), follow);
    const log = new Log(consumer);
    await fill(watch, "a", 5);
    expect(await take(consumer, 5)).toEqual(upTo(5));
    await watch.blocked();
    await watch.redis.flushall();
    await log.had("groupRecreated");
    await comesAfterLoss(here, consumer);
  });

  test("Consumer – a lost reply after FLUSHALL where somebody else made the group again first", async () => {
    await using here = await ground();
    const { watch, proxy, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), follow);
    const status = consumer.status();
    void (async () => {
      for await (const { type } of status) if (type === "groupMissing") proxy.swallow("commands");
    })();
    await fill(watch, "a", 5);
    expect(await take(consumer, 5)).toEqual(upTo(5));
    await watch.blocked();
    await watch.redis.flushall();
    await waitFor(() => proxy.heldBytes > 0, { what: "the consumer to make the group" });
    await watch.redis.xgroup("CREATE", "a", "g", "0", "MKSTREAM");
    proxy.pass();
    await comesAfterLoss(here, consumer);
  });

  test("Consumer – a group lost on one of two streams, then a lost reply: what the other gave is not given again", async () => {
    await using here = await ground();
    const { watch, proxy, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a", "b"], { consumer: "me" }), follow);
    const log = new Log(consumer);
    await fill(watch, "b", 5);
    expect(await take(consumer, 5)).toEqual(upTo(5));
    await watch.blocked();
    await watch.redis.del("a");
    await log.had("groupRecreated");
    const waiting = consumer.getMessage();
    await watch.blocked();
    // Its lease is kept, so that it is as young as what the reply brings.
    await watch.redis.xclaim("b", "g", "me", 0, "5-0", "JUSTID");
    proxy.swallow();
    await fill(watch, "a", 1);
    await lose(proxy);
    expect(await within(3000, waiting)).toMatchObject({ stream: "a", id: "1-0" });
    await watch.redis.xadd("b", "6-0", "n", 6);
    expect(await within(3000, consumer.getMessage())).toMatchObject({ stream: "b", id: "6-0" });
    await within(1000, consumer.close());
  });

  test("Consumer – a lost reply of a group that is gone: what the new one gives others of its name is theirs", async () => {
    await using here = await ground();
    const { watch, proxy, db } = here;
    const group = db.consumerGroup("g", ["a"]);
    const consumer = db.consumer(group, follow);
    const status = consumer.status();
    void (async () => {
      // Ahead of the reply to what makes the group again.
      for await (const { type } of status) if (type === "groupMissing") proxy.swallow();
    })();
    const waiting = consumer.getMessage();
    await watch.blocked();
    proxy.swallow();
    await fill(watch, "a", 1);
    await waitFor(() => proxy.heldBytes > 0, { what: "a reply to lose" });
    await watch.redis.xgroup("DESTROY", "a", "g");
    proxy.cut();
    proxy.pass();
    await waitFor(() => proxy.heldBytes > 0, { what: "the new group" });
    const own = ["GROUP", "g", group.consumerName] as const;
    expect(await watch.redis.xreadgroup(...own, "STREAMS", "a", ">")).toMatchObject([
      ["a", [["1-0", ["n", "1"]]]],
    ]);
    proxy.pass();
    await fill(watch, "a", 1, 2);
    expect(await within(3000, waiting)).toMatchObject({ id: "2-0" });
    await within(1000, consumer.close());
  });

  test("Consumer – a lost reply, and the server stays away for longer than one read tries", async () => {
    await using here = await ground();
    const { watch, proxy } = here;
    await using db = open({ host: proxy.host, port: proxy.port, maxRetriesPerRequest: 1 });
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), follow);
    const log = new Log(consumer);
    const waiting = consumer.getMessage();
    await watch.blocked();
    proxy.swallow();
    await fill(watch, "a", 1);
    await waitFor(() => proxy.heldBytes > 0);
    proxy.refuse();
    proxy.cut();
    proxy.pass();
    await log.had("disconnected");
    await waitFor(() => Client.of(db).wires === 0);
    const since = performance.now();
    await waitFor(() => performance.now() - since > 400, { what: "some tries in vain" });
    await proxy.accept();
    expect(await within(4000, waiting)).toMatchObject({ id: "1-0", deliveries: 1 });
    await within(1000, consumer.close());
  });

  test("Consumer – a read that is interrupted when its reply is lost: its messages still come, once", async () => {
    await using here = await ground();
    const { watch, proxy, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a", "b"]), follow);
    const waiting = consumer.getMessage();
    const [client] = await watch.blocked();
    proxy.swallow();
    await fill(watch, "a", 1);
    await waitFor(() => proxy.heldBytes > 0);
    // The read is to be made anew without b, but its end never shows: its connection is dropped, the reply with it.
    consumer.removeStream("b");
    const isGone = async () => !(await watch.clients()).some(({ id }) => id === client!.id);
    await waitFor(isGone, { what: "the drop" });
    proxy.cut();
    proxy.pass();
    expect(await within(4000, waiting)).toMatchObject({ id: "1-0", deliveries: 1 });
    await fill(watch, "a", 1, 2);
    expect(await take(consumer, 1)).toEqual([2]);
    await leavesNothing(db, watch, consumer as never);
  });

  test("Consumer – max clients reached: few attempts, and it goes on when there is room", async () => {
    await using here = await ground({ direct: true });
    const { watch, db } = here;
    const consumer = db.consumer("a", follow);
    const log = new Log(consumer);
    const waiting = consumer.getMessage();
    const [client] = await watch.blocked();
    await watch.redis.config("SET", "maxclients", "2");
    const before = await connections(watch);
    await watch.redis.client("KILL", "ID", Number(client!.id));
    // One refused connection after another, at ioredis's own pace.
    await log.had("disconnected");
    const since = performance.now();
    await waitFor(() => performance.now() - since > 1500, { what: "tries in vain" });
    const tries = (await connections(watch)) - before;
    expect(tries).toBeGreaterThan(0);
    expect(tries).toBeLessThan(10);
    await watch.redis.config("SET", "maxclients", "100");
    await log.had("reconnected");
    await fill(watch, "a", 1);
    expect(await within(2000, waiting)).toMatchObject({ id: "1-0" });
    await leavesNothing(db, watch, consumer as never);
  });

  test("Consumer – the password is changed: told at once, not tried again and again", async () => {
    await using here = await ground({ direct: true });
    const { server, watch, db } = here;
    const consumer = db.consumer("a", follow);
    const waiting = failure(consumer.getMessage(), 3000);
    const [client] = await watch.blocked();
    await watch.redis.config("SET", "requirepass", "new");
    await watch.redis.call("auth", "new");
    const before = await connections(watch);
    await watch.redis.client("KILL", "ID", Number(client!.id));
    const { error } = await waiting;
    expect(error).toMatchObject({ prefix: "NOAUTH" });
    expect((await connections(watch)) - before).toBeLessThan(4);
    expect(server.isRunning).toBe(true);
    expect((await failure(consumer.getMessage())).error).toBe(error);
    await within(1000, consumer.close());
  });

  test("Consumer – READONLY: the server becomes a replica while a group waits, then a master again", async () => {
    await using here = await ground({ direct: true });
    await using master = await startServer(servers);
    await using ruler = new Watch(master);
    // What it will be a replica of has the group too.
    await ruler.redis.xgroup("CREATE", "a", "g", "0-0", "MKSTREAM");
    const { watch, db } = here;
    const consumer = db.consumer(db.consumerGroup("g", ["a"]), follow);
    const log = new Log(consumer);
    const waiting = consumer.getMessage();
    await watch.blocked();
    const refused = async () =>
      Number(/cmdstat_xreadgroup:.*rejected_calls=(\d+)/.exec(await watch.redis.info("commandstats"))![1]);
    await watch.redis.replicaof(master.host, master.port);
    const { error } = await log.had("disconnected");
    expect(error).toMatchObject({ retriable: true });
    await waitFor(async () => (await refused()) > 0, { what: "a refusal" });
    const since = performance.now();
    await waitFor(() => performance.now() - since > 1000, { what: "tries in vain" });
    expect(await refused()).toBeLessThan(12);
    await watch.redis.replicaof("NO", "ONE");
    await log.had("reconnected");
    await fill(watch, "a", 1);
    expect(await within(3000, waiting)).toMatchObject({ id: "1-0" });
    await leavesNothing(db, watch, consumer as never);
  });

  test("Consumer – LOADING: it waits until the data are there", async () => {
    await using here = await ground({ appendOnly: true, direct: true });
    const { server, watch, db } = here;
    await fill(watch, "a", 3000);
    const group = db.consumer(db.consumerGroup("g", ["a"]), { ...follow, noAck: true, buffer: 4000 });
    const plain = db.consumer("a", follow);
    const log = new Log(group);
    await take(group, 3000);
    const waiting = [group.getMessage(), plain.getMessage()] as const;
    await watch.blocked(2);
    // A tenth of a millisecond for each key that is loaded: more than a second in all.
    await watch.redis.config("SET", "key-load-delay", "400");
    await watch.redis.config("REWRITE");
    await killed(server, watch);
    const restarting = server.restart();
    await log.had("disconnected");
    await restarting;
    await log.had("reconnected");
    await watch.blocked(2);
    await fill(watch, "a", 1, 3001);
    const ids = (await within(3000, Promise.all(waiting))).map((message) => message?.id);
    expect(ids).toEqual(["3001-0", "3001-0"]);
    await plain.close();
    await leavesNothing(db, watch, group as never);
  });
});

async function lose(proxy: TcpProxy): Promise<void> {
  await waitFor(() => proxy.heldBytes > 0, { what: "a reply to lose" });
  proxy.cut();
  proxy.pass();
}
