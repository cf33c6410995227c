// Two services, one process each: a shop asks for quotes and places orders, payments charges them and says so. Handlers
// fail, one order makes no sense, and payments is killed half way. Nothing is lost, nobody pays twice, and each order is
// one trace through both. It ends with an error where that does not hold.
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Database, deadLetterKey } from "walrus-streams";
import { startServer, waitFor } from "walrus-streams/testing";
import type { News } from "./23-two-services/link.ts";
import type { Payment } from "./23-two-services/messages.ts";
import type { SpanFacts } from "./23-two-services/tracing.ts";

const ORDERS = 40;
const HALF = 22;
const numbers = Array.from({ length: ORDERS }, (_, i) => i + 1);

await using server = await startServer();
await using db = new Database(server.url);

const news: News[] = [];
const processes = new Set<ChildProcess>();

/** Start a service: another process, which tells what it does. */
function start(service: string, argument: number): ChildProcess {
  const child = fork(new URL(`./23-two-services/${service}.ts`, import.meta.url), [String(argument)], {
    env: { ...process.env, REDIS_URL: server.url },
  });
  processes.add(child);
  child.on("message", (message: News) => news.push(message));
  child.once("exit", () => processes.delete(child));
  return child;
}

/** What was told, of one type. */
function told<T extends News["type"]>(type: T): Extract<News, { type: T }>[] {
  return news.filter((one): one is Extract<News, { type: T }> => one.type === type);
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  await waitFor(condition, { what, timeout: 20_000 });
}

async function stop(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
  if (processes.has(child)) {
    process.kill(child.pid!, signal); // On Deno, the exit code is lost after child.kill().
    await once(child, "exit");
  }
  return child.exitCode;
}

try {
  const shop = start("shop", ORDERS);
  const victim = start("payments", HALF);
  await until(`order ${HALF}`, () => told("charging").some(({ order }) => order === HALF));
  await stop(victim, "SIGKILL");
  console.log(`payments was killed while it charged order ${HALF}`);
  const payments = start("payments", 0);

  const dead = db.deadLetters(deadLetterKey("orders"));
  await until("all orders", () => told("ordered").length === 1);
  await until("all payments", () => new Set(told("paid").map(({ order }) => order)).size === ORDERS);
  await until("the dead letter", async () => (await dead.length()) > 0);
  assert.equal(await stop(shop, "SIGTERM"), 0);
  assert.equal(await stop(payments, "SIGTERM"), 0);

  // Nothing is lost, nobody pays twice, and nothing is left half done.
  const paid = (await db.Stream("payments").range()).map(({ data }) => JSON.parse(data.json!) as Payment);
  assert.deepEqual(new Set(paid.map(({ order }) => order)), new Set(numbers));
  assert.equal(paid.length, ORDERS);
  console.log(`orders: ${ORDERS}, payments: ${paid.length}, one each`);
  for (const group of [
    db.consumerGroup("payments", ["orders", "quotes"]),
    db.consumerGroup("shop", ["payments"]),
  ])
    assert.equal((await group.stats()).pending, 0, `of the group ${group.name}`);

  // The order that made no sense.
  const [letter, ...others] = await dead.range();
  assert.deepEqual(others, []);
  const { origin, error, fields } = letter!;
  console.log(`dead: ${fields.json} of ${origin!.stream}`);
  console.log(`${error!.name}: ${error!.message.split(": ").at(-1)}`);

  // One trace for each order, through both services.
  const spans = told("span").map(({ span }) => span);
  const joined = numbers.filter((number) => isJoined(number, spans));
  assert.deepEqual(joined, numbers);
  console.log("traces through both services:", joined.length);
  const failed = spans.filter(({ name, isFailed }) => isFailed && name === "process orders");
  assert.ok(failed.length > 1, "the bank was never busy");
  assert.ok(
    failed.every(({ parent }) => spans.some(({ id }) => id === parent)),
    "a failure without its sender",
  );
} catch (error) {
  console.error(
    told("log")
      .map(({ text }) => text)
      .join("\n"),
  );
  throw error;
} finally {
  for (const child of processes) child.kill("SIGKILL");
}

/** Whether the trace of an order leads from the shop to payments and back. */
function isJoined(number: number, spans: readonly SpanFacts[]): boolean {
  const root = spans.find(({ name }) => name === `check out ${number}`);
  const own = spans.filter(({ trace }) => trace === root?.trace);
  const names = new Set(own.map(({ service, name }) => `${service}: ${name}`));
  return [
    ...["shop: send quotes", "payments: process quotes"],
    ...["shop: send orders", "payments: process orders", "payments: send payments", "shop: process payments"],
  ].every((name) => names.has(name));
}
