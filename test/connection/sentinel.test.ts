import { describe, expect, test } from "vitest";
import { type SentinelServer, startServer, waitFor } from "../../src/testing/index.ts";
import { numbered, numbersOf, open, Watch, within } from "./harness.ts";

/** A sentinel with its servers, and the views of the first master and of its replica. */
async function start(): Promise<
  { sentinel: SentinelServer; master: Watch; replica: Watch } & AsyncDisposable
> {
  const sentinel = await startServer({ sentinel: { downAfter: 500 }, args: ["--hz", "100"] });
  const [master, replica] = [new Watch(sentinel.master), new Watch(sentinel.replicas[0]!)];
  const dispose = async (): Promise<void> => {
    for (const watch of [master, replica]) watch.redis.disconnect();
    await sentinel.stop();
  };
  return { sentinel, master, replica, [Symbol.asyncDispose]: dispose };
}

describe.concurrent("failover", () => {
  test("Stream.read, ConsumerGroup.read – the master is demoted while they wait: they go on at the new one", async () => {
    await using servers = await start();
    const { sentinel, master, replica } = servers;
    await using db = open({ ...sentinel.options, maxRetriesPerRequest: null });
    const group = db.consumerGroup("g", ["a"]);
    await group.create();
    await group.a.addMany(numbered(3));
    expect(numbersOf((await group.read()).a!)).toEqual([0, 1, 2]);
    await db.wait(1, 1000);
    const reading = db.Stream("a").read({ block: 0, lastId: "$" });
    const groupReading = group.read({ block: 0 });
    await master.blocked(2);
    const { host, port } = await sentinel.failover();
    // What the sentinel tells the old master a good ten seconds later.
    await master.redis.multi().replicaof(host, port).call("CLIENT", "KILL", "TYPE", "normal").exec();
    await replica.blocked(2);
    await waitFor(() => db.status === "ready");
    await within(2000, db.Stream("a").add({ n: 3 }));
    expect(numbersOf(await within(2000, reading))).toEqual([3]);
    expect(numbersOf((await within(2000, groupReading)).a!)).toEqual([3]);
    // Nothing goes to the old master any more.
    expect(await db.Stream("a").addMany(numbered(2, 4))).toHaveLength(2);
    expect(numbersOf(await db.Stream("a").range())).toEqual([0, 1, 2, 3, 4, 5]);
  });

  test("Stream.read – the master is killed while it waits: it goes on at the one that takes over", async () => {
    await using servers = await start();
    const { sentinel, master, replica } = servers;
    await using db = open({ ...sentinel.options, maxRetriesPerRequest: null });
    await db.Stream("a").add({ n: 0 });
    await db.wait(1, 1000);
    const reading = db.Stream("a").read({ block: 0, lastId: "$" });
    await master.blocked();
    await sentinel.master.kill();
    await replica.blocked();
    await waitFor(() => db.status === "ready");
    await within(5000, db.Stream("a").add({ n: 1 }));
    expect(numbersOf(await within(2000, reading))).toEqual([1]);
  });
});
