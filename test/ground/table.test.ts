import { expect, test } from "vitest";
import { counted, ends, legible, type Table, tableHtml, tableText } from "../../src/ground/table.ts";

const table = (heads: string[], ...rows: unknown[][]): Table => ({ caption: "All", heads, rows });

test("tableText – texts stand left, numbers right, dates in ISO, and nothing is left blank at the end of a line", () => {
  const when = new Date(Date.UTC(2018, 0, 2));
  const text = tableText(
    table(["id", "n", "time"], ["a", 5, when], ["long-id", 12, when], ["c", null, null]),
  );
  expect(text.split("\n")).toEqual([
    "All",
    "id        n  time",
    "a         5  2018-01-02T00:00:00.000Z",
    "long-id  12  2018-01-02T00:00:00.000Z",
    "c",
  ]);
});

test("tableText – numbers are aligned by their points, those that are texts as they are", () => {
  const text = tableText(table(["number", "text"], [1.5, "7.10"], [10, "-8"], [0.123456789, "6.25"]));
  expect(text.split("\n").slice(2)).toEqual([" 1.5        7.10", "10         -8", " 0.123457   6.25"]);
});

test("tableText – one text among numbers makes it a column of texts", () => {
  expect(tableText(table(["v"], ["10"], ["n/a"])).split("\n")).toEqual(["All", "v", "10", "n/a"]);
});

test("tableText – values that are neither are inspected in one line, errors by name and message", () => {
  const text = tableText(
    table(["v"], [{ a: [1, { b: 2 }] }], [Buffer.from("hi")], [new TypeError("no <b>")], [true]),
  );
  expect(text.split("\n").slice(2)).toEqual([
    "{ a: [ 1, { b: 2 } ] }",
    "<Buffer 68 69>",
    "TypeError: no <b>",
    "true",
  ]);
});

test("tableText – a value that is too long is cut", () => {
  const lines = tableText(table(["v"], ["x".repeat(100_000)], [{ deep: "y".repeat(100_000) }])).split("\n");
  expect(lines[2]).toBe(`${"x".repeat(160)}…`);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(170);
});

test("tableText – control characters are escapes, in cells, heads and caption", () => {
  const text = tableText({ caption: "a\nb", heads: ["h\u001b[31m"], rows: [["x\r\ny\u202e"]] });
  expect(text.split("\n")).toEqual(["a\\nb", "h\\u001b[31m", "x\\u000d\\ny\\u202e"]);
  expect(legible("plain ünï 漢字")).toBe("plain ünï 漢字");
});

test("tableHtml – what looks like markup is text, wherever it stands", () => {
  const evil = `<script>alert("1")</script>&amp;'`;
  const html = tableHtml({
    caption: evil,
    heads: [evil],
    rows: [[evil], [{ [evil]: evil }]],
    gap: { at: 1, text: evil },
  });
  expect(html).not.toContain("<script");
  expect(html.match(/&lt;script&gt;alert\(&quot;1&quot;\)&lt;\/script&gt;&amp;amp;&#39;/g)).toHaveLength(6);
});

test("tableHtml – no colour but grey lines, so that light and dark pages both show it; numbers right", () => {
  const html = tableHtml(table(["name", "n"], ["a", 5]));
  expect(html.match(/(?<!-)color:(?!inherit)[^;"]*|background:(?!transparent)[^;"]*/g)).toBeNull();
  expect(html).toMatch(/<td style="[^"]*text-align:right[^"]*">5<\/td>/);
  expect(html).toMatch(/<td style="[^"]*text-align:left[^"]*">a<\/td>/);
});

test("tableHtml – a row for what is left out, where it is", () => {
  const html = tableHtml({ ...table(["n"], [1], [2]), gap: { at: 1, text: "999,998 more" } });
  expect(
    html
      .replace(/<[^>]*>/g, " ")
      .split(/\s+/)
      .filter(Boolean),
  ).toEqual([...["All", "n", "1", "⋯", "999,998", "more", "⋯", "2"]]);
});

test("ends – all of a short list, both ends of a long one", () => {
  const numbers = Array.from({ length: 21 }, (_, n) => n);
  expect(ends(numbers.slice(0, 20))).toEqual({ shown: numbers.slice(0, 20) });
  const { shown, gap } = ends(numbers);
  expect(shown).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
  expect(gap).toEqual({ at: 10, text: "1 more" });
  expect(counted(1_000_000)).toBe("1,000,000");
});
