import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import {
  anchorsOfHtml,
  anchorsOfMarkdown,
  brokenLinks,
  linksOfHtml,
  linksOfMarkdown,
} from "../../docs/build/links.ts";
import { pages, root } from "./blocks.ts";

const read = (path: string): string => readFileSync(resolve(root, path), "utf8");

/** The anchors of a file of the project; none in a folder or anything but Markdown. */
function anchorsIn(path: string): Set<string> | null {
  if (!existsSync(resolve(root, path))) return null;
  return path.endsWith(".md") ? anchorsOfMarkdown(read(path)) : new Set();
}

test("documentation – every relative link leads somewhere", () => {
  const files = pages();
  expect(files.length).toBeGreaterThan(5);
  const links = files.map((file) => [file, linksOfMarkdown(read(file))] as const);
  expect(links.flatMap(([, own]) => own).length).toBeGreaterThan(10);
  expect(links.flatMap(([file, own]) => brokenLinks(file, own, anchorsIn))).toEqual([]);
});

test("documentation – a link that leads nowhere is named by file and line", () => {
  const others: Record<string, string> = {
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
  const files = new Map(Object.entries({ ...others, "docs/a.md": text }));
  const anchorsOf = (path: string) => (files.has(path) ? anchorsOfMarkdown(files.get(path)!) : null);
  expect(brokenLinks("docs/a.md", linksOfMarkdown(text), anchorsOf)).toEqual([
    "docs/a.md:3: c.md: there is no such file",
    "docs/a.md:7: b.md#same-2: there is no such heading",
    "docs/a.md:7: #there: there is no such heading",
    "docs/a.md:7: /etc/hosts: neither relative nor on the web",
    "docs/a.md:7: ../../up.md: outside the project",
    "docs/a.md:8: d.md: there is no such file",
    "docs/a.md:9: e.png: there is no such file",
  ]);
});

test("site – a link of a page that leads nowhere is named by page and line", () => {
  const text = [
    '<h1 id="here">a</h1><a class="x" href="b.html#there">b</a>',
    "<a title='>' href='#here'>c</a> <a href=\"#missing\">d</a> &lt;a href=\"code.html\"&gt;",
    '<svg><use href="../icons.svg#icon"></use></svg><script src="gone.js"></script>',
    '<img src="data:image/png;base64,AA=="><a href="https://redis.io/">e</a><a href="b.html#a&amp;b">f</a>',
    '<p id="href=">text href="text.html"</p><a href="/b.html">g</a><a href="../../up.html">h</a>',
  ].join("\n");
  const files = new Map([
    ["documents/a.html", text],
    ["documents/b.html", '<a id="a&amp;b"></a>'],
    ["icons.svg", '<svg><g id="icon"></g></svg>'],
  ]);
  const anchorsOf = (path: string) => (files.has(path) ? anchorsOfHtml(files.get(path)!) : null);
  expect(brokenLinks("documents/a.html", linksOfHtml(text), anchorsOf)).toEqual([
    "documents/a.html:1: b.html#there: there is no such heading",
    "documents/a.html:2: #missing: there is no such heading",
    "documents/a.html:3: gone.js: there is no such file",
    "documents/a.html:5: /b.html: neither relative nor on the web",
    "documents/a.html:5: ../../up.html: outside the project",
  ]);
});
