import { inspect } from "node:util";

/** Rows under heads, for a person to read. */
export interface Table {
  /** What it shows, in a line. */
  readonly caption: string;
  /** The columns' heads; none where each row is a name and a value. */
  readonly heads: readonly string[];
  /** A value for each head; texts and dates as they are, numbers aligned, other values inspected. */
  readonly rows: readonly (readonly unknown[])[];
  /** Rows that are left out: before which row, and what is said instead. */
  readonly gap?: Gap | undefined;
}

/** Rows that are left out of a table. */
export interface Gap {
  /** Index of the row before which they were; the number of rows for "at the end". */
  readonly at: number;
  /** What is said instead, such as `"999,980 more"`. */
  readonly text: string;
}

/** How many rows are shown at either end of what is longer than both. */
export const ROWS_AT_END = 10;

/** Characters of a cell; what is longer is cut. */
const WIDEST = 160;
/** Characters up to which a column of a web page stands in one line each; the table scrolls where it is too wide then. */
const UNBROKEN = 48;
/** Digits that a number is rounded to. */
const DIGITS = 6;
const DIGIT_WIDE = "\u2007";
const POINT_WIDE = "\u2008";

/** Both ends of a list that may be long, and the gap between. */
export function ends<T>(items: readonly T[]): { readonly shown: readonly T[]; readonly gap?: Gap } {
  const hidden = items.length - 2 * ROWS_AT_END;
  if (hidden <= 0) return { shown: items };
  const shown = [...items.slice(0, ROWS_AT_END), ...items.slice(-ROWS_AT_END)];
  return { shown, gap: { at: ROWS_AT_END, text: `${counted(hidden)} more` } };
}

/** A count with its thousands apart. */
export function counted(count: number | bigint): string {
  return count.toLocaleString("en-US");
}

/** A text in one line: control characters, by which it could forge lines or steer a terminal, as escapes. */
export function legible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (char) => {
    const code = char.charCodeAt(0);
    return char === "\n" ? "\\n" : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

/** A text as HTML shows it, whatever stands in it. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITIES[char]!);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A table as aligned text. */
export function tableText(table: Table): string {
  const columns = columnsOf(table);
  const heads = table.heads.length === 0 ? [] : [columns.map(({ head }) => head)];
  const lines = [...heads, ...table.rows.map((_, row) => columns.map(({ cells }) => cells[row]!))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at]!.length)));
  const text = lines.map((line) =>
    line
      .map((cell, at) => (columns[at]!.isNumeric ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)))
      .join("  ")
      .replace(/[\u2007\u2008]/g, " ")
      .trimEnd(),
  );
  if (table.gap) text.splice(table.gap.at + heads.length, 0, `... ${table.gap.text} ...`);
  return [legible(table.caption), ...text].join("\n");
}

// Colours are the page's own, and lines are grey and half transparent: both hold on light and on dark ground.
const LINE = "border-bottom:1px solid rgba(128,128,128,0.35)";
const CELL = "padding:2px 12px 2px 0;vertical-align:top;font-variant-numeric:tabular-nums";

/** A table as HTML; styles are inline, since code hosts drop style sheets. */
export function tableHtml(table: Table): string {
  const columns = columnsOf(table);
  const side = ({ isNumeric, cells }: Column) => {
    const isLong = cells.some((cell) => cell.length > UNBROKEN);
    return `text-align:${isNumeric ? "right" : "left"};white-space:${isLong ? "pre-wrap;min-width:14em" : "pre"}`;
  };
  const heads = columns.map(
    (column) => `<th style="${CELL};${LINE};${side(column)}">${escaped(column.head)}</th>`,
  );
  const rows = table.rows.map((_, row) => {
    const cells = columns.map((column, at) => {
      const isName = table.heads.length === 0 && at === 0;
      const style = `${CELL};${side(column)}${isName ? ";font-weight:600" : ""}`;
      return `<td style="${style}">${escaped(column.cells[row]!)}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  if (table.gap) {
    const style = `${CELL};text-align:left;opacity:0.7`;
    const gap = `<tr><td colspan="${columns.length}" style="${style}">⋯ ${escaped(table.gap.text)} ⋯</td></tr>`;
    rows.splice(table.gap.at, 0, gap);
  }
  const caption = `<caption style="caption-side:top;text-align:left;white-space:pre;padding:2px 0;color:inherit">${escaped(legible(table.caption))}</caption>`;
  const head = table.heads.length === 0 ? "" : `<thead><tr>${heads.join("")}</tr></thead>`;
  const style = "border-collapse:collapse;color:inherit;background:transparent;margin:0 0 8px";
  return `<div style="overflow-x:auto"><table style="${style}">${caption}${head}<tbody>${rows.join("")}</tbody></table></div>`;
}

interface Column {
  readonly head: string;
  readonly cells: readonly string[];
  readonly isNumeric: boolean;
}

function columnsOf({ heads, rows }: Table): Column[] {
  const width = heads.length === 0 ? (rows[0]?.length ?? 0) : heads.length;
  return Array.from({ length: width }, (_, at) => {
    const values = rows.map((row) => row[at]);
    const isNumeric =
      heads.length > 0 && values.some(isNumber) && values.every((value) => isEmpty(value) || isNumber(value));
    const texts = values.map(cellText);
    const decimals = isNumeric ? Math.max(...texts.map(decimalsOf)) : 0;
    const cells = decimals === 0 ? texts : texts.map((text) => text + blank(decimals, decimalsOf(text)));
    return { head: cut(heads[at] ?? ""), cells, isNumeric };
  });
}

function isEmpty(value: unknown): boolean {
  return value === null || value === undefined || value === "";
}

/** Also texts that are numbers: that is how the `text` codec gives them. */
function isNumber(value: unknown): boolean {
  return (
    typeof value === "number" ||
    typeof value === "bigint" ||
    (typeof value === "string" && /^[+-]?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(value))
  );
}

function decimalsOf(text: string): number {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}

/** What stands where other numbers of the column have decimals: blanks as wide as a point and as digits. */
function blank(decimals: number, own: number): string {
  return (own === 0 ? POINT_WIDE : "") + DIGIT_WIDE.repeat(decimals - own);
}

function cellText(value: unknown): string {
  if (isEmpty(value)) return "";
  if (typeof value === "string") return cut(value);
  if (typeof value === "number")
    return String(Number.isInteger(value) ? value : Number(value.toPrecision(DIGITS)));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString();
  if (value instanceof Error) return cut(`${value.name}: ${value.message}`);
  if (typeof value !== "object" && typeof value !== "function") return String(value);
  return cut(
    inspect(value, {
      depth: 3,
      breakLength: Number.POSITIVE_INFINITY,
      maxStringLength: WIDEST,
      maxArrayLength: 20,
    }),
  );
}

/** A text that fits a cell: in one line, and cut where it is too long, before anything else is done with it. */
function cut(text: string): string {
  return text.length > WIDEST ? `${legible(text.slice(0, WIDEST))}…` : legible(text);
}
