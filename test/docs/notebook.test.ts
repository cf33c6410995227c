import { expect, test } from "vitest";
import { notebookPage } from "../../docs/build/notebook.ts";

type Cell = Readonly<Record<string, unknown>>;

const markdown = (...source: string[]): Cell => ({ cell_type: "markdown", source });
const code = (source: string, ...outputs: Cell[]): Cell => ({ cell_type: "code", source, outputs });
const result = (data: Cell): Cell => ({ output_type: "execute_result", data });

function page(...cells: Cell[]): ReturnType<typeof notebookPage> {
  return notebookPage("a.ipynb", JSON.stringify({ nbformat: 4, cells }));
}

test("notebookPage – cells in order, each output at its place", () => {
  const { markdown: text, outputs } = page(
    markdown("# Title\n", "\n", "Text with a [link](b.md)."),
    code(
      "1 + 1",
      result({ "text/plain": "2" }),
      result({ "text/plain": ["[ \u001b[33m1\u001b[39m,\n", "  2 ]"] }),
    ),
    { cell_type: "raw", source: "raw" },
    code("let a;"),
    code("", { output_type: "stream", name: "stdout", text: "out\n" }),
  );
  const origin = '<div data-output="origin"></div>';
  expect(text).toBe(
    [
      ...["# Title", origin, "Text with a [link](b.md).", "```ts\n1 + 1\n```", '<div data-output="0"></div>'],
      ...['<div data-output="1"></div>', "raw", "```ts\nlet a;\n```", '<div data-output="2"></div>'],
    ].join("\n\n"),
  );
  expect(outputs).toEqual([
    '<div class="notebook-output notebook-text"><pre>2</pre></div>',
    '<div class="notebook-output notebook-text"><pre>[ 1,\n  2 ]</pre></div>',
    '<div class="notebook-output notebook-text"><pre>out</pre></div>',
  ]);
});

test("notebookPage – the richest form of an output is shown", () => {
  const table = "<table>\n\n<tr><td>&lt;script&gt;</td></tr></table>";
  const { outputs } = page(
    code("a", result({ "text/plain": "plain", "text/html": [table] })),
    code("b", { output_type: "display_data", data: { "image/svg+xml": "<svg></svg>", "text/plain": "s" } }),
    code("c", result({ "image/png": "iVBO\nRw0=\n", "text/plain": 'a "chart" <1>' })),
    code("d", { output_type: "display_data", data: { "image/jpeg": "/9j/" } }),
  );
  const rich = (html: string): string => `<div class="notebook-output notebook-rich">${html}</div>`;
  expect(outputs).toEqual([
    rich(table),
    rich("<svg></svg>"),
    rich('<img src="data:image/png;base64,iVBORw0=" alt="a &quot;chart&quot; &lt;1&gt;">'),
    rich('<img src="data:image/jpeg;base64,/9j/" alt="">'),
  ]);
});

test("notebookPage – texts are escaped, errors and stderr are marked", () => {
  const { outputs } = page(
    code("a", { output_type: "stream", name: "stderr", text: ["a < b & c\n"] }),
    code("b", result({ "text/plain": '<img src="x" onerror="alert(1)">' })),
    code("c", {
      output_type: "error",
      ename: "Error",
      evalue: "no",
      traceback: ["\u001b[31mError\u001b[0m: <no>", "  at a.ts:1"],
    }),
    code("d", { output_type: "error", ename: "Error", evalue: "<none>", traceback: [] }),
  );
  const box = (kind: string, text: string): string =>
    `<div class="notebook-output notebook-${kind}"><pre>${text}</pre></div>`;
  expect(outputs).toEqual([
    box("error", "a &lt; b &amp; c"),
    box("text", "&lt;img src=&quot;x&quot; onerror=&quot;alert(1)&quot;&gt;"),
    box("error", "Error: &lt;no&gt;\n  at a.ts:1"),
    box("error", "Error: &lt;none&gt;"),
  ]);
});

test("notebookPage – code that holds fences", () => {
  const { markdown: text } = page(code("const a = `\n```ts\n```\n`;\n"));
  expect(text).toContain("\n\n````ts\nconst a = `\n```ts\n```\n`;\n````");
});

test.each([
  ["<script>alert(1)</script>", "has a <script>"],
  ["<p>a</p><SCRIPT src=x>", "has a <SCRIPT>"],
  ["<iframe srcdoc='a'></iframe>", "has a <iframe>"],
  ["<svg><foreignObject></foreignObject></svg>", "has a <foreignObject>"],
  ['<img alt="x" onerror="alert(1)">', "has an onerror handler"],
  ["<b title='>'\nonclick=alert(1)>", "has an onclick handler"],
  ["<svg/onload=alert(1)>", "has an onload handler"],
  ["<b title=a onclick=alert(1)", "has an onclick handler"],
  ['<a href="javascript:alert(1)">', 'has the address "javascript:'],
  ["<a href=&#106;avascript:alert(1)>", "has the address &#106;"],
  ["<a href=' java\nscript:alert(1)'>", "has the address ' java"],
  ['<svg><a><animate attributeName="href" values="javascript:alert(1)">', "has a <animate>"],
])("notebookPage – %s is refused", (html, why) => {
  for (const type of ["text/html", "image/svg+xml"])
    expect(() => page(markdown("a"), code("b", result({ [type]: html })))).toThrow(
      `a.ipynb: cell 2: its HTML ${why}`,
    );
});

test("notebookPage – what only looks like code that runs is shown", () => {
  const html =
    '<b title="onclick=1 javascript:" data-on="x" href="#a">on load = 1; &lt;script> javascript:</b><br/>';
  expect(page(code("a", result({ "text/html": html }))).outputs[0]).toContain(html);
});

test("notebookPage – what it does not know is named", () => {
  expect(() => notebookPage("a.ipynb", '{"nbformat": 3, "cells": []}')).toThrow(
    "a.ipynb: notebook format 3 is not 4",
  );
  expect(() => page(code("a", result({ "application/pdf": "x" })))).toThrow(
    "cell 1: no page can show application/pdf",
  );
  expect(() => page(code("a", { output_type: "pyout" }))).toThrow("cell 1: there is no output of type pyout");
});
