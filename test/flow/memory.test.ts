import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { Ground } from "./harness.ts";

const at = new Ground();

test("Consumer – 200,000 messages, taken slowly: the heap stays flat", async () => {
  const count = 200_000;
  await at.db
    .Stream("a")
    .addMany(Array.from({ length: count }, (_, i) => ({ n: i + 1, text: "x".repeat(50) })));
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...["--expose-gc", "--import", "tsx"],
    ...[join(import.meta.dirname, "memory-child.ts"), at.server.url, String(count)],
  ]);
  const heaps = JSON.parse(stdout) as number[];
  expect(heaps).toHaveLength(10);
  // A message takes some 300 bytes: a hundredth of them kept would show.
  expect(Math.max(...heaps.slice(2)) - heaps[1]!).toBeLessThan(1_000_000);
});
