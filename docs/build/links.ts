import { dirname, join } from "node:path/posix";

/** A link of a page: where it leads, and the line it stands on. */
export interface Link {
  readonly line: number;
  readonly target: string;
}

/**
 * What is wrong with the links of one page, as `file:line: target: why`; links to the web are not followed.
 *
 * @param file - The page's path from the root.
 * @param anchorsOf - The anchors of a page by its path from the root; `null` where there is no such file.
 */
export function brokenLinks(
  file: string,
  links: readonly Link[],
  anchorsOf: (path: string) => ReadonlySet<string> | null,
): string[] {
  return links.flatMap(({ line, target }) => {
    const wrong = (why: string): string[] => [`${file}:${line}: ${target}: ${why}`];
    if (/^(https?|mailto):/.test(target)) return URL.canParse(target) ? [] : wrong("not a URL");
    if (/^([a-z]+:|\/)/i.test(target)) return wrong("neither relative nor on the web");
    const [path = "", anchor = ""] = decodeURI(target).split("#");
    const to = path === "" ? file : join(dirname(file), path);
    if (to.startsWith("..")) return wrong("outside the project");
    const anchors = anchorsOf(to);
    if (anchors === null) return wrong("there is no such file");
    if (anchor !== "" && !anchors.has(anchor)) return wrong("there is no such heading");
    return [];
  });
}

/** Where a Markdown file links to: inline, by reference, and by HTML. */
export function linksOfMarkdown(text: string): Link[] {
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

/** The anchors of a Markdown file, as GitHub names them: by its headings, and by `<a id="...">`. */
export function anchorsOfMarkdown(text: string): Set<string> {
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

/** Where an HTML page links to, and what it loads; what it holds itself (`data:`) is not among them. */
export function linksOfHtml(text: string): Link[] {
  const links = attributesOf(text).filter(({ name }) => name === "href" || name === "src");
  return links.flatMap(({ line, value }) => (value.startsWith("data:") ? [] : [{ line, target: value }]));
}

/** The anchors of an HTML page. */
export function anchorsOfHtml(text: string): Set<string> {
  return new Set(attributesOf(text).flatMap(({ name, value }) => (name === "id" ? [value] : [])));
}

/** The links and names in the tags of a page. */
function attributesOf(text: string): { line: number; name: string; value: string }[] {
  return text.split("\n").flatMap((tags, index) =>
    [...tags.matchAll(/<[a-z][^\s/>]*\s(?:"[^"]*"|'[^']*'|[^'">])*>/gi)].flatMap(([tag]) =>
      [...tag.matchAll(/\s(href|src|id)=(?:"([^"]*)"|'([^']*)')/g)].map(([, name, double, single]) => ({
        line: index + 1,
        name: name!,
        value: (double ?? single ?? "")
          .replace(/&quot;/g, '"')
          .replace(/&#39;/g, "'")
          .replace(/&amp;/g, "&"),
      })),
    ),
  );
}
