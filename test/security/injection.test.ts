import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Database, type DeadLetter, deadLetterKey, RejectError } from "../../src/index.ts";
import { type Server, startServer, waitFor } from "../../src/testing/index.ts";

let server: Server;
let db: Database;

beforeAll(async () => {
  server = await startServer();
  db = new Database(server.options);
});
beforeEach(async () => {
  await db.flushall();
  await db.set("canary", "alive");
});
afterAll(async () => {
  await db?.close();
  await server?.stop();
});

/** What would end a string of Lua, a bulk of RESP or a pattern, if it were ever put into one. */
const HOSTILE = [
  `"]] redis.call('FLUSHALL') --`,
  `') redis.call('DEL', 'canary') --`,
  "]==] return redis.call('FLUSHALL')",
  "\r\n*1\r\n$8\r\nFLUSHALL\r\n",
  "$3\r\nfoo\r\n",
  "\n\0\u2028{process.exit()}",
  "%a+[^%]*$",
  "BLOCK",
  "STREAMS",
  "KEYS[1]",
  "{a}{b}",
  "\\",
  "-",
  ">",
  "*",
  "@retry:5",
  "@orphan:0",
  "é€𝄞\ud800",
];

/** As text that Redis gives back: a lone surrogate has no UTF-8. */
const stored = (name: string): string => Buffer.from(name).toString();

test.each(HOSTILE.map((name) => [JSON.stringify(name), stored(name)] as const))(
  "%s – as key, group, consumer, value, header, idempotency key and reason is nothing but a name",
  async (_, name) => {
    const key = `${name}orders`;
    const headers = { [name]: name };
    await using producer = db.producer(key);
    const once = { idempotencyKey: name, headers };
    const id = await producer.push({ [name]: name }, once);
    expect(await producer.push({ [name]: name }, once)).toBe(id);

    const group = db.consumerGroup(name, [key], { consumer: name });
    await group.create();
    const seen: unknown[] = [];
    const worker = db.worker(
      group,
      ({ data, headers: sent, deliveries }) => {
        seen.push([data, sent]);
        if (deliveries === 1) throw new Error(name);
        throw new RejectError(name);
      },
      { retry: { delay: 1, jitter: 0 }, lease: 1000 },
    );
    const running = worker.run();
    const letters = db.deadLetters(deadLetterKey(key));
    await waitFor(async () => (await letters.length()) === 1, { what: "the dead letter", timeout: 15_000 });
    await worker.stop();
    await running;
    const [letter] = (await letters.range()) as [DeadLetter<Record<string, string>>];
    expect(seen).toEqual([[{ [name]: name }, headers], [{ [name]: name }, headers]]); // biome-ignore format: twice
    expect(letter).toMatchObject({
      data: { [name]: name },
      origin: { stream: key, group: name, id },
      error: { name: "RejectError", message: expect.stringContaining(name) },
    });
    expect(await letters.redrive()).toBe(1);
    expect((await db.Stream(key).last())!.data).toEqual({ [name]: name });
    expect(await group.removeIdleConsumers({ idle: 0 })).toEqual(expect.any(Array));
    expect((await group.stats()).pending).toBe(0);
    expect(await db.get("canary")).toBe("alive");
    expect(
      (await db.keys("*")).filter((other) => other !== "canary" && !other.includes(stored("orders"))),
    ).toEqual([]);
  },
  20_000,
);

test("a consumer named as one that waits, for longer than a number holds – the others' entries are taken up", async () => {
  const group = db.consumerGroup("g", ["orders"]);
  await group.create();
  for (const consumer of ["@retry:99999999999999999999999", "@x:9223372036854775808", "@retry:1e9"]) {
    await db.Stream("orders").add({ n: 1 });
    await db.consumerGroup("g", ["orders"], { consumer }).read();
  }
  await db.Stream("orders").add({ n: 2 });
  await db.consumerGroup("g", ["orders"], { consumer: "@retry:1" }).read();
  const seen: string[] = [];
  await using worker = db.worker(group, ({ data }) => void seen.push(data.n!), { lease: 300 });
  const running = worker.run();
  await waitFor(() => seen.includes("2"), { what: "the entry that is due", timeout: 10_000 });
  await worker.stop();
  await running;
});
