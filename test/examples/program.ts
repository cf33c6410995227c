import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { program } from "../runtimes/program.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** What a program did until it ended. */
export interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds it took. */
  readonly time: number;
}

/** How a program is run. */
export interface ProgramOptions {
  /** Variables of its environment, beside those of this process that do no harm. */
  readonly env?: Readonly<Record<string, string>>;
  /** Send it `SIGINT` once its output matches. */
  readonly interruptAt?: RegExp;
  /** Milliseconds after which it is killed; the promise rejects then. */
  readonly timeout?: number;
}

/** Run a program of `docs/examples` as the README says; at most two at once, the others wait. */
export async function run(file: string, options: ProgramOptions = {}): Promise<Outcome> {
  await lane();
  try {
    return await start(file, options);
  } finally {
    running--;
    waiting.shift()?.();
  }
}

const waiting: (() => void)[] = [];
let running = 0;

async function lane(): Promise<void> {
  while (running >= 2) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
}

function start(file: string, { env = {}, interruptAt, timeout = 60_000 }: ProgramOptions): Promise<Outcome> {
  const { REDIS_URL, REDIS_CLUSTER, NODE_OPTIONS, FORCE_COLOR, VITEST, ...inherited } = process.env;
  const begin = performance.now();
  const child = spawn(process.execPath, program([`docs/examples/${file}`]), {
    cwd: root,
    env: { ...inherited, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    let isInterrupted = false;
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`${file} did not end within ${timeout} ms; it said:\n${stdout}\n${stderr}`));
    }, timeout);
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      stdout += chunk;
      if (isInterrupted || !interruptAt?.test(stdout)) return;
      isInterrupted = true;
      // Not by `ChildProcess.kill`, after which Deno says that the signal ended it.
      process.kill(child.pid!, "SIGINT");
    });
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, stdout, stderr, time: performance.now() - begin });
    });
  });
}
