import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { within } from "../../connection/harness.ts";
import { program } from "../../runtimes/program.ts";
import type { Orders } from "./child.ts";
import type { Ledger } from "./ledger.ts";

/** A worker in a process of its own; ended by its id where it has not ended by itself. */
export class WorkerProcess {
  readonly #child: ChildProcess;
  readonly #ledger: Ledger;
  readonly #name: string;
  readonly #lines: string[] = [];
  readonly #ready: Promise<void>;
  #isRunning = true;
  /** Its exit code and signal. */
  readonly exit: Promise<[code: number | null, signal: string | null]>;

  constructor(ledger: Ledger, orders: Omit<Orders, "ledger">, preloads: readonly string[] = []) {
    this.#ledger = ledger;
    this.#name = orders.name;
    const file = join(import.meta.dirname, "child.ts");
    const args = program([file, JSON.stringify({ ...orders, ledger: ledger.file })], preloads);
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.exit = once(this.#child, "exit") as Promise<never>;
    this.#child.once("exit", () => {
      this.#isRunning = false;
      ledger.died(orders.name);
    });
    let rest = "";
    this.#ready = new Promise<void>((resolve, reject) => {
      this.#child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop()!;
        this.#lines.push(...lines);
        if (this.#lines.includes("ready")) resolve();
      });
      this.exit.then(() => reject(new Error(`${this.#name} ended before it was ready`)), reject);
    });
    this.#ready.catch(() => {});
  }

  /** Resolves when its worker runs. */
  ready(): Promise<void> {
    return within(60_000, this.#ready);
  }

  /** What it has told so far. */
  get events(): { readonly type: string; readonly [fact: string]: unknown }[] {
    return this.#lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  /** Send it a signal; not by `ChildProcess.kill`, which on Deno works once only. */
  kill(signal: NodeJS.Signals): void {
    if (this.#isRunning) process.kill(this.#child.pid!, signal);
  }

  /** Kill it, and wait until it is gone. */
  async end(): Promise<void> {
    this.kill("SIGKILL");
    await this.exit;
    this.#ledger.died(this.#name);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }
}
