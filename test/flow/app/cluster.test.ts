import { afterAll, beforeAll, expect, test } from "vitest";
import { App } from "../../../src/flow/app/app.ts";
import { ClusterDatabase, InvalidArgumentError } from "../../../src/index.ts";
import { type ClusterServer, startServer, waitFor } from "../../../src/testing/index.ts";
import { within } from "../../connection/harness.ts";

let server: ClusterServer;
let db: ClusterDatabase;

beforeAll(async () => {
  server = await startServer({ cluster: true });
  db = new ClusterDatabase(server.startupNodes, { redisOptions: server.redisOptions });
});
afterAll(async () => {
  await db?.close();
  await server?.stop();
});

test("App – in a cluster: groups over many slots, results, requests, every message without a group", async () => {
  const app = new App(db, { name: "app", log: false, retry: { maxDeliveries: 1 } });
  const streams = ["a", "b", "c", "d"];
  const seen: unknown[] = [];
  app.subscriber(streams, { group: "g", publishTo: "results" }, ({ data }) => {
    if (data === "bad") throw new TypeError("bad");
    return { of: data };
  });
  app.subscriber([...streams, "results"], {}, ({ stream }) => void seen.push(stream));
  const t = await app.test();
  await Promise.all(streams.map((stream) => app.publish(stream, { stream })));
  await within(10_000, t.handled(12));
  expect(seen.toSorted()).toEqual(["a", "b", "c", "d", ...Array(4).fill("results")]);
  const replies = await Promise.all(streams.map((stream) => app.request(1, { stream })));
  expect(replies.map(({ data }) => data)).toEqual(Array(4).fill({ of: 1 }));
  await expect(app.request("bad", { stream: "c" })).rejects.toMatchObject({ code: "REQUEST_FAILED" });
  // Who asked hears of it before the message is moved.
  await waitFor(async () => (await db.xlen("{c}:dead")) === 1);
  const { ready, subscribers } = await app.health();
  expect([ready, subscribers.length]).toEqual([true, 9]);
  await within(5000, app.stop());
  expect(await db.exists(replies[0]!.stream)).toBe(0);
  for (const stream of streams) expect((await db.Stream(stream).consumersInfo("g")).length).toBe(0);
});

test("App.subscriber – in a cluster: dead letters elsewhere are refused; results where no slot is known go all the same", async () => {
  const app = new App(db, { name: "app", log: false });
  expect(() => app.subscriber("a", { group: "g", deadLetter: "elsewhere" }, () => {})).toThrow(
    InvalidArgumentError,
  );
  app.subscriber("odd", { group: "g", publishTo: "o}dd" }, () => 7);
  const t = await app.test();
  await app.publish({}, { stream: "odd" });
  await within(5000, t.handled(1));
  expect(await db.xlen("o}dd")).toBe(1);
  await app.stop();
});
