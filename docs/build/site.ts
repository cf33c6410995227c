import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { inflateSync } from "node:zlib";
import { Application, type TypeDocOptions } from "typedoc";
import { anchorsOfHtml, brokenLinks, linksOfHtml } from "./links.ts";
import { addPages, GROUPS } from "./pages.ts";

/** An entry of the navigation: a page, or a heading over others. */
export interface Entry {
  readonly text: string;
  /** Where it leads, from the site's root; a heading leads nowhere. */
  readonly path?: string;
  readonly children?: readonly Entry[];
}

/** A built site. */
export interface Site {
  /** How many HTML pages it has. */
  readonly pages: number;
  readonly navigation: readonly Entry[];
}

/**
 * Build the site as `typedoc.json` says, with examples and notebooks as pages.
 *
 * @param notebooks - The folder of the notebooks, from the root.
 * @param options - What is otherwise than in `typedoc.json`; for tests.
 * @throws Error for whatever TypeDoc complains about (it says that on standard error), each link that leads nowhere, and
 * each page to read that the navigation does not lead to.
 */
export async function buildSite(notebooks = "notebooks", options: TypeDocOptions = {}): Promise<Site> {
  const app = await Application.bootstrapWithPlugins({
    options: resolve(import.meta.dirname, "../.."),
    groupOrder: [...GROUPS],
    ...options,
  });
  const stopOnComplaints = (): void => {
    const { errorCount, warningCount, validationWarningCount } = app.logger;
    if (errorCount + warningCount + validationWarningCount > 0)
      throw new Error("TypeDoc complains, see above");
  };
  addPages(app, notebooks);
  const project = await app.convert();
  if (project !== undefined) app.validate(project);
  stopOnComplaints();
  const out = app.options.getValue("out");
  await app.generateDocs(project!, out);
  stopOnComplaints();

  const pages = filesOf(out).filter((file) => file.endsWith(".html"));
  const navigation = navigationOf(out);
  const problems = [...strays(pages, navigation), ...brokenLinksOf(out, pages)];
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return { pages: pages.length, navigation };
}

/** Links of the built pages that lead nowhere. */
export function brokenLinksOf(site: string, pages: readonly string[]): string[] {
  const anchors = new Map<string, ReadonlySet<string> | null>(filesOf(site).map((file) => [file, null]));
  const anchorsOf = (path: string): ReadonlySet<string> | null => {
    if (!anchors.has(path)) return null;
    let own = anchors.get(path);
    if (own) return own;
    own = /\.(html|svg)$/.test(path)
      ? anchorsOfHtml(readFileSync(join(site, path), "utf8"))
      : new Set<string>();
    anchors.set(path, own);
    return own;
  };
  return pages.flatMap((page) =>
    brokenLinks(page, linksOfHtml(readFileSync(join(site, page), "utf8")), anchorsOf),
  );
}

/** Pages to read that the navigation does not lead to. */
export function strays(pages: readonly string[], navigation: readonly Entry[]): string[] {
  const led = new Set(flat(navigation).map(({ path }) => path));
  const documents = pages.filter((page) => page.startsWith("documents/"));
  return documents
    .filter((page) => !led.has(page))
    .map((page) => `${page}: the navigation does not lead to it`);
}

/** All entries of a navigation, from top to bottom. */
export function flat(entries: readonly Entry[]): Entry[] {
  return entries.flatMap((entry) => [entry, ...flat(entry.children ?? [])]);
}

/** The navigation as a browser gets it: JSON, deflated, in a script. */
function navigationOf(site: string): Entry[] {
  const [, data] = /"([^"]+)"/.exec(readFileSync(join(site, "assets/navigation.js"), "utf8"))!;
  return JSON.parse(inflateSync(Buffer.from(data!, "base64")).toString()) as Entry[];
}

function filesOf(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map(({ parentPath, name }) => join(parentPath.slice(folder.length + 1), name));
}
