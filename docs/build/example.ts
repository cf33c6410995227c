import { block } from "./notebook.ts";

/** A source file of an example. */
export interface ExampleFile {
  /** Its path from `docs/examples`. */
  readonly path: string;
  readonly text: string;
}

/** A page of an example: its leading comment as text, then its code, then the modules that it starts or imports. */
export function examplePage(program: ExampleFile, modules: readonly ExampleFile[] = []): string {
  const { about, code } = parted(program.text);
  const others = modules.flatMap(({ path, text }) => [`## ${path}`, block("ts", text)]);
  return [`# ${titleOf(program.path)}`, about, block("ts", code), ...others].join("\n\n");
}

/** The title of a numbered file: `01-hello.ts` is "01 Hello". */
export function titleOf(path: string): string {
  const words = path.replace(/^.*\/|\.[^.]+$/g, "").split("-");
  const first = words.findIndex((word) => !/^\d+$/.test(word));
  return words.map((word, i) => (i === first ? `${word[0]!.toUpperCase()}${word.slice(1)}` : word)).join(" ");
}

/** The comment that a program begins with, and the rest of it. */
function parted(text: string): { about: string; code: string } {
  const lines = text.split("\n");
  const end = lines.findIndex((line) => !line.startsWith("//"));
  const about = lines.slice(0, end).map((line) => line.replace(/^\/\/ ?/, ""));
  return { about: about.join("\n"), code: lines.slice(end).join("\n").trimStart() };
}
