import { stripVTControlCharacters } from "node:util";
import { escaped } from "../../src/ground/table.ts";

/** A notebook as a page: Markdown with a place for each output, and the HTML that belongs there. */
export interface NotebookPage {
  /**
   * Cells as Markdown. `<div data-output="0"></div>` stands where `outputs[0]` belongs, and
   * `<div data-output="origin"></div>` where the page says what it is made of.
   */
  readonly markdown: string;
  /** HTML of the outputs. It stays out of the Markdown, which would read blank lines and indents in it as its own. */
  readonly outputs: readonly string[];
}

/** What is used of the [notebook format](https://nbformat.readthedocs.io/en/latest/format_description.html), version 4. */
export interface Notebook {
  readonly cells: readonly Cell[];
  readonly metadata: object;
  readonly nbformat: number;
  readonly nbformat_minor: number;
}

/** A cell of text or of code; only code has a count and outputs. */
export interface Cell {
  readonly cell_type: "markdown" | "code" | "raw";
  readonly execution_count?: number | null;
  readonly id: string;
  readonly metadata: object;
  readonly outputs?: readonly Output[];
  readonly source: Text;
}

/** What a cell printed, showed, gave or threw. */
export interface Output {
  readonly output_type: "stream" | "display_data" | "execute_result" | "error";
  readonly name?: string;
  readonly text?: Text;
  readonly data?: Readonly<Record<string, Text>>;
  readonly execution_count?: number | null;
  readonly ename?: string;
  readonly evalue?: string;
  readonly traceback?: readonly string[];
}

/** A text, or its lines with their ends. */
export type Text = string | readonly string[];

/** A text of the format as one string. */
export function joined(text: Text): string {
  return typeof text === "string" ? text : text.join("");
}

/** What a page may hold of an output, richest first. */
const RICH = ["text/html", "image/svg+xml", "image/png", "image/jpeg", "text/plain"] as const;

/**
 * Read the text of an `.ipynb`.
 *
 * @throws Error that names file and cell for another version, an output that no page can show, and one that would run code
 * in the reader's browser.
 */
export function notebookPage(file: string, text: string): NotebookPage {
  const { nbformat, cells } = JSON.parse(text) as Notebook;
  if (nbformat !== 4) throw new Error(`${file}: notebook format ${nbformat} is not 4`);
  const outputs: string[] = [];
  const parts = cells.flatMap((cell, index) => {
    const source = joined(cell.source);
    if (cell.cell_type !== "code") return source;
    const shown = (cell.outputs ?? []).map((output) => html(`${file}: cell ${index + 1}`, output));
    const places = shown.map((one) => `<div data-output="${outputs.push(one) - 1}"></div>`);
    return [...(source.trim() === "" ? [] : [block("ts", source)]), ...places];
  });
  const origin = '<div data-output="origin"></div>\n\n';
  const markdown = parts.join("\n\n").replace(/^(?:(# .*)\n+)?/, (_, title?: string) => {
    return title === undefined ? origin : `${title}\n\n${origin}`;
  });
  return { markdown, outputs };
}

/** Code as a fenced block whose fence the code does not hold. */
export function block(language: string, code: string): string {
  const longest = Math.max(2, ...[...code.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${code.trimEnd()}\n${fence}`;
}

function html(where: string, output: Output): string {
  switch (output.output_type) {
    case "stream":
      return box(output.name === "stderr" ? "error" : "text", pre(joined(output.text ?? "")));
    case "error":
      return box("error", pre(output.traceback?.join("\n") || `${output.ename}: ${output.evalue}`));
    case "display_data":
    case "execute_result": {
      const data = output.data ?? {};
      const type = RICH.find((one) => data[one] !== undefined);
      if (type === undefined) throw new Error(`${where}: no page can show ${Object.keys(data).join(", ")}`);
      return rich(where, type, joined(data[type]!), joined(data["text/plain"] ?? ""));
    }
    default:
      throw new Error(`${where}: there is no output of type ${output.output_type}`);
  }
}

function rich(where: string, type: (typeof RICH)[number], content: string, plain: string): string {
  if (type === "text/plain") return box("text", pre(content));
  if (type === "text/html" || type === "image/svg+xml") return box("rich", passive(where, content));
  return box("rich", `<img src="data:${type};base64,${content.replace(/\s/g, "")}" alt="${escaped(plain)}">`);
}

function box(kind: "rich" | "text" | "error", content: string): string {
  return `<div class="notebook-output notebook-${kind}">${content}</div>`;
}

function pre(text: string): string {
  return `<pre>${escaped(stripVTControlCharacters(text).trimEnd())}</pre>`;
}

const ACTIVE = /^(script|iframe|frame|object|embed|link|meta|base|form|foreignobject|set|animate.*)$/i;
const ADDRESS = /^(href|xlink:href|src|srcset|action|formaction|poster|data|background)$/i;

/** HTML that does nothing: what could run code or load something is an error, since no output of ours needs it. */
function passive(where: string, content: string): string {
  for (const [, tag, inside] of content.matchAll(/<\/?([a-z][^\s/>]*)((?:"[^"]*"|'[^']*'|[^'">])*)/gi)) {
    if (ACTIVE.test(tag!)) throw new Error(`${where}: its HTML has a <${tag}>`);
    for (const [, name, value = ""] of inside!.matchAll(
      /([^\s"'/=]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s"']+))?/g,
    )) {
      if (/^on/i.test(name!)) throw new Error(`${where}: its HTML has an ${name} handler`);
      const address = value.replace(/^["']/, "");
      if (ADDRESS.test(name!) && !/^(#|https?:\/\/|data:image\/)/i.test(address))
        throw new Error(`${where}: its HTML has the address ${value}`);
    }
  }
  return content;
}
