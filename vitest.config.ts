import { defineConfig, type ViteUserConfig } from "vitest/config";

/** Where `.ci/run` wants the counts as JSON; absent for a person. */
const results = process.env["WALRUS_RESULTS"];

const config: ViteUserConfig = defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["**/node_modules/**"],
    // Two at a time: the tests start servers, and freeze and kill them.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: results ? ["default", "json"] : ["default"],
    ...(results ? { outputFile: { json: results } } : {}),
  },
});

export default config;
