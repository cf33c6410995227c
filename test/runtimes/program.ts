import { fileURLToPath } from "node:url";

/** The runtime that the tests run on, as {@link https://runtime-keys.proposal.wintertc.org | runtime keys} name it. */
export const runtime: "node" | "deno" | "bun" =
  process.versions["deno"] !== undefined ? "deno" : process.versions["bun"] !== undefined ? "bun" : "node";

/** Deno looks for it beside the file that it runs, which may be a temporary one. */
const config = fileURLToPath(new URL("../../deno.json", import.meta.url));

/**
 * What follows `process.execPath` to run a TypeScript file in a process of its own, on the runtime of the tests.
 *
 * @param words - The file and its arguments.
 * @param preloads - Modules that run before it.
 */
export function program(words: readonly string[], preloads: readonly string[] = []): string[] {
  const before = (flag: string, modules: readonly string[]): string[] =>
    modules.flatMap((name) => [flag, name]);
  if (runtime === "deno")
    return ["run", "--allow-all", "--config", config, ...before("--import", preloads), ...words];
  if (runtime === "bun") return [...before("--preload", preloads), ...words];
  return [...before("--import", ["tsx", ...preloads]), ...words];
}
