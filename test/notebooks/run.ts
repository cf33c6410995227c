// Checks the types of the notebooks, and runs each from top to bottom: `npm run notebooks`, or with names after `--`.
// With `--write` the new outputs go into the files; without it the files stay as they are.
import { readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { committed } from "./notebook.ts";
import { check, execute, executeWhole, NotebookError } from "./tools.ts";

const { values, positionals } = parseArgs({
  options: { write: { type: "boolean", default: false } },
  allowPositionals: true,
});
const folder = fileURLToPath(new URL("../../notebooks/", import.meta.url));
const own = (await readdir(folder)).filter((name) => name.endsWith(".ipynb")).sort();
const files = positionals.length > 0 ? positionals : own.map((name) => join(folder, name));

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interruption.abort());

try {
  await check(files);
  console.log(`types of ${files.length} notebooks: ok`);
  for (const file of files) {
    const begin = performance.now();
    const { signal } = interruption;
    if (values.write) await writeFile(file, committed(await executeWhole(file, { signal })));
    else await execute(file, { signal });
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    console.log(`${basename(file)}: ${values.write ? "written" : "ok"}, ${seconds} s`);
  }
} catch (error) {
  console.error(error instanceof NotebookError ? `notebooks: ${error.message}` : error);
  process.exitCode = 1;
}
