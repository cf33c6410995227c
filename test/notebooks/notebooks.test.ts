import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { joined, type Notebook } from "../../docs/build/notebook.ts";
import { waitFor } from "../../src/testing/index.ts";
import { committed, incomplete } from "./notebook.ts";
import { check, execute, executeWhole, hasTools, NotebookError, read } from "./tools.ts";

const folder = fileURLToPath(new URL("../../notebooks/", import.meta.url));
const names = (await readdir(folder)).filter((name) => name.endsWith(".ipynb")).sort();

test("notebooks – the four are there", () => {
  expect(names).toEqual([
    "01-streams.ipynb",
    "02-consumer-groups.ipynb",
    "03-time-series.ipynb",
    "04-workers.ipynb",
  ]);
});

describe.each(names)("notebooks/%s", (name) => {
  const file = join(folder, name);

  test("is committed as it ran from top to bottom: every output there, none of them an error", async () => {
    const notebook = await read(file);
    const code = notebook.cells.filter(({ cell_type }) => cell_type === "code");
    expect(code.map(({ execution_count }) => execution_count)).toEqual(code.map((_, n) => n + 1));
    expect(incomplete(notebook)).toEqual([]);
    expect(
      code.flatMap(({ outputs }) => outputs!).filter(({ output_type }) => output_type === "error"),
    ).toEqual([]);
    expect(committed(notebook)).toBe(await readFile(file, "utf8"));
  });

  test("names nothing of the machine it ran on", async () => {
    const { cells } = await read(file);
    const shown = JSON.stringify(cells.flatMap(({ outputs = [] }) => outputs));
    expect(shown).not.toMatch(/file:\/\/|\/(tmp|home|root|Users|work)\/|127\.0\.0\.1|localhost|redis:\/\//);
  });

  test("opens with one cell that works for a reader, and closes what it opened", async () => {
    const code = (await read(file)).cells
      .filter(({ cell_type }) => cell_type === "code")
      .map(({ source }) => joined(source));
    expect(code[0]).toContain('Deno.env.get("REDIS_URL")');
    expect(code[0]).toContain("startServer()");
    expect(code.at(-1)).toContain("server?.stop()");
  });
});

/** Whether a process has ended; one that only waits to be asked how has ended too. */
async function hasEnded(id: string): Promise<boolean> {
  const args = ["-o", "stat=", "-p", id];
  const { stdout } = await promisify(execFile)("ps", args).catch(() => ({ stdout: "" }));
  return stdout.trim() === "" || stdout.startsWith("Z");
}

// The gate runs `npm run notebooks` before the tests, and that installs both.
describe.skipIf(!(await hasTools()))("npm run notebooks", () => {
  let place: string;
  beforeAll(async () => {
    place = await mkdtemp(join(tmpdir(), "walrus-notebooks-"));
  });
  afterAll(() => rm(place, { recursive: true, force: true }));

  /** A notebook with these cells. */
  async function notebook(...sources: string[]): Promise<string> {
    const cells = sources.map((source, n) => ({
      ...{ cell_type: "code", execution_count: null, id: `cell-${n}`, metadata: {}, outputs: [], source },
    }));
    const file = join(place, `of-${sources.length}-${Math.random().toString(36).slice(2)}.ipynb`);
    await writeFile(file, committed({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5 } as Notebook));
    return file;
  }

  test("a cell that throws fails, with its source and its error; the cells after it are not run", async () => {
    const file = await notebook("const a = 1;", 'throw new Error("the bank is closed")', "a");
    const failure = await execute(file).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NotebookError);
    expect(String(failure)).toContain('throw new Error("the bank is closed")');
    expect(String(failure)).toContain("Error: the bank is closed");
  });

  test("a cell that does not end fails in its time", async () => {
    const file = await notebook("await new Promise(() => setInterval(() => {}, 1000))");
    await expect(execute(file, { cell: 2 })).rejects.toThrow(NotebookError);
  });

  test("one that is interrupted leaves no kernel behind", async () => {
    const pid = join(place, "pid.txt");
    const file = await notebook(
      `await Deno.writeTextFile(${JSON.stringify(pid)}, String(Deno.pid));
       await new Promise(() => setInterval(() => {}, 1000))`,
    );
    const interruption = new AbortController();
    const failure = execute(file, { signal: interruption.signal }).catch((error: unknown) => error);
    const kernel = await waitFor(() => readFile(pid, "utf8").catch(() => ""), { timeout: 30_000 });
    interruption.abort();
    expect(String(await failure)).toContain("it was interrupted");
    await waitFor(() => hasEnded(kernel));
  });

  test("a wrong type fails, at its cell and line", async () => {
    const file = await notebook(
      "const n: number = 1;\nn;",
      'const text: string = "x";\n\nconst wrong: number = text;',
    );
    await expect(check([file])).rejects.toThrow(/code cell 2, line 3/);
    await expect(check([await notebook("const n: number = 1;", "n")])).resolves.toBeUndefined();
  });

  // More than one run may be needed: see `incomplete`.
  test("what stands alone in a cell shows what it holds: a promise too, in its time", async () => {
    const display = new URL("../../src/ground/display.ts", import.meta.url).href;
    const { cells } = await executeWhole(
      await notebook(
        `await import(${JSON.stringify(display)}); Promise.resolve([1, 2])`,
        "new Promise(() => {})",
        'Promise.resolve({ [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "shown" }) })',
      ),
    );
    const texts = cells.map(({ outputs }) => joined(outputs!.at(-1)!.data!["text/plain"]!));
    expect(texts).toEqual(["[ 1, 2 ]", "Promise { <pending> }", "shown"]);
  }, 120_000);
});
