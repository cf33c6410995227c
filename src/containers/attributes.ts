/**
 * The attribute name of a key: camelCase of its letters and digits.
 *
 * `stream-c` is `streamC`, `orders:eu` is `ordersEu`, `{tag}orders` is `tagOrders`, `snake_case` is `snakeCase`, `1st`
 * is `_1st`. Everything that is no letter with a case and no digit separates words; letters inside a word keep their
 * case, the first of all is made small. A key without letters and digits has no attribute (the empty name).
 */
export function attributeName(key: string): string {
  let name = "";
  let isStart = false;
  // By UTF-16 code unit, as the type below takes strings apart.
  for (let i = 0; i < key.length; i++) {
    const char = key.charAt(i);
    if (!/\d/.test(char) && char.toUpperCase() === char.toLowerCase()) isStart = name !== "";
    else {
      name += name === "" ? char.toLowerCase() : isStart ? char.toUpperCase() : char;
      isStart = false;
    }
  }
  return /^\d/.test(name) ? `_${name}` : name;
}

type Digit = "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9";

type IsPart<C extends string> = C extends Digit ? true : Uppercase<C> extends Lowercase<C> ? false : true;

type Words<
  Key extends string,
  Name extends string,
  IsStart extends boolean,
> = Key extends `${infer C}${infer Rest}`
  ? IsPart<C> extends true
    ? Words<Rest, `${Name}${Name extends "" ? Lowercase<C> : IsStart extends true ? Uppercase<C> : C}`, false>
    : Words<Rest, Name, Name extends "" ? false : true>
  : Name;

/** {@link attributeName} as a type. */
export type AttributeName<Key extends string> =
  Words<Key, "", false> extends infer Name extends string
    ? Name extends `${Digit}${string}`
      ? `_${Name}`
      : Name
    : never;

/** The key's attribute name, unless it is empty, taken by `Members`, or another key of `Keys` has the same. */
type FreeName<Key extends string, Keys extends string, Members> =
  AttributeName<Key> extends infer Name extends string
    ? Name extends "" | "then" | keyof Members | keyof object | keyof Object
      ? never
      : Name extends (Keys extends unknown ? (Keys extends Key ? never : AttributeName<Keys>) : never)
        ? never
        : Name
    : never;

/** An attribute for each key whose name is free; none where the keys are not known as literals. */
export type Attributes<Keys extends string, Value, Members> = string extends Keys
  ? unknown
  : { readonly [Key in Keys as FreeName<Key, Keys, Members>]: Value };

/** Give an object an attribute for each value whose key's name is free: not a member, not shared. */
export function defineAttributes(self: object, values: Readonly<Record<string, unknown>>): void {
  const names = Object.keys(values).map(attributeName);
  for (const key of Object.keys(values)) {
    const name = attributeName(key);
    if (name === "" || name === "then" || name in self) continue;
    if (names.indexOf(name) !== names.lastIndexOf(name)) continue;
    Object.defineProperty(self, name, { value: values[key], enumerable: true });
  }
}
