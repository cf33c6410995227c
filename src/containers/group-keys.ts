import { assertName } from "../ground/assert.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import type { IdLike } from "../wire/id.ts";
import { afterId } from "./read.ts";

/** Keys of a group: one, a list (each begins at `0-0`), or a map of key to the id after which the group begins. */
export type GroupKeys<K extends string = string> = K | readonly K[] | { readonly [Key in K]: IdLike };

/** The keys themselves, where they are known as literals; `string` where not. */
export type KeyOf<Keys extends GroupKeys> = Keys extends string
  ? Keys
  : Keys extends readonly (infer K extends string)[]
    ? K
    : `${keyof Keys & (string | number)}`;

/** Check the keys, and give each the id after which its group begins. */
export function startIds<K extends string>(keys: GroupKeys<K>): ReadonlyMap<K, string> {
  const starts = new Map<K, string>();
  const list = typeof keys === "string" ? [keys] : keys;
  const isMap = !Array.isArray(list);
  if (list === null || typeof list !== "object")
    throw new InvalidArgumentError("keys", "a key, a list or a map of keys", keys);
  for (const key of (isMap ? Object.keys(list) : list) as K[]) {
    assertName("key", key);
    if (starts.has(key)) throw new InvalidArgumentError("keys", "without repeats", key);
    starts.set(key, isMap ? afterId((list as Record<K, IdLike>)[key]) : "0-0");
  }
  if (starts.size === 0) throw new InvalidArgumentError("keys", "at least one key", keys);
  return starts;
}
