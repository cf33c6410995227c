import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

/** The message's itinerary (design section 10): a file imports from its own line or one above. */
const LINES = ["ground", "wire", "connection", "containers", "flow", "facade", "watching"];

/** Files that stand outside the line: what each may import. */
const APART: Readonly<Record<string, readonly string[]>> = {
  "index.ts": ["ground", "wire", "connection", "containers", "flow", "facade", "watching"],
  testing: [],
};

const root = resolve(import.meta.dirname, "../src");

const files = (readdirSync(root, { recursive: true }) as string[])
  .filter((file) => file.endsWith(".ts"))
  .sort();

const lineOf = (file: string): string => file.split("/")[0]!;

/** Paths below src/ that a file imports, types and re-exports included. */
function importsOf(file: string, text: string = readFileSync(join(root, file), "utf8")): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "");
  const found = code.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
  return [...found].map(([, path]) => relative(root, resolve(root, dirname(file), path!)));
}

/** What is wrong with one import, or null. */
function breach(from: string, to: string): string | null {
  const line = lineOf(from);
  const target = lineOf(to);
  if (line === target) return null;
  const allowed = APART[line] ?? LINES.slice(0, LINES.indexOf(line));
  return allowed.includes(target) ? null : `${from} imports ${to}: ${target} is not above ${line}`;
}

/** A cycle of imports, as a path, or null. */
function cycle(graph: ReadonlyMap<string, readonly string[]>): string | null {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string | null => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file].join(" -> ");
    if (done.has(file)) return null;
    for (const next of graph.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found) return found;
    }
    done.add(file);
    return null;
  };
  for (const file of graph.keys()) {
    const found = visit(file, []);
    if (found) return found;
  }
  return null;
}

test("src – every file stands on a line of the design", () => {
  const strays = files.filter((file) => !LINES.includes(lineOf(file)) && !(lineOf(file) in APART));
  expect(strays).toEqual([]);
});

test("src – a file imports only from its own line or a line above it", () => {
  const breaches = files.flatMap((file) => importsOf(file).flatMap((to) => breach(file, to) ?? []));
  expect(breaches).toEqual([]);
});

test("src – no cycles of imports", () => {
  expect(cycle(new Map(files.map((file) => [file, importsOf(file)])))).toBeNull();
});

test("src – no file over 400 lines, index.ts at most 60", () => {
  const lengths = files.map(
    (file) => [file, readFileSync(join(root, file), "utf8").split("\n").length - 1] as const,
  );
  expect(lengths.filter(([file, length]) => length > (file === "index.ts" ? 60 : 400))).toEqual([]);
});

test("src – every import names a file that is there", () => {
  const missing = files.flatMap((file) => importsOf(file).filter((to) => !files.includes(to)));
  expect(missing).toEqual([]);
});

test("the rules themselves – a breach and a cycle are found", () => {
  expect(importsOf("wire/a.ts", 'import type { X } from "../containers/stream.ts";')).toEqual([
    "containers/stream.ts",
  ]);
  expect(breach("wire/a.ts", "containers/stream.ts")).toMatch(/containers is not above wire/);
  expect(breach("testing/a.ts", "ground/errors.ts")).toMatch(/not above/);
  expect(breach("containers/a.ts", "wire/id.ts")).toBeNull();
  expect(cycle(new Map(Object.entries({ a: ["b"], b: ["c"], c: ["a"] })))).toBe("a -> b -> c -> a");
});
