import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { expect, test } from "vitest";

const root = resolve(import.meta.dirname, "../../src");

/** All that a file brings with it: its own imports and those of what it imports, types included. */
function brought(file: string, seen: Map<string, string[]> = new Map()): Map<string, string[]> {
  if (seen.has(file)) return seen;
  const code = readFileSync(join(root, file), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
  const names = [...code.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, name]) => name!);
  seen.set(file, names);
  for (const name of names)
    if (name.startsWith(".")) brought(relative(root, resolve(root, dirname(file), name)), seen);
  return seen;
}

const packages = (file: string) =>
  [...brought(file).values()].flat().filter((name) => name.startsWith("@opentelemetry/"));

test("the main entry – brings nothing of OpenTelemetry, and nothing of what watches", () => {
  expect(packages("index.ts")).toEqual([]);
  expect([...brought("index.ts").keys()].filter((file) => file.startsWith("watching/"))).toEqual([]);
  expect(brought("index.ts").size).toBeGreaterThan(30);
});

test("walrus-streams/otel – brings the API alone, never an SDK", () => {
  expect(new Set(packages("watching/otel.ts"))).toEqual(new Set(["@opentelemetry/api"]));
});

test("whatever is outside of watching/ – knows nothing of OpenTelemetry", () => {
  const files = (readdirSync(root, { recursive: true }) as string[]).filter((file) => file.endsWith(".ts"));
  const others = files.filter((file) => !file.startsWith("watching/"));
  expect(
    others.filter((file) => readFileSync(join(root, file), "utf8").includes('"@opentelemetry/')),
  ).toEqual([]);
});
