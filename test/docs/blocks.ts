import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** The project's root. */
export const root: string = resolve(import.meta.dirname, "../..");

/**
 * Code of one file that is one module: a fenced `ts` block and the `ts continued` blocks after it.
 *
 * ` ```ts continued ` goes on where the block before it in the same file ended; ` ```ts no-run ` is compiled and not run.
 */
export interface Program {
  /** The file it stands in, from the root. */
  readonly file: string;
  /** Line of its first fence, from 1. */
  readonly line: number;
  /** Whether it can be run against one server. */
  readonly isRunnable: boolean;
  /** The code; every line stands on the line that it has in its file, all else is blank. */
  readonly text: string;
  /** The lines that it says it prints: what stands behind `// ->`, in order. */
  readonly prints: readonly string[];
}

const MODES: readonly string[] = ["", "continued", "no-run"];

/** Files of a folder and those below it that end so, from the root, in order. */
export function filesIn(folder: string, end: string): string[] {
  const files = (readdirSync(resolve(root, folder), { recursive: true }) as string[])
    .filter((file) => file.endsWith(end) && !/(^|\/)(node_modules|site)\//.test(file))
    .sort();
  return files.map((file) => join(folder, file));
}

/** The README, where there is one, and everything below `docs/`. */
export function pages(): string[] {
  return [...(existsSync(resolve(root, "README.md")) ? ["README.md"] : []), ...filesIn("docs", ".md")];
}

/** The programs of these files. */
export function programsIn(files: readonly string[]): Program[] {
  return files.flatMap((file) => programsOf(file, readFileSync(resolve(root, file), "utf8")));
}

/** Read the programs of one file: fenced blocks of Markdown, or those in the docstrings of a source. */
export function programsOf(file: string, text: string): Program[] {
  const isSource = file.endsWith(".ts");
  const lines = text.split("\n");
  const found: { line: number; mode: string; code: string[] }[] = [];
  let fence: { line: number; isCode: boolean; mark: string } | null = null;
  lines.forEach((whole, index) => {
    const comment = isSource ? /^\s*\* ?(.*)$/.exec(whole) : null;
    if (isSource && comment === null) return;
    const line = comment?.[1] ?? whole;
    const [, mark = "", language = "", mode = ""] = /^\s*(`{3,})(\S*)\s*(.*)$/.exec(line) ?? [];
    if (fence === null) {
      if (mark === "") return;
      const isCode = language === "ts";
      if (isCode && !MODES.includes(mode)) throw new Error(`${file}:${index + 1}: no such fence: ts ${mode}`);
      if (isCode && mode !== "continued") found.push({ line: index + 1, mode, code: lines.map(() => "") });
      if (isCode && found.length === 0) throw new Error(`${file}:${index + 1}: there is nothing to continue`);
      fence = { line: index + 1, isCode, mark };
    } else if (mark === fence.mark && language === "") fence = null;
    else if (fence.isCode) found.at(-1)!.code[index] = line;
  });
  if (fence !== null) throw new Error(`${file}:${(fence as { line: number }).line}: the block has no end`);
  return found.map(({ line, mode, code }) => ({
    file,
    line,
    isRunnable: mode !== "no-run",
    text: `${code.join("\n")}\nexport {};\n`,
    prints: code.flatMap((one) => /\/\/ -> (.*)$/.exec(one)?.[1] ?? []),
  }));
}
