import { counted, ends, type Gap, type Table, tableHtml, tableText } from "./table.ts";

/** The method by which Node.js, Deno and Bun ask an object how to print it. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");
/**
 * The method by which a Jupyter kernel asks a value for its MIME bundle.
 * @see https://docs.deno.com/runtime/reference/cli/jupyter/
 */
const DISPLAY = Symbol.for("Jupyter.display");
/** The method by which things of a class say how they stand in rows. */
const COLUMNS: unique symbol = Symbol("columns");

/** Prints a value the way the caller's `util.inspect` does. */
export type Inspect = (value: unknown) => string;

/** What a notebook shows: a text by its media type. */
export type Bundle = Readonly<Record<"text/plain" | "text/html", string>>;

/** Tables one under another, and what stands above them as HTML; that is to be escaped already. */
export interface Picture {
  /** The tables, at least one. */
  readonly tables: readonly Table[];
  /** HTML above the tables, such as a chart. */
  readonly html?: string;
}

/** Heads, and a row for each thing. */
export type Columns = Pick<Table, "heads" | "rows">;

/** Have the objects of a class print as `text` says, in `console.log` and in notebooks' plain output. */
export function printable<T>(
  type: { readonly prototype: T },
  text: (self: T, inspect: Inspect) => string,
): void {
  define(
    type.prototype,
    INSPECT,
    function (
      this: T,
      _depth: number,
      options: object,
      inspect: (value: unknown, options: object) => string,
    ) {
      return text(this, (value) => inspect(value, options));
    },
  );
}

/** Have notebooks show the objects of a class as a picture, which may have to be fetched. */
export function showable<T>(
  type: { readonly prototype: T },
  picture: (self: T) => Picture | Promise<Picture>,
): void {
  define(type.prototype, DISPLAY, async function (this: T) {
    return bundle(await picture(this));
  });
}

/** Have tables and notebooks show the objects of a class as rows. */
export function tabular<T>(
  type: { readonly prototype: T },
  columns: (items: readonly T[]) => Columns,
  caption: (item: T) => string,
): void {
  define(type.prototype, COLUMNS, columns);
  showable(type, (item) => {
    const { heads, rows } = columns([item]);
    return {
      tables: [{ caption: caption(item), heads: [], rows: heads.map((head, at) => [head, rows[0]![at]]) }],
    };
  });
}

/** Have notebooks show this one value, a result that has no class of its own; the picture is made when it is asked for. */
export function shown<T extends object>(value: T, picture: (value: T) => Picture): T {
  return define(value, DISPLAY, () => bundle(picture(value)));
}

/** Have notebooks show a list that was read as a table with both its ends, and how many there are. */
export function shownList<T>(items: T[], caption: string): T[] {
  return shown(items, () => ({ tables: [tableOf(`${caption}: ${counted(items.length)}`, items)] }));
}

/**
 * Figures as a table of names, values and units.
 *
 * @param units - The unit of a figure that is no count, by its name; figures within figures have a point in theirs.
 */
export function figuresPicture(
  caption: string,
  figures: object,
  units: Readonly<Record<string, string>>,
): Picture {
  const flat = Object.entries(figures).flatMap(([name, value]) =>
    isPlain(value)
      ? Object.entries(value).map(([part, inner]) => [`${name}.${part}`, inner] as const)
      : [[name, value] as const],
  );
  const rows = flat.map(([name, value]) => [name, value, Object.hasOwn(units, name) ? units[name] : ""]);
  return { tables: [{ caption, heads: ["figure", "value", "unit"], rows }] };
}

function isPlain(value: unknown): value is object {
  return value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype;
}

/** A table of a list: both its ends where it is long, unless it is known what is left out. */
export function tableOf<T>(caption: string, items: readonly T[], gap?: Gap): Table {
  if (gap !== undefined) return { caption, ...columnsOf(items), gap };
  const { shown, gap: between } = ends(items);
  return { caption, ...columnsOf(shown), gap: between };
}

function columnsOf(items: readonly unknown[]): Columns {
  const first = items[0];
  if (first === null || typeof first !== "object")
    return { heads: items.length === 0 ? [] : ["value"], rows: items.map((item) => [item]) };
  const columns = (first as { [COLUMNS]?: (items: readonly unknown[]) => Columns })[COLUMNS];
  if (columns !== undefined) return columns(items);
  const heads = [...new Set(items.flatMap((item) => Object.keys(item as object)))];
  return { heads, rows: items.map((item) => heads.map((head) => (item as Record<string, unknown>)[head])) };
}

function bundle({ tables, html = "" }: Picture): Bundle {
  return {
    "text/plain": tables.map(tableText).join("\n\n"),
    "text/html": html + tables.map(tableHtml).join(""),
  };
}

function define<T>(target: T, name: symbol, value: unknown): T {
  return Object.defineProperty(target as T & object, name, { configurable: true, writable: true, value });
}

/** The part of Deno's kernel that is used; it is there in a notebook only, and asking for it elsewhere throws. */
interface Kernel {
  format(value: unknown): Promise<Record<string, string>>;
}

/** How long a promise that stands alone in a cell is waited for; `worker.run()` has no end. */
const PATIENCE = 5000;

/** In a notebook, have a promise that stands alone in a cell show what it holds; elsewhere nothing is done. */
function showPromises(): void {
  let kernel: Kernel;
  try {
    kernel = (globalThis as unknown as { Deno: { jupyter: Kernel } }).Deno.jupyter;
    if (typeof kernel.format !== "function") return;
  } catch {
    return;
  }
  define(Promise.prototype, DISPLAY, async function (this: Promise<unknown>) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<Record<string, string>>((resolve) => {
      timer = setTimeout(() => resolve({ "text/plain": "Promise { <pending> }" }), PATIENCE);
    });
    const held = this.then((value) =>
      value === undefined ? { "text/plain": "undefined" } : kernel.format(value),
    );
    try {
      return await Promise.race([held, late]);
    } finally {
      clearTimeout(timer);
    }
  });
}

showPromises();
