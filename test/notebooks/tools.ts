import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify, stripVTControlCharacters } from "node:util";
import { joined, type Notebook } from "../../docs/build/notebook.ts";
import { codeOf, incomplete } from "./notebook.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const deno = join(root, "test/runtimes/node_modules/.bin/deno");

/** A notebook that does not hold: its types, a cell that threw or did not end, or a tool that is missing. */
export class NotebookError extends Error {}

/** How often a notebook is run until no output is lost, see {@link incomplete}. */
const ATTEMPTS = 12;

/** How long a notebook may take. */
export interface Patience {
  /** Seconds for one cell. @defaultValue 120 */
  readonly cell?: number;
  /** Seconds for all of them, and the kernel's start. @defaultValue 300 */
  readonly notebook?: number;
  /** Ends it at once. */
  readonly signal?: AbortSignal;
}

/** Whether Deno and Jupyter are here; `.ci/ensure-jupyter` installs both. */
export async function hasTools(): Promise<boolean> {
  if (!existsSync(deno)) return false;
  return promisify(execFile)("jupyter", ["nbconvert", "--version"]).then(
    () => true,
    () => false,
  );
}

/**
 * Check the types of notebooks: the code cells of each, one after another, as one program.
 *
 * @throws NotebookError with what the compiler says, each place by notebook, cell and line.
 */
export async function check(files: readonly string[]): Promise<void> {
  if (!existsSync(deno))
    throw new NotebookError("there is no Deno here: run `npm ci --prefix test/runtimes`");
  // Beside the notebook, since that is where its imports begin.
  const programs = new Map(files.map((file) => [resolve(file.replace(/\.ipynb$/, ".check.ts")), file]));
  try {
    const places = new Map<string, string[]>();
    for (const [program, file] of programs) {
      const cells = codeOf(await read(file));
      // A cell that begins with a bracket is no index of the one before; Deno.jupyter is among what is called unstable.
      const lines = cells.flatMap((cell) => [...cell.split("\n"), ";"]);
      await writeFile(
        program,
        ['/// <reference lib="deno.unstable" />', ...lines, "export {};", ""].join("\n"),
      );
      const named = cells.flatMap((cell, n) =>
        [...cell.split("\n"), ";"].map(
          (_, line) => `${basename(file)}, code cell ${n + 1}, line ${line + 1}`,
        ),
      );
      places.set(program, ["", ...named]);
    }
    const args = ["check", "--quiet", "--config", join(root, "deno.json"), ...programs.keys()];
    await promisify(execFile)(deno, args, { env: { ...process.env, NO_COLOR: "1" } }).catch(
      ({ stderr }: { stderr: string }) => {
        const said = stripVTControlCharacters(stderr).replace(
          /file:\/\/(\S+\.check\.ts):(\d+):\d+/g,
          (place, program: string, line: string) => places.get(program)?.[Number(line) - 1] ?? place,
        );
        throw new NotebookError(`the types of the notebooks do not hold\n${said}`);
      },
    );
  } finally {
    await Promise.all([...programs.keys()].map((program) => rm(program, { force: true })));
  }
}

/**
 * Run a notebook from top to bottom in a new kernel, on a server of its own.
 *
 * @returns the notebook with its outputs.
 * @throws NotebookError with the source and the error of the cell that threw, or took too long.
 */
export async function execute(file: string, patience: Patience = {}): Promise<Notebook> {
  const { cell = 120, notebook = 300, signal } = patience;
  const place = await mkdtemp(join(tmpdir(), "walrus-notebook-"));
  try {
    const kernels = join(place, "kernels.txt");
    await install(place, kernels);
    const args = [
      ...["nbconvert", "--to", "notebook", "--execute", `--ExecutePreprocessor.timeout=${cell}`],
      ...["--output-dir", place, "--output", "executed.ipynb", resolve(file)],
    ];
    try {
      await run("jupyter", args, place, notebook, signal);
    } finally {
      await endKernels(kernels);
    }
    return await read(join(place, "executed.ipynb"));
  } catch (error) {
    if (error instanceof NotebookError) throw new NotebookError(`${basename(file)}: ${error.message}`);
    throw error;
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/**
 * Run a notebook, again where the kernel has lost an output.
 *
 * @returns the notebook with all its outputs.
 * @throws NotebookError as {@link execute} does, and where an output was lost each time.
 */
export async function executeWhole(file: string, patience?: Patience): Promise<Notebook> {
  for (let attempt = 1; ; attempt++) {
    const executed = await execute(file, patience);
    const [lost] = incomplete(executed);
    if (lost === undefined) return executed;
    if (attempt === ATTEMPTS)
      throw new NotebookError(
        `${basename(file)}: this machine is too busy, no output of\n${joined(lost.source)}`,
      );
  }
}

/** The notebook in a file. */
export async function read(file: string): Promise<Notebook> {
  return JSON.parse(await readFile(file, "utf8")) as Notebook;
}

/** Have Jupyter find the kernel of `test/runtimes`, which writes down its process id before it begins. */
async function install(place: string, kernels: string): Promise<void> {
  const folder = join(place, "data/kernels/deno");
  await mkdir(folder, { recursive: true });
  const start = [deno, "jupyter", "--kernel", "--conn", "{connection_file}"];
  const argv = ["/bin/sh", "-c", 'echo $$ >> "$0" && exec "$@"', kernels, ...start];
  const spec = { argv, display_name: "Deno", language: "typescript" };
  await writeFile(join(folder, "kernel.json"), JSON.stringify(spec));
}

function run(
  command: string,
  args: readonly string[],
  place: string,
  seconds: number,
  signal?: AbortSignal,
): Promise<void> {
  // No one else's settings, colours or server.
  const { REDIS_URL, FORCE_COLOR, JUPYTER_PATH, ...inherited } = process.env;
  const env = {
    ...inherited,
    JUPYTER_DATA_DIR: join(place, "data"),
    JUPYTER_RUNTIME_DIR: join(place, "runtime"),
    JUPYTER_CONFIG_DIR: join(place, "config"),
    IPYTHONDIR: join(place, "ipython"),
    NO_COLOR: "1",
    DENO_NO_UPDATE_CHECK: "1",
  };
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
    const end = (reason: string): void => {
      child.kill("SIGKILL");
      reject(new NotebookError(reason));
    };
    const timer = setTimeout(() => end(`it did not end within ${seconds} s`), seconds * 1000);
    const interrupted = (): void => end("it was interrupted");
    signal?.addEventListener("abort", interrupted);
    child.on("error", (error: NodeJS.ErrnoException) => {
      reject(
        error.code === "ENOENT"
          ? new NotebookError("there is no `jupyter nbconvert` here: see .ci/ensure-jupyter")
          : error,
      );
    });
    child.on("close", (exitCode) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", interrupted);
      if (exitCode === 0) resolve();
      else reject(new NotebookError(failure(stripVTControlCharacters(said))));
    });
  });
}

/** What nbconvert says of the cell, without its own stack. */
function failure(said: string): string {
  return /^nbclient\.exceptions\.\w+: ([\s\S]*)/m.exec(said)?.[1]?.trim() ?? said.trim();
}

/** End the kernels that are still there; nbconvert does so itself unless it was killed. */
async function endKernels(kernels: string): Promise<void> {
  const ids = existsSync(kernels) ? (await readFile(kernels, "utf8")).trim().split("\n").map(Number) : [];
  for (const id of ids) {
    // The number may be another's by now.
    const args = ["-o", "args=", "-p", String(id)];
    const { stdout } = await promisify(execFile)("ps", args).catch(() => ({ stdout: "" }));
    if (stdout.startsWith(`${deno} jupyter`)) process.kill(id, "SIGKILL");
  }
}
