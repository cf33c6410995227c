import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
// What must not outlive this process, however it ends.
import { guardProcess, releaseProcess } from "../../src/testing/guard.ts";
import { waitFor } from "../../src/testing/index.ts";
import { type Book, now } from "./book.ts";
import type { Orders } from "./member.ts";
import type { Fault } from "./plan.ts";

/** How long a process has to begin, and to end in order, in milliseconds. */
const PATIENCE = 60_000;

/** A member: one process at a time, and another one when it ends, until it is dismissed. */
export class Actor {
  readonly name: string;
  /** What it did that it never should. */
  readonly failures: string[] = [];
  /** Whether its process has begun to work. */
  isReady = false;
  /** How often its handler has killed its process. */
  suicides = 0;
  readonly #program: string;
  readonly #orders: Omit<Orders, "life">;
  readonly #book: Book;
  readonly #isForgotten: (life: string) => Promise<boolean>;
  #child: ChildProcess | null = null;
  #lives = 0;
  #done = 0;
  #doneBefore = 0;
  /** Why the process ends that is about to; `null` where nobody has told it. */
  #sentence: string | null = null;
  #rest = 0;
  #isDismissed = false;
  #acting: Promise<void> = Promise.resolve();

  /**
   * @param program - The compiled `member.ts`.
   * @param isForgotten - Whether the servers have no connection of a former life any more.
   */
  constructor(
    program: string,
    orders: Omit<Orders, "life">,
    book: Book,
    isForgotten: (life: string) => Promise<boolean>,
  ) {
    this.#program = program;
    this.name = orders.name;
    this.#orders = orders;
    this.#book = book;
    this.#isForgotten = isForgotten;
  }

  /** How much it has done, in all its lives. */
  get done(): number {
    return this.#doneBefore + this.#done;
  }

  /** Begin the first life. */
  start(): void {
    this.#acting = this.#act();
  }

  /** Carry out a fault; resolves when it is over and the next life, where one has ended, has begun. */
  async strike({ kind, ms }: Fault): Promise<void> {
    await this.#strike(kind, ms);
    // On a busy machine it takes long to begin; struck again before, it would never do anything.
    const isBack = (): boolean => this.isReady || this.#isDismissed;
    await waitFor(isBack, { timeout: PATIENCE, interval: 50 }).catch(() => {});
  }

  async #strike(kind: string, ms: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#rest = ms;
    if (kind === "killed") await this.#end(child, "SIGKILL", "killed");
    else if (kind === "stopped") await this.#stop(child);
    else {
      const from = now();
      child.kill("SIGSTOP");
      await sleep(ms);
      child.kill("SIGCONT");
      this.#book.write({ what: "trouble", whom: this.name, why: "frozen", from });
    }
  }

  /** End it in order, for good. */
  async dismiss(): Promise<void> {
    this.#isDismissed = true;
    if (this.#child !== null) await this.#stop(this.#child);
    await this.#acting;
  }

  /** End it at once, whatever it does. */
  async kill(): Promise<void> {
    this.#isDismissed = true;
    if (this.#child !== null) await this.#end(this.#child, "SIGKILL", "killed");
    await this.#acting;
  }

  async #stop(child: ChildProcess): Promise<void> {
    const over = new AbortController();
    const late = sleep(PATIENCE, "late", { signal: over.signal }).catch(() => "in time");
    if ((await Promise.race([this.#end(child, "SIGTERM", "stopped"), late])) === "late") {
      this.failures.push(`${this.name} has not ended ${PATIENCE} ms after SIGTERM`);
      await this.#end(child, "SIGKILL", "killed");
    }
    over.abort();
  }

  async #end(child: ChildProcess, signal: NodeJS.Signals, sentence: string): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    this.#sentence = sentence;
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  }

  /** Live again and again. */
  async #act(): Promise<void> {
    while (!this.#isDismissed) {
      const life = `${this.name}.${++this.#lives}`;
      await this.#live(life);
      if (this.#isDismissed) return;
      await sleep(this.#rest);
      this.#rest = 200;
      // Its next life would look for what it has left too early: the server may still give to a read that nobody reads.
      if (this.#orders.role === "reader")
        await waitFor(() => this.#isForgotten(life), { timeout: 15_000, interval: 50 }).catch(() => {});
    }
  }

  async #live(life: string): Promise<void> {
    const orders: Orders = { ...this.#orders, life };
    const child = spawn(process.execPath, [this.#program, JSON.stringify(orders)], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const exit = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    const { pid } = child;
    if (pid !== undefined) guardProcess(pid);
    this.#child = child;
    this.#book.write({ what: "born", life });
    child.stdin!.on("error", () => {});
    child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.isReady = true;
      const count = Number(text.trim().split("\n").at(-1));
      if (Number.isInteger(count)) this.#done = count;
    });
    let errors = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-2000);
    });
    const [code, signal] = await exit;
    this.isReady = false;
    if (pid !== undefined) releaseProcess(pid);
    this.#child = null;
    this.#doneBefore += this.#done;
    this.#done = 0;
    // Told to stop, it may still be killed by an entry that it was handling.
    const isSuicide = signal === "SIGKILL" && this.#sentence !== "killed";
    const how = isSuicide ? "killed by its handler" : (this.#sentence ?? `code ${code}`);
    this.#book.write({ what: "died", life, how });
    if (isSuicide && this.#orders.hasKillers) this.suicides++;
    // Told to stop before it listened to signals, it ends by SIGTERM.
    else if (this.#sentence === null || (this.#sentence === "stopped" && code !== 0 && signal !== "SIGTERM"))
      this.failures.push(
        `${life} ended with ${signal ?? `code ${code}`}: ${errors.trim() || "it said nothing"}`,
      );
    this.#sentence = null;
  }
}
