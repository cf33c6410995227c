import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import ts from "typescript";
import { beforeAll, expect, test } from "vitest";
import { filesIn, type Program, pages, programsIn, programsOf, root } from "./blocks.ts";

const settings = ts.getParsedCommandLineOfConfigFile(resolve(root, "tsconfig.json"), undefined, {
  ...ts.sys,
  onUnRecoverableConfigFileDiagnostic: (diagnostic) => {
    throw new Error(ts.flattenDiagnosticMessageText(diagnostic.messageText, "\n"));
  },
})!;
const options: ts.CompilerOptions = { ...settings.options, isolatedDeclarations: false, declaration: false };

/** Type-check programs, all at once: what is wrong, as `file:line: text`. */
function check(programs: readonly Program[]): string[] {
  // Modules that are only in memory, where imports resolve as in any file of the project.
  const modules = new Map(programs.map((one) => [resolve(root, `.blocks/${one.file}/${one.line}.ts`), one]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (name) => modules.has(name) || fileExists(name);
  host.readFile = (name) => modules.get(name)?.text ?? readFile(name);
  host.getSourceFile = (name, how, ...rest) => {
    const text = modules.get(name)?.text;
    return text === undefined ? getSourceFile(name, how, ...rest) : ts.createSourceFile(name, text, how);
  };
  const program = ts.createProgram([...modules.keys()], options, host);
  const show = ({ messageText }: ts.Diagnostic): string => ts.flattenDiagnosticMessageText(messageText, "\n");
  const general = [...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics()].map(show);
  const own = [...modules].flatMap(([name, { file }]) => {
    const source = program.getSourceFile(name)!;
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
      (diagnostic) => {
        const { line } = source.getLineAndCharacterOfPosition(diagnostic.start ?? 0);
        return `${file}:${line + 1}: ${show(diagnostic)}`;
      },
    );
  });
  return [...general, ...own];
}

/** Two files that do not compile, to see that such are found. */
const broken = [
  ...programsOf(
    "broken.md",
    [
      "# A guide",
      "```ts",
      'import { Database } from "walrus-streams";',
      "const db = new Database();",
      "```",
      "Then:",
      "```ts continued",
      'const cg = db.consumerGroup("cg", ["stream-a"]);',
      "await cg.streamA.pending();",
      "await cg.streamB.pending();",
      "```",
      "```ts",
      "const text: string = 1;",
      "```",
    ].join("\n"),
  ),
  ...programsOf(
    "broken.ts",
    ["/**", " * @example", " * ```ts", " * const n: number = db;", " * ```", " */"].join("\n"),
  ),
];
let programs: Program[];

/** Where the code of the examples of a source has to begin: the first line after each `@example` that is not blank. */
function examplesOf(file: string): string[] {
  const lines = readFileSync(resolve(root, file), "utf8").split("\n");
  return lines.flatMap((line, at) => {
    if (!/^\s*\* @example\b/.test(line)) return [];
    const first = lines.findIndex((one, i) => i > at && !/^\s*\*\s*$/.test(one));
    return [`${file}:${first + 1}`];
  });
}

let errors: string[];

beforeAll(() => {
  programs = [...programsIn(pages()), ...programsIn(filesIn("src", ".ts"))];
  errors = check([...programs, ...broken]);
}, 180_000);

test("documentation – every block of code compiles", () => {
  expect(programs.filter(({ file }) => file.endsWith(".md")).length).toBeGreaterThan(10);
  expect(programs.filter(({ file }) => file.endsWith(".ts")).length).toBeGreaterThan(10);
  expect(errors.filter((error) => !error.startsWith("broken."))).toEqual([]);
});

test("docstrings – what stands below @example is code that is compiled", () => {
  const examples = filesIn("src", ".ts").flatMap((file) => examplesOf(file));
  expect(examples.length).toBeGreaterThan(10);
  const begins = new Set(programs.map(({ file, line }) => `${file}:${line}`));
  expect(examples.filter((example) => !begins.has(example))).toEqual([]);
});

test("documentation – a block that does not compile is named by file and line", () => {
  expect(errors.filter((error) => error.startsWith("broken."))).toEqual([
    expect.stringMatching(/^broken\.md:10: .*streamB/),
    expect.stringMatching(/^broken\.md:13: .*not assignable/),
    expect.stringMatching(/^broken\.ts:4: .*'db'/),
  ]);
});

test("documentation – a fence without an end, with nothing to continue or an unknown word is refused", () => {
  expect(() => programsOf("a.md", "text\n```ts\nconst a = 1;")).toThrow("a.md:2: the block has no end");
  expect(() => programsOf("a.md", "```ts continued\n```")).toThrow("a.md:1: there is nothing to continue");
  expect(() => programsOf("a.md", "```ts norun\n```")).toThrow("a.md:1: no such fence: ts norun");
});
