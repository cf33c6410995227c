import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { inflateSync } from "node:zlib";
import type { TypeDocOptions } from "typedoc";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildSite, flat, type Site, strays } from "../../docs/build/site.ts";
import { root } from "./blocks.ts";

const scratch = mkdtempSync(join(tmpdir(), "walrus-site-"));
const out = join(scratch, "site");
const notebooks = join(scratch, "notebooks");
const notebook = {
  nbformat: 4,
  cells: [
    { cell_type: "markdown", source: ["# First steps\n", "\n", "See [hello](HELLO)."] },
    {
      cell_type: "code",
      source: "await rows",
      outputs: [
        {
          output_type: "execute_result",
          data: { "text/html": "<table>\n\n    <tr><td>7</td></tr></table>" },
        },
        { output_type: "stream", name: "stdout", text: "a <b> `c` {@link d}\n\n    e\n" },
      ],
    },
  ],
};

/** As `npm run docs`, but for the API, of which a small part is enough here. */
const options: TypeDocOptions = {
  out,
  entryPoints: [resolve(root, "src/ground/duration.ts")],
  intentionallyNotExported: [],
  skipErrorChecking: true,
  logLevel: "Warn",
};
let site: Site;

/** Titles of all entries below a heading. */
const below = (heading: string): string[] =>
  flat(site.navigation.find(({ text }) => text === heading)?.children ?? []).map(({ text }) => text);

const page = (path: string): string => readFileSync(join(out, path), "utf8");

beforeAll(async () => {
  mkdirSync(notebooks);
  const hello = relative(notebooks, resolve(root, "docs/examples/01-hello.ts"));
  writeFileSync(join(notebooks, "01-first-steps.ipynb"), JSON.stringify(notebook).replace("HELLO", hello));
  site = await buildSite(notebooks, options);
}, 120_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Files of a folder that end so. */
const files = (folder: string, end: string): string[] =>
  readdirSync(resolve(root, folder)).filter((file) => file.endsWith(end));

/** What Markdown files of a folder call themselves, sorted. */
function titles(folder: string, choose: (file: string) => boolean): string[] {
  const texts = files(folder, ".md")
    .filter(choose)
    .map((file) => readFileSync(resolve(root, folder, file), "utf8"));
  return texts.map((text) => /^title: "?(.+?)"?$/m.exec(text)![1]!).sort();
}

test("site – the navigation leads to each guide, example, notebook and decision, in their groups", () => {
  expect(site.navigation.map(({ text }) => text)).toEqual([
    ...["Guides", "Coming from", "Examples", "Notebooks", "API", "Decisions", "Project"],
  ]);
  const guides = titles("docs/guides", (file) => !file.startsWith("coming-from-"));
  expect(below("Guides").toSorted()).toEqual(["Overview", ...guides].sort()); // the overview is the README
  expect(below("Guides").slice(0, 4)).toEqual(["Overview", "All guides", "Streams", "Ids and dates"]);
  expect(below("Coming from").toSorted()).toEqual(
    titles("docs/guides", (file) => file.startsWith("coming-from-")),
  );
  expect(below("Examples").length).toBe(files("docs/examples", ".ts").length);
  expect(below("Examples").slice(0, 2)).toEqual(["01 Hello", "02 Ids and dates"]);
  expect(below("Notebooks")).toEqual(["01 First steps"]);
  expect(below("Decisions")).toEqual(titles("docs/decisions", () => true));
  expect(below("Project")).toEqual(["Changelog", "Contributing"]);
});

test("site – an example is a page: its comment as text, its code, the modules that belong to it", () => {
  const hello = page("documents/01_Hello.html");
  expect(hello).toContain("<p>The shortest program: add two entries to a stream and read them back.");
  expect(hello).not.toContain("// The shortest program");
  expect(hello).toMatch(/<span class="hl-\d+">import<\/span>/);
  const services = page("documents/23_Two_services.html");
  expect(services).toMatch(/<h2 id="23-two-servicesshopts"/);
  expect(page("documents/Streams.html")).toContain('href="12_Existing_connection.html"');
});

test("site – a notebook is a page: cells, outputs as they are, and the notebook itself", () => {
  const text = page("documents/01_First_steps.html");
  expect(text).toContain('<a href="01_Hello.html">hello</a>');
  expect(text).toContain(
    '<div class="notebook-output notebook-rich"><table>\n\n    <tr><td>7</td></tr></table></div>',
  );
  expect(text).toContain("<pre>a &lt;b&gt; `c` {@link d}\n\n    e</pre>");
  expect(text).not.toContain("data-output");
  const [, origin] = /<a href="([^"]+\.ipynb)" download>/.exec(text)!;
  expect(JSON.parse(page(join("documents", origin!)))).toMatchObject({ nbformat: 4 });
});

test("site – the search finds documents by what they say", () => {
  const [, data] = /"([^"]+)"/.exec(page("assets/search.js"))!;
  const { rows, index } = JSON.parse(inflateSync(Buffer.from(data!, "base64")).toString());
  expect(index.fields).toContain("document");
  const names = (rows as { name: string }[]).map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(["Streams", "01 Hello", "01 First steps", "0002 The wire"]));
  const [, found] = (index.invertedIndex as [string, Record<string, object>][]).find(
    ([word]) => word === "earthquakes",
  )!;
  expect(Object.keys(found["document"]!).map((row) => names[Number(row)])).toContain("Tour");
});

test("site – a page that the navigation does not lead to is named", () => {
  const navigation = [{ text: "Guides", children: [{ text: "A", path: "documents/A.html" }] }];
  expect(strays(["index.html", "documents/A.html", "documents/B.html"], navigation)).toEqual([
    "documents/B.html: the navigation does not lead to it",
  ]);
});

test("site – a link that leads nowhere ends the build, where there are no notebooks as well", async () => {
  const readme = join(scratch, "index.md");
  const small = { ...options, out: join(scratch, "small"), readme, projectDocuments: [] };
  const build = (text: string): Promise<Site> => {
    writeFileSync(readme, text);
    return buildSite(join(scratch, "none"), small);
  };
  await expect(build("[a](none.md)")).rejects.toThrow("TypeDoc complains");
  await expect(build("[a](#none) [b](#here)\n\n# Here")).rejects.toThrow(
    /^index\.html:\d+: #none: there is no such heading$/m,
  );
}, 120_000);
