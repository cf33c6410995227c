import { InvalidArgumentError, RetryError } from "../../ground/errors.ts";
import { errorOf } from "../../ground/thrown.ts";
import type { GroupMessage } from "../../wire/message.ts";

/** What became of each message of a batch, where its handler is another's and says so: those without an error are done. */
export class Verdicts extends Map<GroupMessage<unknown>, Error> {}

/** What a batch handler's result says of each message: `null` where it is done. */
export function judgeOf<T>(
  result: unknown,
  messages: readonly GroupMessage<T>[],
): (message: GroupMessage<T>) => Error | null {
  if (result === undefined || result === null) return () => null;
  if (result instanceof Verdicts) return (message) => result.get(message) ?? null;
  if (typeof result !== "object" || !(Symbol.iterator in result)) {
    const rule = "nothing, or the messages or ids that are done";
    const error = new InvalidArgumentError("result of a batch handler", rule, result);
    return () => error;
  }
  let done: Set<unknown>;
  try {
    // The result may be a generator of the user's, and throw.
    done = new Set<unknown>(result as Iterable<unknown>);
  } catch (thrown) {
    const error = errorOf(thrown);
    return () => error;
  }
  const known = new Set<unknown>(messages.flatMap((message) => [message, message.id]));
  const strangers = [...done].filter((one) => !known.has(one));
  if (strangers.length > 0) {
    const rule = "of messages or ids of the batch";
    const error = new InvalidArgumentError("result of a batch handler", rule, strangers[0]);
    return () => error;
  }
  return (message) => {
    if (done.has(message) || done.has(message.id)) return null;
    return new RetryError({ message: "the batch handler did not name it among those that are done" });
  };
}
