import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { leftOut } from "./left-out.ts";
import { runtime } from "./program.ts";

/** What `test/runtimes/run` was asked for; absent where the tests run on the project's own Node. */
const asked = process.env["WALRUS_RUNTIME"] ?? "node";

test("runtime – the tests run on what was asked for", () => {
  const { deno, bun, node } = process.versions as Record<string, string | undefined>;
  console.log(`on ${runtime} ${deno ?? bun ?? node}`);
  expect(asked.startsWith(runtime)).toBe(true);
  expect("Deno" in globalThis).toBe(asked === "deno");
  expect("Bun" in globalThis).toBe(asked === "bun");
  expect(deno !== undefined).toBe(asked === "deno");
  expect(bun !== undefined).toBe(asked === "bun");
  const major = /^node(\d+)$/.exec(asked)?.[1];
  if (major !== undefined) expect(node!.split(".")[0]).toBe(major);
});

test("left out – every file that is named is there, and every reason is given", () => {
  const gone = leftOut.filter(
    ({ file }) => !existsSync(new URL(`../../${file.replace("/**", "")}`, import.meta.url)),
  );
  expect(gone).toEqual([]);
  expect(leftOut.filter(({ why }) => why === "")).toEqual([]);
});
