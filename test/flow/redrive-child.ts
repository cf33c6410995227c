import { DeadLetters } from "../../src/flow/dead-letters.ts";
import { Database } from "../../src/index.ts";

/** Moves the dead letters under `argv[3]` back, and prints how many it moved; it begins at a line on its input. */
const [, , url, key] = process.argv;
const db = new Database(url!);
await db.ping();
console.log("ready");
process.stdin.once("data", async () => {
  console.log(await new DeadLetters(db, key!).redrive());
  await db.close();
  process.exit();
});
