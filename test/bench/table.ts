import Table from "cli-table3";
import type { Floor, Report } from "./works/work.ts";

function render(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({
    head: [...head],
    colAligns: head.map((_, column) => (column === 0 ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) table.push([...row]);
  return table.toString();
}

/** A work's title and table. */
export function reportTable({ title, head, rows }: Report): string {
  return `\n${title}\n${render(head, rows)}`;
}

/** Whether a floor is reached; null where ours was not measured. */
export function isReached({ measured, limit, at }: Floor): boolean | null {
  if (Number.isNaN(measured)) return null;
  return at === "least" ? measured >= limit : measured <= limit;
}

/** Every floor with its figure and whether it is reached. */
export function floorTable(floors: readonly Floor[]): string {
  const verdict = (floor: Floor) =>
    ({ true: "reached", false: "NOT reached", null: "not measured" })[`${isReached(floor)}`];
  const rows = floors.map((floor) => [
    floor.what,
    `${floor.at === "least" ? ">=" : "<="} ${floor.limit} ${floor.unit}`,
    Number.isNaN(floor.measured) ? "-" : floor.measured.toFixed(2),
    verdict(floor)!,
  ]);
  return `\nfloors\n${render(["what", "promised", "measured", ""], rows)}`;
}
