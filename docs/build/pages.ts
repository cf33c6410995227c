import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import {
  type Application,
  Comment,
  CommentTag,
  type Context,
  Converter,
  type DeclarationReflection,
  DocumentReflection,
  MinimalSourceFile,
  normalizePath,
  type PageEvent,
  type ProjectReflection,
  Renderer,
  type RouterTarget,
} from "typedoc";
import { type ExampleFile, examplePage, titleOf } from "./example.ts";
import { notebookPage } from "./notebook.ts";

/** The project's root. */
const root = resolve(import.meta.dirname, "../..");

/** Where the exports of `walrus-streams` stand: by the path of their source, the first that fits. */
const FOLDERS: readonly (readonly [path: string, group: string])[] = [
  ["facade/", "Databases"],
  ["connection/", "Databases"],
  ["wire/", "Ids, messages, codecs"],
  ["containers/", "Containers"],
  ["flow/app/", "Apps"],
  ["flow/worker/", "Workers, dead letters"],
  ["flow/dead-letter", "Workers, dead letters"],
  ["flow/", "Producers, consumers"],
  ["ground/", "Errors, times"],
];

/** The order of all groups: pages to read, the exports as data flows, then what TypeDoc makes of other members. */
export const GROUPS: readonly string[] = [
  ...["Guides", "Coming from", "Examples", "Notebooks", "API", "Decisions", "Project"],
  ...["Databases", "Ids, messages, codecs", "Containers", "Producers, consumers"],
  ...["Workers, dead letters", "Apps", "Errors, times"],
  ...["Classes", "Functions", "Variables", "Interfaces", "Type Aliases"],
  ...["Constructors", "Properties", "Accessors", "Methods"],
];

/** A page that is made of files which TypeDoc does not read itself. */
interface Page {
  /** Paths from the root; a link to one of them leads to the page. */
  readonly files: readonly [string, ...string[]];
  readonly title: string;
  readonly group: string;
  readonly markdown: string;
  /** Only of a notebook: the HTML of its outputs. */
  readonly outputs?: readonly string[];
}

/**
 * Have TypeDoc show the README, the examples and the notebooks as pages, and put each export of the index into a group.
 *
 * @param notebooks - The folder of the notebooks, from the root; it may be empty or absent.
 */
export function addPages(app: Application, notebooks: string): void {
  const pages = [readme(), ...examples(), ...notebooksIn(notebooks)];
  const shown = new Map<RouterTarget, Page>();
  app.converter.on(Converter.EVENT_BEGIN, ({ project }) => {
    for (const page of pages) shown.set(addDocument(app, project, page), page);
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, group);
  warm(app, pages);
  app.renderer.on(Renderer.EVENT_END_PAGE, (event) => {
    const page = shown.get(event.model);
    if (page?.outputs !== undefined) event.contents = withOutputs(event, page, page.outputs);
  });
  app.renderer.on(Renderer.EVENT_END, ({ outputDirectory }) => {
    for (const { outputs, files } of pages)
      if (outputs !== undefined) cpSync(resolve(root, files[0]), copyOf(outputDirectory, files[0]));
  });
}

/**
 * Highlight some code before the first page. TypeDoc's highlighter gives a line half a second, and leaves it without colours
 * where that does not suffice; a grammar is compiled as it is used, which may take as long on a busy machine.
 */
function warm(app: Application, pages: readonly Page[]): void {
  let isWarm = false;
  app.renderer.on(Renderer.EVENT_BEGIN_PAGE, () => {
    if (isWarm) return;
    isWarm = true;
    const files = pages.flatMap((page) => (page.group === "Examples" ? page.files : []));
    const codes = files.map((file) => readFileSync(join(root, file), "utf8"));
    for (const code of [...codes, ...codes]) app.renderer.markedPlugin.getHighlighted(code, "ts");
  });
}

function addDocument(app: Application, project: ProjectReflection, page: Page): DocumentReflection {
  const [path, ...others] = page.files.map((file) => normalizePath(resolve(root, file)));
  const source = new MinimalSourceFile(page.markdown, path!);
  const { content } = app.converter.parseRawComment(source, project.files);
  const document = new DocumentReflection(page.title, project, content, { group: page.group });
  project.addChild(document);
  project.registerReflection(document, undefined, path);
  for (const other of others) project.files.registerReflectionPath(other, document);
  app.converter.trigger(Converter.EVENT_CREATE_DOCUMENT, undefined, document);
  return document;
}

function readme(): Page {
  const markdown = readFileSync(join(root, "README.md"), "utf8");
  return { files: ["README.md"], title: "Overview", group: "Guides", markdown };
}

/** A page for each program in `docs/examples`; the folder of its name, if there is one, holds its other modules. */
function examples(): Page[] {
  const folder = join(root, "docs/examples");
  const read = (path: string): ExampleFile => ({ path, text: readFileSync(join(folder, path), "utf8") });
  return sourcesIn(folder).map((path) => {
    const own = path.replace(/\.ts$/, "");
    const parts = existsSync(join(folder, own))
      ? sourcesIn(join(folder, own)).map((part) => join(own, part))
      : [];
    return {
      files: [`docs/examples/${path}`, ...parts.map((part) => `docs/examples/${part}`)],
      title: titleOf(path),
      group: "Examples",
      markdown: examplePage(read(path), parts.map(read)),
    };
  });
}

function sourcesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".ts"))
    .sort();
}

function notebooksIn(folder: string): Page[] {
  if (!existsSync(resolve(root, folder))) return [];
  const names = readdirSync(resolve(root, folder)).filter((name) => name.endsWith(".ipynb"));
  return names.sort().map((name) => {
    const file = join(folder, name);
    const page = notebookPage(file, readFileSync(resolve(root, file), "utf8"));
    return { files: [file], title: titleOf(name), group: "Notebooks", ...page };
  });
}

/** The page with what its cells gave, and a link to the notebook itself, which stands beside the pages. */
function withOutputs(event: PageEvent, { files: [file] }: Page, outputs: readonly string[]): string {
  const copy = relative(dirname(event.url), copyOf("", file));
  const origin = `<p>This is the notebook <a href="${copy}" download>${basename(file)}</a> as it was last run.</p>`;
  return event.contents!.replace(/<div data-output="(\d+|origin)"><\/div>/g, (_, which: string) =>
    which === "origin" ? origin : outputs[Number(which)]!,
  );
}

function copyOf(site: string, notebook: string): string {
  return join(site, "notebooks", basename(notebook));
}

/** Put the modules under "API", and the exports of the index into the groups of their sources. */
function group(context: Context): void {
  for (const module of context.project.children ?? []) {
    put(module, "API");
    if (module.name !== "walrus-streams") continue;
    for (const child of module.children ?? []) {
      const path = context.getSymbolFromReflection(child)?.declarations?.[0]?.getSourceFile().fileName ?? "";
      const place = relative(join(root, "src"), path);
      const own = FOLDERS.find(([start]) => place.startsWith(start))?.[1];
      if (own === undefined)
        throw new Error(`${child.name} of ${place} has no group in ${import.meta.filename}`);
      put(child, own);
    }
  }
}

function put(reflection: DeclarationReflection, group: string): void {
  reflection.comment ??= new Comment();
  reflection.comment.blockTags.push(new CommentTag("@group", [{ kind: "text", text: group }]));
}
