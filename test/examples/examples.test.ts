import { readdir } from "node:fs/promises";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ClusterServer, type Server, startServer } from "../../src/testing/index.ts";
import { runtime } from "../runtimes/program.ts";
import { run } from "./program.ts";

/** What each example prints, among other lines. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  "01-hello.ts": ["true { message: 'hello, streams' }", "left behind: 0"],
  "02-ids-and-dates.ts": [
    "at noon: 1514894400000-0 1514894400000-1",
    "later: 3 4",
    "in order: 1-9 1-10 9-0 10-0",
  ],
  "03-ranges.ts": ["last three: 2500-0 2499-0 2498-0", "sum of all: 3126250", "a page of 500"],
  "04-blocking-read.ts": ["woken by: fresh", "in vain: []", "given up: true"],
  "05-consumer-group.ts": ["ann: 2 of example:orders-eu", "{ length: 4, lag: 0, pending: 1 }"],
  "06-pending-and-claim.ts": ["ben has job b, delivery 2", "and c d next: 0-0", "acknowledged: 3"],
  "07-time-series.ts": [
    "2018-01-01T00:00:00.000Z example:oslo -9",
    "2018-01-02 4 0 3 6",
    "mean of both: 0.14",
  ],
  "08-codecs.ts": ["json: 7", "structured: 1970-01-01T00:00:00.000Z", "msgpack: b-2", "my own: -3.5"],
  "09-schema.ts": ["typed: 7.00 EUR", "read: sku, total", "left: 1"],
  "10-headers.ts": ["a-1 eu 2", `stored: [ '@headers', '{"correlation-id":"42","region":"eu"}' ]`],
  "11-batches.ts": ["added 10000, from 1514764800000-0 to 1514774799000-0", "kept: 500"],
  "12-existing-connection.ts": ["mixed 2-0 walrus-streams", "<GroupMessage mixed 1-0 { from: 'ioredis' }>"],
  "13-cluster.ts": ["slots: 3", "example:cluster-c 1 2", "pending: 0"],
  "14-errors.ts": ["NO_SUCH_GROUP nobody example:errors", "true not a stream", "true CONNECTION_LOST true"],
  "15-live-tail.ts": ["messages: 12"],
  "16-resume-after-crash.ts": [
    "crashed at job 3",
    "pending after the crash: 4",
    "did job 3 delivery 2",
    "pending at the end: 0",
  ],
  "17-merge-live.ts": ["12:00 oslo -5", "12:00 rome 12", "12:03 oslo -8", "merged: 7"],
  "18-worker.ts": ["mail to fay", "{ read: 6, acked: 6, failed: 0 } at once: 2", "left pending: 0"],
  "19-batch-worker.ts": ["8 rows, 7 done", "2 rows, 2 done", "rows: 10 row 4 at delivery 2"],
  "20-dead-letters.ts": [
    "again in 10 ms",
    "dead: seven the handler rejected the message: the total is no number, after 1",
    "dead: 9 the bank is closed, delivery 2, after 2",
    "would be sent back: 3",
    "billed 9 redrives 1",
    "dead letters: 0 pending: 0",
  ],
  "21-idempotent-producer.ts": [
    "pushed: 1000 in order: true",
    "one id: true",
    "loaded: true",
    "stored: 1004 0 failed",
  ],
  "22-cluster-worker.ts": [
    "read: 9",
    "{example:shop}us 1 2",
    "dead: {example:shop}eu:dead 1",
    "dead: {example:audit}:dead 1",
  ],
  "23-two-services.ts": [
    "payments was killed while it charged order 22",
    "orders: 40, payments: 40, one each",
    'dead: {"number":41,"sku":"apple","total":"a lot"} of orders',
    "DecodeError: expected number, received string",
    "traces through both services: 40",
  ],
  "24-app.ts": [
    "handled example:orders for order-1",
    "paid: { paid: 6 }",
    "refused: the handler rejected the message: there is no moon",
    "ready: true subscribers: example:orders example:quotes example:payments",
    "has stopped",
  ],
  "25-testing-an-app.ts": [
    "handled: { total: 7 } { total: 700 }",
    "dead: DecodeError",
    "the app stopped when 2 of 3 messages were handled",
  ],
};

let server: Server;
let cluster: ClusterServer;

beforeAll(async () => {
  [server, cluster] = await Promise.all([startServer(), startServer({ cluster: true })]);
});

afterAll(async () => {
  await Promise.all([server?.stop(), cluster?.stop()]);
});

/** A text without what Deno's and Bun's `console.log` do their own way with values: quotes, space, last commas. */
function bare(text: string): string {
  return text.replace(/["'`\\\s]/g, "").replace(/,(?=[}\]])/g, "");
}

/** The keys of a server that are not told to stay, once nothing runs on it. */
async function keysOf({ options }: Server): Promise<string[]> {
  const redis = new Redis(options);
  try {
    return (await redis.keys("*")).sort();
  } finally {
    redis.disconnect();
  }
}

test("examples – each one is run here", async () => {
  const files = await readdir(new URL("../../docs/examples/", import.meta.url));
  expect(files.filter((file) => /^\d\d-.*\.ts$/.test(file)).sort()).toEqual(Object.keys(EXAMPLES));
});

test.concurrent.for(Object.entries(EXAMPLES))(
  "example %s – ends well and prints what it should",
  {
    timeout: 90_000,
  },
  async ([file, lines], { expect }) => {
    const env = {
      REDIS_URL: server.url,
      REDIS_CLUSTER: cluster.nodes.map(({ host, port }) => `${host}:${port}`).join(","),
    };
    const { exitCode, stdout, stderr } = await run(file, { env });
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    if (runtime === "node") expect(stdout.split("\n")).toEqual(expect.arrayContaining([...lines]));
    else for (const line of lines) expect(bare(stdout)).toContain(bare(line));
  },
);

test.concurrent("tour – on a server of its own", { timeout: 90_000 }, async ({ expect }) => {
  const { exitCode, stdout, stderr } = await run("tour.ts");
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  expect(stdout).toContain("a private server");
  expect(stdout).toContain("That was the tour");
  expect(stdout).not.toContain("\x1b"); // no terminal, no colours, no bar
  expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
});

test.concurrent("tour – on the server of REDIS_URL, under its prefix only", { timeout: 90_000 }, async ({
  expect,
}) => {
  await using other = await startServer();
  const redis = new Redis(other.options);
  await redis.set("foreign", "stays");
  await redis.xadd("ci", "1-0", "foreign", "stays");
  redis.disconnect();
  const { exitCode, stdout, stderr } = await run("tour.ts", { env: { REDIS_URL: other.url } });
  expect(stderr).toBe("");
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/before this section +│ +12 │/);
  expect(await keysOf(other)).toEqual(["ci", "foreign"]);
});

test.concurrent("tour – interrupted", { timeout: 90_000 }, async ({ expect }) => {
  await using other = await startServer();
  const options = { env: { REDIS_URL: other.url }, interruptAt: /All networks, merged/ };
  const { exitCode, stdout, stderr } = await run("tour.ts", options);
  expect(stderr).toBe("tour: interrupted by SIGINT\n");
  expect(exitCode).toBe(130);
  expect(stdout).not.toContain("That was the tour");
  expect(await keysOf(other)).toEqual([]);
});

test.concurrent("tour – REDIS_URL leads nowhere", { timeout: 90_000 }, async ({ expect }) => {
  const { exitCode, stdout, stderr } = await run("tour.ts", {
    env: { REDIS_URL: "redis://:secret@127.0.0.1:1" },
  });
  expect(stderr).toBe(
    "tour: cannot use REDIS_URL (redis://:***@127.0.0.1:1): connect ECONNREFUSED 127.0.0.1:1\n",
  );
  expect(exitCode).toBe(1);
  expect(stdout).toBe("");
});

test("examples – nothing is left behind", async () => {
  const servers = [server, ...cluster.nodes];
  expect((await Promise.all(servers.map(keysOf))).flat()).toEqual([]);
});
