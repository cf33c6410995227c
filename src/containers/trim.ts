import type { Client } from "../connection/client.ts";
import { assertOptionalBoolean, assertOptionalInteger } from "../ground/assert.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import { type IdLike, millisecondsOf, toId } from "../wire/id.ts";

/** Bounds of a stream, kept at each add or by `trim`. */
export interface TrimOptions {
  /** Keep so many entries, the newest. */
  readonly maxlen?: number | undefined;
  /** Drop entries before this id or `Date`. */
  readonly minid?: IdLike | undefined;
  /** Let the server drop whole nodes only, which is much cheaper and may leave some more. @defaultValue true */
  readonly approximate?: boolean | undefined;
  /** Most entries to drop at once; only where approximate. 0 is no bound. @defaultValue the server's own */
  readonly limit?: number | undefined;
}

/** Names of {@link TrimOptions}. */
export const TRIM: readonly string[] = ["maxlen", "minid", "approximate", "limit"];

/** The arguments of `XADD` and `XTRIM` for a bound; none where there is no bound. */
export function trimArguments(options: TrimOptions): (string | number)[] {
  const { maxlen, minid, approximate = true, limit } = options;
  assertOptionalBoolean("approximate", approximate);
  assertOptionalInteger("maxlen", maxlen);
  assertOptionalInteger("limit", limit);
  if (maxlen === undefined && minid === undefined) {
    if (limit !== undefined) throw new InvalidArgumentError("limit", "given with maxlen or minid", limit);
    return [];
  }
  if (maxlen !== undefined && minid !== undefined)
    throw new InvalidArgumentError("minid", "absent where maxlen is given", minid);
  if (limit !== undefined && !approximate)
    throw new InvalidArgumentError("limit", "absent where approximate is false", limit);
  return [
    ...(maxlen === undefined ? ["MINID"] : ["MAXLEN"]),
    approximate ? "~" : "=",
    maxlen ?? toId(minid!, "exact"),
    ...(limit === undefined ? [] : ["LIMIT", limit]),
  ];
}

/** The moment in milliseconds before which things are older than a time, by the server's clock, or than a `Date`. */
export async function momentBefore(client: Client, olderThan: Time | Date): Promise<number> {
  if (olderThan instanceof Date) return millisecondsOf(toId(olderThan, "exact"));
  const age = toMilliseconds("olderThan", olderThan);
  const [seconds, microseconds] = (await client.command("time", [], {})) as [string, string];
  return Math.max(0, Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000) - age);
}
