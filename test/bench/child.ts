import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A script of the bench in a process of its own, which never outlives this one. */
export class Child {
  /** The process; messages go both ways. */
  readonly process: ChildProcess;
  readonly #exited: Promise<unknown>;

  /**
   * Starts it.
   *
   * @param script - a file beside this one
   * @param flags - for Node, beside those that this process has; a profile is of this process alone
   */
  constructor(script: string, args: readonly string[], flags: readonly string[] = []) {
    const execArgv = [...process.execArgv.filter((flag) => !flag.startsWith("--cpu-prof")), ...flags];
    this.process = fork(fileURLToPath(new URL(script, import.meta.url)), args, { execArgv });
    this.#exited = once(this.process, "exit");
  }

  /** Lets go of it, and sees that it ends. */
  async release(): Promise<void> {
    if (this.process.connected) this.process.disconnect();
    await this.end(2_000);
  }

  /**
   * Waits until it ends by itself, and kills it when it has not within this time.
   *
   * @returns whether it ended by itself and without a failure
   */
  async end(milliseconds: number): Promise<boolean> {
    const timer = setTimeout(() => this.process.kill("SIGKILL"), milliseconds);
    await this.#exited;
    clearTimeout(timer);
    return this.process.exitCode === 0;
  }
}
