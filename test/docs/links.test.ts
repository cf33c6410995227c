import { existsSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { expect, test } from "vitest";
import { pages, root } from "./blocks.ts";

/** A Markdown file without its code: blocks blank, so that lines keep their numbers. */
function prose(text: string): string[] {
  let fence = "";
  return text.split("\n").map((line) => {
    const mark = /^\s*(`{3,})/.exec(line)?.[1] ?? "";
    if (fence !== "") {
      if (mark === fence) fence = "";
      return "";
    }
    fence = mark;
    return mark === "" ? line : "";
  });
}

/** The anchors of a Markdown file, as GitHub names them: by its headings, and by `<a id="...">`. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const line of prose(text)) {
    for (const [, id] of line.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id!);
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = words.replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "").replace(/ /g, "-");
    let name = slug;
    for (let again = 1; anchors.has(name); again++) name = `${slug}-${again}`;
    anchors.add(name);
  }
  return anchors;
}

/** Where a Markdown file links to: inline, by reference, and by HTML. */
function linksOf(text: string): { line: number; target: string }[] {
  return prose(text).flatMap((line, index) => {
    const bare = line.replace(/`[^`]*`/g, "");
    const targets = [
      ...bare.matchAll(/\]\(\s*<?([^\s)>]+)>?(?:\s+"[^"]*")?\s*\)/g),
      ...bare.matchAll(/^\s*\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)/g),
      ...bare.matchAll(/<(?:a|img)\b[^>]*?(?:href|src)="([^"]+)"/g),
    ];
    return targets.map(([, target]) => ({ line: index + 1, target: target! }));
  });
}

/** What is wrong with the links of one file; `read` gives a file's text, `null` where there is none. */
function broken(file: string, text: string, read: (path: string) => string | null): string[] {
  return linksOf(text).flatMap(({ line, target }) => {
    const wrong = (why: string): string[] => [`${file}:${line}: ${target}: ${why}`];
    if (/^(https?|mailto):/.test(target)) return URL.canParse(target) ? [] : wrong("not a URL");
    if (/^([a-z]+:|\/)/i.test(target)) return wrong("neither relative nor on the web");
    const [path = "", anchor = ""] = decodeURI(target).split("#");
    const to = path === "" ? file : relative(root, resolve(root, dirname(file), path));
    if (to.startsWith("..")) return wrong("outside the project");
    const there = to === file ? text : read(to);
    if (there === null) return wrong("there is no such file");
    if (anchor !== "" && !anchorsOf(there).has(anchor)) return wrong("there is no such heading");
    return [];
  });
}

/** The text of a file of the project; empty for a folder or anything but Markdown. */
function readProject(path: string): string | null {
  const at = resolve(root, path);
  if (!existsSync(at)) return null;
  return path.endsWith(".md") ? readFileSync(at, "utf8") : "";
}

test("documentation – every relative link leads somewhere", () => {
  const files = pages();
  expect(files.length).toBeGreaterThan(5);
  const texts = files.map((file) => [file, readProject(file)!] as const);
  expect(texts.flatMap(([, text]) => linksOf(text)).length).toBeGreaterThan(10);
  expect(texts.flatMap(([file, text]) => broken(file, text, readProject))).toEqual([]);
});

test("documentation – a link that leads nowhere is named by file and line", () => {
  const files: Record<string, string> = {
    "docs/b.md": "# One & `two`: three\n## Same\n## Same\n",
    "README.md": "",
  };
  const text = [
    "# Here",
    "[a](b.md) [b](b.md#one--two-three) [c](b.md#same-1) [d](#here) [e](../README.md) [f](https://redis.io/)",
    "[g](c.md) `[code](nowhere.md)`",
    "```md",
    "[code](nowhere.md)",
    "```",
    "[h](b.md#same-2) [i](#there) [j](/etc/hosts) [k](../../up.md)",
    "[l]: d.md",
    '<img src="e.png">',
  ].join("\n");
  expect(broken("docs/a.md", text, (path) => files[path] ?? null)).toEqual([
    "docs/a.md:3: c.md: there is no such file",
    "docs/a.md:7: b.md#same-2: there is no such heading",
    "docs/a.md:7: #there: there is no such heading",
    "docs/a.md:7: /etc/hosts: neither relative nor on the web",
    "docs/a.md:7: ../../up.md: outside the project",
    "docs/a.md:8: d.md: there is no such file",
    "docs/a.md:9: e.png: there is no such file",
  ]);
});
