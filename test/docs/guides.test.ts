import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { startServer } from "../../src/testing/index.ts";
import { program } from "../runtimes/program.ts";
import { filesIn, type Program, programsIn, programsOf, root } from "./blocks.ts";

/** What one program printed, and what it threw. */
interface Outcome {
  readonly printed: readonly string[];
  readonly error: string | null;
}

/** Runs the modules it is told, one after another, each on an empty server. */
const RUNNER = `
import { Redis } from "ioredis";
const [mark, ...modules] = process.argv.slice(2);
const redis = new Redis(process.env.REDIS_URL);
for (const module of modules) {
  await redis.flushall();
  console.log(mark);
  try {
    await import(module);
  } catch (error) {
    process.exitCode = 1;
    console.log(mark + JSON.stringify(String(error?.stack ?? error)));
  }
}
redis.disconnect();
`;

/** Run programs in a process of their own against a private server: its exit code, and what each came to. */
async function run(programs: readonly Program[]): Promise<{ code: unknown; outcomes: Outcome[] }> {
  // Inside the project, so that imports resolve; in a folder that git and the tools leave out.
  const folder = join(import.meta.dirname, "dist");
  mkdirSync(folder, { recursive: true });
  const scratch = mkdtempSync(join(folder, ".run-"));
  try {
    await using server = await startServer();
    const modules = programs.map(({ file, line, text }) => {
      const path = join(scratch, `${basename(file)}-${line}.ts`);
      writeFileSync(path, text);
      return pathToFileURL(path).href;
    });
    const runner = join(scratch, "runner.ts");
    writeFileSync(runner, RUNNER);
    const mark = `--- ${scratch} `;
    // A zone that is not UTC: what a guide says of a Date holds in any.
    const env = { ...process.env, REDIS_URL: server.url, TZ: "America/New_York", NO_COLOR: "1" };
    const args = program([runner, mark, ...modules]);
    return await new Promise((resolve) => {
      execFile(process.execPath, args, { cwd: root, env, timeout: 50_000 }, (error, stdout, stderr) => {
        const outcomes: { printed: string[]; error: string | null }[] = [];
        for (const line of stdout.split("\n").filter((text) => text !== "")) {
          if (line === mark) outcomes.push({ printed: [], error: null });
          else if (line.startsWith(mark)) outcomes.at(-1)!.error = JSON.parse(line.slice(mark.length));
          else outcomes.at(-1)?.printed.push(line);
        }
        resolve({ code: error === null ? 0 : (error.code ?? stderr), outcomes });
      });
    });
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    try {
      rmdirSync(folder);
    } catch {} // Another run is at work in it.
  }
}

const programs = programsIn(filesIn("docs/guides", ".md")).filter(({ isRunnable }) => isRunnable);
let all: Awaited<ReturnType<typeof run>>;

beforeAll(async () => {
  all = await run(programs);
});

test.each(programs.map(({ file, line, prints }, index) => [`${file}:${line}`, index, prints] as const))(
  "%s – runs and prints what it says",
  (_, index, prints) => {
    const { printed, error } = all.outcomes[index] ?? { error: `never begun: ${all.code}` };
    expect(error).toBe(null);
    if (prints.length > 0) expect(printed).toEqual(prints);
  },
);

test("guides – the process ends by itself, without an error", () => {
  expect(all.code).toBe(0);
  expect(all.outcomes.length).toBe(programs.length);
});

test("coming-from-walrus.md – the walrus calls of the guide all run", () => {
  const own = programs.filter(({ file }) => file === "docs/guides/coming-from-walrus.md");
  const code = own.map(({ text }) => text).join("\n");
  const calls = [
    "Stream",
    "add",
    "get",
    "range",
    "reverse",
    "delete",
    "length",
    "trim",
    "setId",
    "read",
  ].concat(
    ["info", "groupsInfo", "consumersInfo", "expire", "clear", "consumerGroup", "create", "destroy", "reset"],
    ["consumer", "streamInfo", "ack", "claim", "pending", "autoclaim", "deleteConsumer", "timeSeries"],
  );
  expect(calls.filter((call) => !code.includes(`.${call}(`))).toEqual([]);
  expect(own.flatMap(({ prints }) => prints).length).toBeGreaterThan(20);
});

test("a program – one that fails or prints something else is seen", async () => {
  const code = ['throw new Error("no"); // -> a', "console.log(1 + 1); // -> 3"];
  const wrong = code.flatMap((text, i) => programsOf(`${i}.md`, `\`\`\`ts\n${text}\n\`\`\``));
  expect(wrong.map(({ prints }) => prints)).toEqual([["a"], ["3"]]);
  const { code: exit, outcomes } = await run(wrong);
  expect(exit).toBe(1);
  expect(outcomes).toEqual([
    { printed: [], error: expect.stringMatching(/^Error: no\n.*0\.md-1\.ts:2/) },
    { printed: ["2"], error: null },
  ]);
});
