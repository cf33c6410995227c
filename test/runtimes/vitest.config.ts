import { defineConfig, mergeConfig, type ViteUserConfig } from "vitest/config";
import project from "../../vitest.config.ts";
import { leftOut } from "./left-out.ts";
import { runtime } from "./program.ts";

const here = leftOut.filter(({ runtimes }) => runtimes.some((name) => name === runtime));
const files = here.filter(({ test }) => test === undefined).map(({ file }) => file);
const tests = here
  .flatMap(({ test }) => test ?? [])
  .map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));

/** The project's own test suite on another runtime, less what {@link leftOut} names. */
const config: ViteUserConfig = mergeConfig(
  project,
  defineConfig({
    test: {
      exclude: files,
      // Vitest on Bun finds no named exports in a package that it leaves to Bun and that comes in both module systems.
      ...(runtime === "bun" ? { server: { deps: { inline: ["zod"] } } } : {}),
      ...(tests.length > 0 ? { testNamePattern: new RegExp(`^(?!(?:${tests.join("|")})$)`) } : {}),
    },
  }),
);

export default config;
