/** The method by which Node.js, Deno and Bun ask an object how to print it. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** Prints a value the way the caller's `util.inspect` does. */
export type Inspect = (value: unknown) => string;

/** Have the objects of a class print as `text` says, in `console.log` and in notebooks' plain output. */
export function printable<T>(
  type: { readonly prototype: T },
  text: (self: T, inspect: Inspect) => string,
): void {
  Object.defineProperty(type.prototype, INSPECT, {
    configurable: true,
    writable: true,
    value(
      this: T,
      _depth: number,
      options: object,
      inspect: (value: unknown, options: object) => string,
    ): string {
      return text(this, (value) => inspect(value, options));
    },
  });
}
