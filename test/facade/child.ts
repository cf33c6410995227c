import { Redis } from "ioredis";
import { ClusterDatabase, Database, Stream } from "../../src/index.ts";

/**
 * A process that does one thing and has to end by itself: what keeps it alive is a leak.
 *
 * Arguments: the scenario, and where the server is. It says `ready` when the other side may act, and `done` last.
 */
const [scenario, to] = process.argv.slice(2) as [string, string];

const options = { port: Number(to), host: "127.0.0.1", retryStrategy: () => 20 };

function say(word: string): void {
  process.stdout.write(`${word}\n`);
}

/** Resolves when the other side has acted. */
function acted(): Promise<void> {
  return new Promise((resolve) => {
    process.stdin.once("data", () => {
      process.stdin.destroy();
      resolve();
    });
  });
}

function database(): Database {
  const db = new Database(options);
  db.on("error", () => {});
  return db;
}

/** What a rejection is called. */
function nameOf(promise: PromiseLike<unknown>): Promise<string> {
  return Promise.resolve(promise).then(
    () => "nothing",
    (error: Error) => error.name,
  );
}

const scenarios: Record<string, () => Promise<void>> = {
  async "idle wires"() {
    const db = database();
    const redis = new Redis(options);
    for (const connection of [db, redis]) {
      const stream = new Stream(connection, "none");
      await Promise.all(Array.from({ length: 5 }, () => stream.read({ block: 20 })));
      await connection.quit();
    }
    const lazy = new Database({ ...options, lazyConnect: true });
    await lazy.Stream("none").range(); // It has wires only, and is never closed.
    // One that came too late for its read and waits for another.
    const late = new Database({ ...options, lazyConnect: true });
    const controller = new AbortController();
    const reading = nameOf(late.Stream("none").read({ block: 0, signal: controller.signal }));
    await new Promise(setImmediate);
    controller.abort();
    await reading;
    new Database({ ...options, lazyConnect: true }).Stream("none");
  },
  async "close during reads"() {
    const db = database();
    const reads = [1, 2].map(() => nameOf(db.Stream("none").read({ block: 0 })));
    say("ready");
    await acted();
    await db.close();
    say(String(await Promise.all(reads)));
  },
  async "abort and close while the server is away"() {
    const db = database();
    await db.ping();
    const controller = new AbortController();
    const aborted = nameOf(db.Stream("none").read({ block: 0, signal: controller.signal }));
    const reading = nameOf(db.Stream("none").read({ block: 0 }));
    say("ready");
    await acted();
    controller.abort();
    say(await aborted);
    const others = [db.Stream("none").add({ n: 1 }), db.Stream("none").read({ block: 0 })].map(nameOf);
    await db.close();
    say(String([await reading, ...(await Promise.all(others))]));
  },
  async "a cluster closed during reads"() {
    const db = new ClusterDatabase([{ host: "127.0.0.1", port: Number(to) }]);
    db.on("error", () => {});
    const group = db.consumerGroup("g", ["a", "b", "c"]);
    await group.create();
    const reading = nameOf(group.read({ block: 0 }));
    say("ready");
    await acted();
    await db.close();
    say(await reading);
  },
};

await scenarios[scenario]!();
say("done");
