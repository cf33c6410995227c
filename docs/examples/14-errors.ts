// Errors: one base class, a stable code, the facts as fields, and whether the same call may work later.
import { ConnectionLostError, Database, NoSuchGroupError, WalrusError, WrongTypeError } from "walrus-streams";

await using db = new Database(process.env.REDIS_URL ?? "redis://localhost:6379");
const log = db.Stream("example:errors");

/** What an action fails with. */
async function failure(action: () => unknown): Promise<WalrusError | null> {
  try {
    await action();
    return null;
  } catch (error) {
    if (error instanceof WalrusError) return error;
    throw error;
  }
}

// A bad argument is refused before a byte is sent; the text names the argument, the rule and the value.
for (const action of [
  () => log.add({ total: null as never }),
  () => log.range("yesterday"),
  () => log.read({ block: -1 }),
]) {
  const error = await failure(action);
  console.log(error?.code, "|", error?.message);
}

// What the server refuses has a class of its own where that helps, and says which key and group.
await log.add({ n: 1 }, { id: "5-0" });
console.log((await failure(() => log.add({ n: 2 }, { id: "4-0" })))?.message);
const missing = await failure(() => db.consumerGroup("nobody", ["example:errors"]).read());
if (missing instanceof NoSuchGroupError) console.log(missing.code, missing.group, missing.stream);

await db.set("example:text", "not a stream");
const wrong = await failure(() => db.Stream("example:text").add({ n: 1 }));
console.log(wrong instanceof WrongTypeError, await db.get("example:text")); // never touched

// A server that is not there may come back: retriable. ioredis's options say how long to try.
await using nowhere = new Database({ host: "127.0.0.1", port: 1, maxRetriesPerRequest: 0 });
nowhere.on("error", () => {}); // ioredis reports each failed attempt here
const lost = await failure(() => nowhere.Stream("a").length());
console.log(lost instanceof ConnectionLostError, lost?.code, lost?.retriable);

await db.del("example:errors", "example:text");
