import { InvalidArgumentError } from "../../ground/errors.ts";
import type { Message } from "../../wire/message.ts";
import type { Context, Send } from "./context.ts";
import { assertPublish, type PublishOptions } from "./publish-options.ts";

/** Goes on to the next middleware, and at last to the handler; gives what that gives, a promise where it is one. */
export type Next = () => unknown;

/**
 * Wraps the handling of messages: what it returns is the result, what it throws is the failure. For a batch it is called
 * once, with the first message; `context.messages` has all.
 */
export type ConsumeMiddleware = (message: Message<unknown>, context: Context, next: Next) => unknown;

/** Goes on to publish: what it was given, or another value and other options; gives the entry's id. */
export type NextPublish = (value?: unknown, options?: PublishOptions) => Promise<string>;

/** Wraps the publishing of values; gives the entry's id. */
export type PublishMiddleware = (
  value: unknown,
  options: PublishOptions,
  next: NextPublish,
) => Promise<string> | string;

/** Wraps handling, publishing, or both. */
export interface Middleware {
  /** Wraps the handling of messages. */
  consume?(message: Message<unknown>, context: Context, next: Next): unknown;
  /** Wraps the publishing of values. */
  publish?(value: unknown, options: PublishOptions, next: NextPublish): Promise<string> | string;
}

/** One step of handling: the handler, or a middleware with all that is inside it. */
export type Step<I = Message<unknown>> = (input: I, context: Context) => unknown;

/** Check a middleware, and give it as an object. */
export function middlewareOf(middleware: ConsumeMiddleware | Middleware): Middleware {
  if (typeof middleware === "function") return { consume: middleware };
  const { consume, publish } = middleware ?? {};
  const areFunctions = [consume, publish].every((one) => one === undefined || typeof one === "function");
  if (!areFunctions || (consume === undefined && publish === undefined)) {
    const rule = "a function, or an object with the functions consume and publish, or one of them";
    throw new InvalidArgumentError("middleware", rule, middleware);
  }
  return middleware;
}

/**
 * Put a handler into its middlewares, the first outermost. Made once: a message costs a call and a `next` for each
 * middleware, and no promise where none of them asks for one.
 */
export function consuming<I>(
  middlewares: readonly Middleware[],
  handler: Step<I>,
  firstOf: (input: I) => Message<unknown>,
): Step<I> {
  let step = handler;
  for (const middleware of middlewares.toReversed()) {
    if (middleware.consume === undefined) continue;
    const inner = step;
    step = (input, context) => {
      let isCalled = false;
      return middleware.consume!(firstOf(input), context, () => {
        if (isCalled) throw twice();
        isCalled = true;
        return inner(input, context);
      });
    };
  }
  return step;
}

/** Put what sends into its middlewares, the first outermost; options are checked before. */
export function publishing(middlewares: readonly Middleware[], send: Send): Send {
  let step = send;
  for (const middleware of middlewares.toReversed()) {
    if (middleware.publish === undefined) continue;
    const inner = step;
    step = async (value, options) => {
      let isCalled = false;
      return middleware.publish!(value, options, async (...other) => {
        if (isCalled) throw twice();
        isCalled = true;
        const [otherValue = value, otherOptions = options] = other;
        return inner(otherValue, otherOptions);
      });
    };
  }
  const chain = step;
  return async (value, options) => {
    assertPublish(options);
    return chain(value, options);
  };
}

function twice(): InvalidArgumentError {
  return new InvalidArgumentError("next", "called once by each middleware", "called twice");
}
