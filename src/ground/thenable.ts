/** Whether something is to be waited for: a promise, or anything else with a method `then`. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === "function";
}
