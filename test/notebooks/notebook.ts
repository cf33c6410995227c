import { stripVTControlCharacters } from "node:util";
import ts from "typescript";
import { type Cell, joined, type Notebook, type Output, type Text } from "../../docs/build/notebook.ts";

/** The code cells' sources, in order. */
export function codeOf({ cells }: Notebook): string[] {
  return cells.filter(({ cell_type }) => cell_type === "code").map(({ source }) => joined(source));
}

/**
 * Code cells that lack what they should show: a value where the last line is an expression without a semicolon, and what
 * `console.log` prints. On a busy machine Deno's kernel may send a value after it has said that the cell is done; it is
 * lost then.
 */
export function incomplete({ cells }: Notebook): Cell[] {
  return cells.filter(({ cell_type, source, outputs = [] }) => {
    if (cell_type !== "code") return false;
    const code = joined(source);
    const isPrinting = code.includes("console.log(");
    const has = (isStream: boolean) =>
      outputs.some(({ output_type }) => (output_type === "stream") === isStream);
    return (hasValue(code) && !has(false)) || (isPrinting && !has(true));
  });
}

function hasValue(code: string): boolean {
  const last = ts.createSourceFile("cell.ts", code, ts.ScriptTarget.Latest).statements.at(-1);
  return (
    last !== undefined && ts.isExpressionStatement(last) && !code.slice(last.pos, last.end).endsWith(";")
  );
}

/** What a notebook says of its language; the kernel's version is left out, so that another Deno changes nothing. */
const METADATA = {
  kernelspec: { display_name: "Deno", language: "typescript", name: "deno" },
  language_info: {
    codemirror_mode: "typescript",
    file_extension: ".ts",
    mimetype: "text/x.typescript",
    name: "typescript",
    nbconvert_exporter: "script",
    pygments_lexer: "typescript",
  },
};

/**
 * A notebook as it is committed: no times of execution, no colours of a terminal, nothing of the machine, one output for
 * what was printed in pieces; laid out as Jupyter does it, so that saving it there changes little.
 */
export function committed(notebook: Notebook): string {
  const cells = notebook.cells.map(({ cell_type, id, source, execution_count, outputs }) =>
    cell_type === "code"
      ? {
          cell_type,
          execution_count: execution_count ?? null,
          id,
          metadata: {},
          outputs: outputsOf(outputs ?? []),
          source: lines(joined(source)),
        }
      : { cell_type, id, metadata: {}, source: lines(joined(source)) },
  );
  return `${JSON.stringify({ cells, metadata: METADATA, nbformat: 4, nbformat_minor: 5 }, null, 1)}\n`;
}

function outputsOf(outputs: readonly Output[]): object[] {
  const printed = new Map<string, { name: string; output_type: string; text: string[] }>();
  const kept: object[] = [];
  for (const output of outputs) {
    const { output_type, name, text, data, execution_count } = output;
    if (output_type !== "stream") {
      const result = output_type === "execute_result" ? { execution_count: execution_count ?? null } : {};
      kept.push({ data: dataOf(data ?? {}), ...result, metadata: {}, output_type });
      printed.clear();
      continue;
    }
    const before = printed.get(name!);
    const plain = stripVTControlCharacters((before?.text.join("") ?? "") + joined(text!));
    if (before !== undefined) before.text = lines(plain);
    else {
      const first = { name: name!, output_type, text: lines(plain) };
      printed.set(name!, first);
      kept.push(first);
    }
  }
  return kept;
}

function dataOf(data: Readonly<Record<string, Text>>): Record<string, string[]> {
  return Object.fromEntries(
    Object.entries(data).map(([type, text]) => [type, lines(stripVTControlCharacters(joined(text)))]),
  );
}

function lines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
