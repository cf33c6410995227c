import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { GroupMessage, HandlerContext } from "../../../src/index.ts";

type Text = Record<string, string>;
type TextMessage = GroupMessage<Text>;

/** One run of a handler. */
export interface Run {
  readonly worker: string;
  /** Stream and id. */
  readonly entry: string;
  readonly n: string;
  readonly deliveries: number;
  /**
   * Which line of the ledger says that it began, and which that it ended; `null` where it never ended. All processes
   * share this order; a clock they do not: that of Deno and of Bun begins with the process.
   */
  readonly from: number;
  to: number | null;
}

/**
 * In which order workers began and ended to handle entries: a file that several processes write, a line at a time.
 *
 * Written synchronously, so that what a worker has begun is there whatever kills it next.
 */
export class Ledger {
  readonly file: string;
  readonly #directory: string | null;

  /** @param file - One that another process has made. */
  constructor(file?: string) {
    this.#directory = file === undefined ? mkdtempSync(join(tmpdir(), "walrus-ledger-")) : null;
    this.file = file ?? join(this.#directory!, "ledger");
    if (file === undefined) writeFileSync(this.file, "");
  }

  /** A handler that is recorded. */
  handler(
    worker: string,
    act: (message: TextMessage, context: HandlerContext) => unknown = () => {},
  ): (message: TextMessage, context: HandlerContext) => unknown {
    return (message, context) => {
      this.#write("begin", worker, message);
      let result: unknown;
      try {
        result = act(message, context);
      } catch (error) {
        this.#write("end", worker, message);
        throw error;
      }
      if (!(result instanceof Promise)) {
        this.#write("end", worker, message);
        return result;
      }
      return result.finally(() => this.#write("end", worker, message));
    };
  }

  /** A worker's process was killed: what it had begun has ended. */
  died(worker: string): void {
    this.#line("died", worker);
  }

  /** All runs, in the order in which they began. */
  runs(): Run[] {
    const runs: Run[] = [];
    const open = new Map<string, Run[]>();
    for (const [at, line] of readFileSync(this.file, "utf8").split("\n").entries()) {
      if (line === "") continue;
      const [what, worker, entry, deliveries, n] = JSON.parse(line) as [
        string,
        string,
        string,
        number,
        string,
      ];
      const name = `${worker} ${entry}`;
      if (what === "begin") {
        const run: Run = { worker, entry, n, deliveries: Number(deliveries), from: at, to: null };
        runs.push(run);
        open.set(name, [...(open.get(name) ?? []), run]);
      } else if (what === "end") open.get(name)!.shift()!.to = at;
      else for (const run of runs) if (run.worker === worker) run.to ??= at;
    }
    return runs;
  }

  /** Runs of an entry that began before another of the same entry had ended. */
  overlaps(): string[] {
    const last = new Map<string, Run>();
    const found: string[] = [];
    for (const run of this.runs()) {
      const before = last.get(run.entry);
      if (before !== undefined && (before.to === null || before.to > run.from))
        found.push(
          `${run.n}: by ${before.worker} (${before.deliveries}) and ${run.worker} (${run.deliveries})`,
        );
      last.set(run.entry, run);
    }
    return found;
  }

  /** How often each number was begun. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { n } of this.runs()) counts.set(n, (counts.get(n) ?? 0) + 1);
    return counts;
  }

  #write(what: string, worker: string, { stream, id, deliveries, data }: TextMessage): void {
    this.#line(what, worker, `${stream} ${id}`, deliveries, data.n);
  }

  #line(...words: unknown[]): void {
    appendFileSync(this.file, `${JSON.stringify(words)}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#directory !== null) rmSync(this.#directory, { recursive: true });
  }
}
