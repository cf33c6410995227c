import { expect, test } from "vitest";
import { startServer, waitFor } from "../../src/testing/index.ts";
import { open, Watch, within } from "../connection/harness.ts";
import { fill, Log, take, upTo } from "./harness.ts";

test("Consumer – Sentinel: the master is killed, the replica takes over, nothing hangs or is lost", async () => {
  await using servers = await startServer({ sentinel: { downAfter: 500 }, args: ["--hz", "100"] });
  await using before = new Watch(servers.master);
  await using after = new Watch(servers.replicas[0]!);
  const db = open({ ...servers.options, sentinelRetryStrategy: () => 50 });
  const group = db.consumer(db.consumerGroup("g", ["a"]), { follow: true });
  const plain = db.consumer("a", { follow: true, from: "earliest" });
  const log = new Log(plain);
  await fill(before, "a", 500);
  expect(await take(group, 300)).toEqual(upTo(300));
  expect(await take(plain, 500)).toEqual(upTo(500));
  await before.redis.wait(1, 1000);
  await servers.master.kill();
  // What it holds is not lost with the server.
  const rest = take(group, 200, 15_000);
  await waitFor(async () => (await servers.currentMaster()) === servers.replicas[0], { timeout: 15_000 });
  await waitFor(async () => (await after.redis.role())[0] === "master", { timeout: 5000 });
  await fill(after, "a", 10, 501);
  expect(await rest).toEqual(upTo(500, 301));
  expect(await within(15_000, take(plain, 10, 15_000))).toEqual(upTo(510, 501));
  expect(await within(15_000, take(group, 10, 15_000))).toEqual(upTo(510, 501));
  expect(log.types).toEqual(["disconnected", "reconnected"]);
  const [waiting, other] = [group.getMessage(), plain.getMessage()];
  await within(1000, Promise.all([group.close(), plain.close()]));
  expect(await Promise.all([waiting, other])).toEqual([null, null]);
  await within(1500, db.close());
  await after.gone();
});

test("Consumer – Sentinel: a failover by order, while a read is blocked", async () => {
  await using servers = await startServer({ sentinel: { downAfter: 1000 }, args: ["--hz", "100"] });
  await using after = new Watch(servers.replicas[0]!);
  // Without its detector ioredis learns of it when the old master is made a replica, some ten seconds later.
  const db = open({ ...servers.options, failoverDetector: true });
  await db.ping();
  const group = db.consumer(db.consumerGroup("g", ["a"]), { follow: true });
  const waiting = group.getMessage();
  await waitFor(async () => (await after.redis.exists("a")) === 1, { what: "the group on the replica" });
  await servers.failover();
  const id = await waitFor(() => after.redis.xadd("a", "*", "n", "1"), { timeout: 10_000 });
  expect(await within(15_000, waiting)).toMatchObject({ id });
  await within(1000, group.close());
  await within(1500, db.close());
});
