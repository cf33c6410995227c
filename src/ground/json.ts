/** Far deeper than anyone nests on purpose, and no strain on any stack. */
const LEVELS = 100;

/**
 * `JSON.stringify` for values that strangers have nested. What it does with a great depth is the runtime's affair: an
 * error on Node.js, a text on Deno, and on Bun an error after many seconds.
 *
 * @throws RangeError - At once, where the value is nested deeper than 100 levels.
 */
export function jsonOf(value: unknown): string {
  if (isDeeperThan(LEVELS, value)) throw new RangeError(`nested deeper than ${LEVELS} levels`);
  return JSON.stringify(value);
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (value === null || typeof value !== "object") return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeperThan(levels - 1, inner));
}
