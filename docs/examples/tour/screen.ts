// What the tour looks like: headings, the code that runs, tables, bars; plain text where stdout is no terminal.
import { readFile } from "node:fs/promises";
import progress from "cli-progress";
import Table from "cli-table3";

/** What a cell of a table may be. */
export type Cell = string | number | Date;

const WIDTH = 98;
const BOLD = 1;
const DIM = 2;
const CYAN = 36;
const GREY = 90;

/** The terminal, or the pipe, that the tour is shown on. */
export class Screen implements Disposable {
  readonly #source: string;
  readonly #signal: AbortSignal;
  readonly #hasColours = process.stdout.isTTY === true && process.stdout.hasColors();
  #sections = 0;
  #bar: progress.SingleBar | null = null;

  private constructor(source: string, signal: AbortSignal) {
    this.#source = source;
    this.#signal = signal;
  }

  /** A screen that shows code of a program: what stands between `// code` and `// result` after a section's title. */
  static async open(program: string, signal: AbortSignal): Promise<Screen> {
    return new Screen(await readFile(new URL(program), "utf8"), signal);
  }

  /** The first lines. */
  title(title: string, ...lines: string[]): void {
    this.say(this.#paint(title, BOLD), ...lines.map((line) => this.#paint(line, DIM)));
  }

  /** Begin a section: its heading, what happens in it, and the code that does it. Throws where the tour should stop. */
  section(title: string, sentence: string): void {
    this.#signal.throwIfAborted();
    const heading = `${++this.#sections}. ${title} `;
    this.say("", this.#paint(heading.padEnd(WIDTH, "─"), BOLD));
    this.say(...(sentence.match(new RegExp(`\\S.{0,${WIDTH - 1}}(?=\\s|$)`, "g")) ?? []), "");
    const code = this.#codeAfter(title);
    this.say(...code.map((line) => `    ${this.#paint(line, CYAN)}`), "");
  }

  /** Lines of text. */
  say(...lines: string[]): void {
    for (const line of lines) process.stdout.write(`${line}\n`);
  }

  /** A table; columns of numbers stand to the right, Dates are UTC. */
  table(head: string[], rows: Cell[][]): void {
    const texts = rows.map((row) => row.map(textOf));
    const isNumeric = head.map((_, i) => texts.every((row) => /^[-+]?[\d,.]+$/.test(row[i] ?? "")));
    const table = new Table({
      head: head.map((name) => this.#paint(name, BOLD)),
      colAligns: isNumeric.map((is) => (is ? "right" : "left")),
      style: { head: [], border: [], compact: true },
    });
    table.push(...texts);
    this.say(
      ...table
        .toString()
        .split("\n")
        .map((line) => this.#paintBorder(line)),
    );
  }

  /** Show how far something of so many steps is. */
  progress(total: number): void {
    if (!process.stdout.isTTY) return;
    this.#bar = new progress.SingleBar({
      format: "{bar} {value}/{total}",
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 60,
      stream: process.stdout,
    });
    this.#bar.start(total, 0);
  }

  /** Pass values on; each one is a step. */
  *counted<T>(values: Iterable<T>): Generator<T> {
    for (const value of values) {
      yield value;
      this.#bar?.increment();
    }
  }

  /** The steps are done. */
  done(): void {
    this.#bar?.stop();
    this.#bar = null;
  }

  /** Leave the terminal as it was. */
  [Symbol.dispose](): void {
    this.done();
  }

  #codeAfter(title: string): string[] {
    const start = this.#source.indexOf("// code\n", this.#source.indexOf(JSON.stringify(title)));
    const stop = this.#source.indexOf("// result\n", start);
    const lines = this.#source.slice(start, stop).split("\n").slice(1, -1);
    const indent = Math.min(...lines.filter((line) => line !== "").map((line) => line.search(/\S/)));
    return lines.map((line) => line.slice(indent));
  }

  #paint(text: string, style: number): string {
    return this.#hasColours && text !== "" ? `\x1b[${style}m${text}\x1b[0m` : text;
  }

  #paintBorder(line: string): string {
    return this.#hasColours ? line.replace(/[│─┌┬┐├┼┤└┴┘]+/g, (border) => this.#paint(border, GREY)) : line;
  }
}

/** A bar as long as a value's share of the greatest one, to an eighth of a character. */
export function bar(value: number, greatest: number, width: number): string {
  const eighths = Math.round((value / greatest) * width * 8);
  return "█".repeat(Math.floor(eighths / 8)) + ["", ..."▏▎▍▌▋▊▉"][eighths % 8]!;
}

/** A character as high as a value's share of the greatest one. */
export function spark(value: number, greatest: number): string {
  return value === 0 ? "·" : "▁▂▃▄▅▆▇█"[Math.min(7, Math.floor((value / greatest) * 8))]!;
}

function textOf(cell: Cell): string {
  if (cell instanceof Date) return cell.toISOString().slice(0, 19).replace("T", " ");
  return typeof cell === "number" ? cell.toLocaleString("en-US") : cell;
}
