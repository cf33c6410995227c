import { InvalidArgumentError } from "./errors.ts";

/** Check a whole number at the door: `min` to `max`, both included. */
export function assertInteger(
  name: string,
  value: unknown,
  min = 0,
  max: number = Number.MAX_SAFE_INTEGER,
): void {
  if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(name, `a whole number ${range}`, value);
  }
}

/** Check an optional whole number: absent is fine, anything else must hold. */
export function assertOptionalInteger(name: string, value: unknown, min = 0): void {
  if (value !== undefined) assertInteger(name, value, min);
}

/** Check a name that is sent to the server as it is: a key, a group, a consumer. */
export function assertName(what: string, value: unknown): asserts value is string {
  if (typeof value !== "string" || value === "") {
    throw new InvalidArgumentError(what, "a string that is not empty", value);
  }
}

/** Check an optional boolean. */
export function assertOptionalBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== "boolean") {
    throw new InvalidArgumentError(name, "true or false", value);
  }
}

/** Check an options object at the door: absent is fine, a misspelt option is named. */
export function assertOptions(where: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) return;
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    throw new InvalidArgumentError(`${where} options`, "an object", options);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new InvalidArgumentError(`${where} options`, `among ${known.join(", ")}`, name);
    }
  }
}

/** Check options of which some must be given: absent is refused. */
export function assertGivenOptions(where: string, options: unknown, known: readonly string[]): void {
  if (options === undefined) throw new InvalidArgumentError(`${where} options`, "an object", options);
  assertOptions(where, options, known);
}

/** Check an optional `AbortSignal`. */
export function assertSignal(value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw new InvalidArgumentError("signal", "an AbortSignal", value);
  }
}
