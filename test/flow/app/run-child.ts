import { setTimeout as wait } from "node:timers/promises";
import { App } from "../../../src/flow/app/app.ts";
import { Database } from "../../../src/index.ts";

/** An app that runs until it is told to end: `argv` is the server's URL, the stream, and for how long a handler works. */
const [, , url, key, work] = process.argv;
const db = new Database(url!);
const app = new App(db, { name: "child", log: false, lease: 500 });
app.subscriber(key!, { group: "g", publishTo: `${key}:to`, prefetch: 5 }, async ({ data }, { attempt }) => {
  console.log(`began ${data} ${attempt}`);
  await wait(Number(work));
  return data;
});
app.onShutdown(() => console.log("down"));
app.onStartup(() => console.log("up"));
const code = await app.run();
console.log(`code ${code}`);
await db.close();
