import { InvalidArgumentError } from "../ground/errors.ts";

/**
 * Anything that names an entry or a moment: an id as Redis writes it, milliseconds, a `Date`, a message or
 * pending entry (`{ id }`), or a parsed id.
 */
export type IdLike =
  | string
  | number
  | bigint
  | Date
  | {
      /** An entry's id, as a message or a pending entry has it. */
      readonly id: string;
    }
  | {
      /** The millisecond part. */
      readonly timestamp: Date;
      /** The sequence part. @defaultValue 0 */
      readonly sequence?: number | undefined;
    };

/**
 * Where an id stands in a command; it decides what a `Date` means and which special ids are allowed.
 *
 * | position | `Date` d | number 5 | special |
 * |---|---|---|---|
 * | `add` | `<ms>-*` | `5-0` | `*`, `5-*` |
 * | `start` | `<ms>-0` | `5-0` | `-`, `+`, `(1-1` |
 * | `stop` | `<ms>-18446744073709551615` | the same for 5 | `-`, `+`, `(1-1` |
 * | `after` | `<ms>-18446744073709551615` | `5-0` | `$`, `>`, `+` |
 * | `exact` | `<ms>-0` | `5-0` | none |
 * | `any` | `<ms>-0` | `5-0` | all of them |
 */
export type IdPosition = "add" | "start" | "stop" | "after" | "exact" | "any";

/** An id in its two parts. */
export interface ParsedId {
  /** The millisecond part (UTC). */
  readonly timestamp: Date;
  /** The sequence part; above 2^53 it is the nearest number, the id string stays exact. */
  readonly sequence: number;
}

const MAX = 2n ** 64n - 1n;
const MAX_TEXT = "18446744073709551615";
const ID = /^(\d{1,20})(?:-(\d{1,20}))?$/;
const SPECIAL: Readonly<Record<IdPosition, RegExp>> = {
  add: /^(\*|\d{1,20}-\*)$/,
  start: /^([-+]|\(\d{1,20}(-\d{1,20})?)$/,
  stop: /^([-+]|\(\d{1,20}(-\d{1,20})?)$/,
  after: /^[$>+]$/,
  exact: /^(?!)/,
  any: /^([-+$>*]|\d{1,20}-\*|\(\d{1,20}(-\d{1,20})?)$/,
};

/**
 * The id as Redis takes it, for its position in a command.
 *
 * Strings pass as Redis writes them once they are well formed (in `exact`, `5` becomes `5-0`, since XRANGE would
 * read it as a whole millisecond). `{ timestamp, sequence }` is exact everywhere.
 *
 * @returns the id text to send.
 * @throws InvalidArgumentError for anything that is no id in that position: a malformed string, an invalid or
 * negative `Date`, a fraction, a part above 2^64-1.
 * @example
 * ```ts
 * import { toId } from "walrus-streams";
 *
 * toId(new Date(5)); // "5-0"
 * toId(5, "stop"); // "5-18446744073709551615"
 * toId({ timestamp: new Date(5), sequence: 2 }); // "5-2"
 * ```
 * @see https://redis.io/docs/latest/develop/data-types/streams/#entry-ids
 */
export function toId(value: IdLike, position: IdPosition = "any"): string {
  switch (typeof value) {
    case "string":
      return fromString(value, position);
    case "number":
      if (!Number.isSafeInteger(value) || value < 0) throw invalid(value, "a whole number of milliseconds");
      return fromMilliseconds(String(value), position);
    case "bigint":
      if (value < 0n || value > MAX) throw invalid(value, "from 0 to 2^64-1");
      return fromMilliseconds(String(value), position);
    case "object":
      if (value === null) break;
      if (value instanceof Date) return fromDate(value, position);
      if ("id" in value && typeof value.id === "string") return fromString(value.id, "exact");
      if ("timestamp" in value && value.timestamp instanceof Date) {
        const { timestamp, sequence = 0 } = value;
        if (!Number.isSafeInteger(sequence) || sequence < 0) {
          throw invalid(sequence, "a sequence that is a whole number of at least 0");
        }
        return `${milliseconds(timestamp)}-${sequence}`;
      }
  }
  throw invalid(value, "an id: a string, number, bigint, Date, { id } or { timestamp, sequence }");
}

/**
 * The two parts of a whole id such as `"1539008591844-3"`.
 *
 * @throws InvalidArgumentError when it is no such id.
 */
export function parseId(id: string): ParsedId {
  const [ms, sequence] = parts(id);
  return { timestamp: new Date(Number(ms)), sequence: Number(sequence) };
}

/**
 * Compare two ids as numbers: negative when `a` is before `b`, 0 when they are the same entry.
 *
 * `1-10` is after `1-9`, `9-0` before `10-0`; exact to 2^64-1. Fit for `Array.prototype.sort`.
 *
 * @throws InvalidArgumentError when one is no id.
 */
export function compareIds(a: string | { readonly id: string }, b: string | { readonly id: string }): number {
  const [ms, sequence] = parts(typeof a === "string" ? a : a?.id);
  const [otherMs, otherSequence] = parts(typeof b === "string" ? b : b?.id);
  return compareNumerals(ms, otherMs) || compareNumerals(sequence, otherSequence);
}

/** Order of two ids as the server writes them, as {@link compareIds} has it; for hot paths, nothing is checked. */
export function orderOf(a: string, b: string): number {
  const dash = a.indexOf("-");
  const otherDash = b.indexOf("-");
  if (dash !== otherDash) return dash - otherDash;
  if (a.length === b.length) return a < b ? -1 : a > b ? 1 : 0;
  return compareNumerals(a.slice(0, dash), b.slice(0, dash)) || a.length - b.length;
}

/**
 * The smallest id after this one: `5-1` after `5-0`, `6-0` after `5-18446744073709551615`.
 *
 * @throws InvalidArgumentError when there is none, or it is no id.
 */
export function nextId(id: string): string {
  const [ms, sequence] = parts(id);
  if (sequence !== MAX_TEXT) return `${ms}-${BigInt(sequence) + 1n}`;
  if (ms === MAX_TEXT) throw invalid(id, "an id with another after it");
  return `${BigInt(ms) + 1n}-0`;
}

/**
 * The greatest id before this one: `5-0` before `5-1`, `4-18446744073709551615` before `5-0`.
 *
 * @throws InvalidArgumentError when there is none, or it is no id.
 */
export function previousId(id: string): string {
  const [ms, sequence] = parts(id);
  if (sequence !== "0") return `${ms}-${BigInt(sequence) - 1n}`;
  if (ms === "0") throw invalid(id, "an id with another before it");
  return `${BigInt(ms) - 1n}-${MAX_TEXT}`;
}

/** The millisecond part of an id that the server gave, as a number; for hot paths. */
export function millisecondsOf(id: string): number {
  return Number(id.slice(0, id.indexOf("-")));
}

/** The sequence part of an id that the server gave, as a number; for hot paths. */
export function sequenceOf(id: string): number {
  return Number(id.slice(id.indexOf("-") + 1));
}

function fromString(value: string, position: IdPosition): string {
  const match = ID.exec(value);
  if (match) {
    const [, ms, sequence] = match as unknown as [string, string, string | undefined];
    assertPart(ms, value);
    if (sequence === undefined) return position === "exact" || position === "add" ? `${ms}-0` : value;
    assertPart(sequence, value);
    return value;
  }
  if (!SPECIAL[position].test(value)) throw invalid(value, RULES[position]);
  for (const part of value.match(/\d+/g) ?? []) assertPart(part, value);
  return value;
}

const RULES: Readonly<Record<IdPosition, string>> = {
  add: "an id such as 1-1, 1-* or *",
  start: "an id such as 1-1, 1, (1-1, - or +",
  stop: "an id such as 1-1, 1, (1-1, - or +",
  after: "an id such as 1-1, 1 or $",
  exact: "a whole id such as 1-1",
  any: "an id such as 1-1, 1, (1-1, -, +, $ or >",
};

function fromMilliseconds(ms: string, position: IdPosition): string {
  return position === "stop" ? `${ms}-${MAX_TEXT}` : `${ms}-0`;
}

function fromDate(date: Date, position: IdPosition): string {
  const ms = milliseconds(date);
  if (position === "add") return `${ms}-*`;
  return position === "stop" || position === "after" ? `${ms}-${MAX_TEXT}` : `${ms}-0`;
}

function milliseconds(date: Date): number {
  const ms = date.getTime();
  if (Number.isNaN(ms)) throw invalid(date, "a valid Date");
  if (ms < 0) throw invalid(date, "a Date since 1970-01-01T00:00:00Z");
  return ms;
}

/** Both parts without leading zeros. */
function parts(id: string): [ms: string, sequence: string] {
  const match = typeof id === "string" ? ID.exec(id) : null;
  if (!match) throw invalid(id, RULES.exact);
  const ms = match[1]!.replace(/^0+(?=\d)/, "");
  const sequence = (match[2] ?? "0").replace(/^0+(?=\d)/, "");
  assertPart(ms, id);
  assertPart(sequence, id);
  return [ms, sequence];
}

function assertPart(part: string, value: string): void {
  if (part.length === 20 && part > MAX_TEXT) throw invalid(value, "an id with parts up to 2^64-1");
}

function compareNumerals(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

function invalid(value: unknown, rule: string): InvalidArgumentError {
  return new InvalidArgumentError("id", rule, value);
}
