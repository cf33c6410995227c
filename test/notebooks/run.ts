// Checks the types of the notebooks, and runs each from top to bottom: `npm run notebooks`, or with names after `--`.
// With `--write` the new outputs go into the files; without it the files stay as they are.
import { readdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { joined } from "../../docs/build/notebook.ts";
import { committed, incomplete } from "./notebook.ts";
import { check, execute, NotebookError } from "./tools.ts";

const { values, positionals } = parseArgs({
  options: { write: { type: "boolean", default: false } },
  allowPositionals: true,
});
/** How often a notebook is run until no output is lost, see `incomplete`. */
const ATTEMPTS = 12;

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
    let executed = await execute(file, { signal: interruption.signal });
    if (values.write) {
      for (let more = ATTEMPTS - 1; more > 0 && incomplete(executed).length > 0; more--)
        executed = await execute(file, { signal: interruption.signal });
      const [lost] = incomplete(executed);
      if (lost !== undefined)
        throw new NotebookError(
          `${basename(file)}: this machine is too busy, no output of\n${joined(lost.source)}`,
        );
      await writeFile(file, committed(executed));
    }
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    console.log(`${basename(file)}: ${values.write ? "written" : "ok"}, ${seconds} s`);
  }
} catch (error) {
  console.error(error instanceof NotebookError ? `notebooks: ${error.message}` : error);
  process.exitCode = 1;
}
