import { format, inspect } from "node:util";
import { expect, test } from "vitest";
import { printable } from "../../src/ground/display.ts";

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
