import { format, inspect } from "node:util";
import { expect, test } from "vitest";
import { type Bundle, figuresPicture, printable, showable, shownList } from "../../src/ground/display.ts";

class Point {
  readonly at: unknown;

  constructor(at: unknown) {
    this.at = at;
  }
}
class Place extends Point {}

printable(Point, (point, show) => `<${point.constructor.name} ${show(point.at)}>`);

test("printable – the objects of a class and its subclasses print as told", () => {
  expect(inspect(new Point({ a: "1" }))).toBe("<Point { a: '1' }>");
  expect(inspect(new Place(5))).toBe("<Place 5>");
  expect(format("%o and %s", 1, new Point("x"))).toContain("<Point 'x'>");
});

test("printable – values within print by the caller's options", () => {
  const nested = new Point({ a: { b: 1 } });
  expect(inspect(nested, { depth: 0 })).toBe("<Point { a: [Object] }>");
  expect(inspect(nested, { depth: 1 })).toContain("b: 1");
  expect(inspect(new Point("x"), { colors: true })).toBe("<Point \u001b[32m'x'\u001b[39m>");
});

test("printable – leaves no trace on the objects", () => {
  expect(Object.keys(new Point(1))).toEqual(["at"]);
  expect(Object.keys(Point.prototype)).toEqual([]);
});

const DISPLAY: symbol = Symbol.for("Jupyter.display");

/** What a notebook shows of a value. */
async function bundleOf(value: object): Promise<Bundle> {
  return (value as Record<symbol, () => Promise<Bundle>>)[DISPLAY]!();
}

test("showable – a notebook is given text and HTML, fetched where it must be; the chart is above the table", async () => {
  class Box {}
  showable(Box, async () => ({
    tables: [{ caption: "Box", heads: ["n"], rows: [[1]] }],
    html: "<svg></svg>",
  }));
  const bundle = await bundleOf(new Box());
  expect(Object.keys(bundle).sort()).toEqual(["text/html", "text/plain"]);
  expect(bundle["text/plain"]).toBe("Box\nn\n1");
  expect(bundle["text/html"]).toMatch(/^<svg><\/svg><div.*<\/div>$/);
});

test("shownList – the list is as it was for everybody but a notebook", async () => {
  const list = shownList([{ a: 1 }, { a: 2, b: "x" }], "List");
  expect(list).toStrictEqual([{ a: 1 }, { a: 2, b: "x" }]);
  expect(Object.keys(list)).toEqual(["0", "1"]);
  expect(inspect(list)).toBe("[ { a: 1 }, { a: 2, b: 'x' } ]");
  expect(structuredClone(list)).toEqual(list);
  expect((await bundleOf(list))["text/plain"]).toBe("List: 2\na  b\n1\n2  x");
});

test("shownList – the table is made when it is asked for, of what the list holds then, and of both ends", async () => {
  const list = shownList(
    Array.from({ length: 1_000_000 }, (_, n) => n),
    "Numbers",
  );
  list.push(7);
  const lines = (await bundleOf(list))["text/plain"].split("\n");
  expect(lines).toHaveLength(23);
  expect(lines[12]).toBe("... 999,981 more ...");
  expect(lines.at(-1)).toBe("     7");
});

test("figuresPicture – figures within figures have a line each, and units stand beside", () => {
  const { tables } = figuresPicture(
    "Worker",
    { read: 5, times: { p50: 0.5 }, lastError: null },
    { "times.p50": "ms" },
  );
  expect(tables[0]!.rows).toEqual([
    ["read", 5, ""],
    ["times.p50", 0.5, "ms"],
    ["lastError", null, ""],
  ]);
});

test("display – outside a notebook promises are left alone", () => {
  expect(DISPLAY in Promise.prototype).toBe(false);
});
