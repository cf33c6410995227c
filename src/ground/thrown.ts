import { describe } from "./errors.ts";

/** What was thrown, as an error; JavaScript lets anything be thrown. */
export function errorOf(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const error = new Error(`not an Error but ${describe(thrown)} was thrown`, { cause: thrown });
  error.name = "NonError";
  return error;
}
