import type { StandardSchemaV1 } from "@standard-schema/spec";
import { isThenable } from "../../ground/thenable.ts";
import { errorOf } from "../../ground/thrown.ts";
import { issuesOf, parsed } from "../../wire/codec.ts";
import type { GroupMessage, Message } from "../../wire/message.ts";
import { refusalOf, Undecodable } from "./content.ts";
import type { ContextFacts, Host, Send } from "./context.ts";
import { REPLY_TO } from "./headers.ts";
import { consuming, type Step } from "./middleware.ts";
import type { PublishTarget } from "./publisher.ts";
import type { Subscriber } from "./subscription.ts";

/** A subscriber as its messages go through it: middleware, schema, handler. Made once, when the app starts. */
export class Route implements ContextFacts {
  readonly app: Host;
  readonly send: Send;
  /** Which messages it takes; `null` for all. */
  readonly filter: Subscriber["filter"];
  /** Where results go. */
  readonly target: string | PublishTarget | null;
  /** Handles a message. */
  readonly one: Step;
  /** Handles messages whose data are judged already. */
  readonly many: Step<GroupMessage<unknown>[]>;
  /** Fails a message whose body does not decode, in front of the middleware. */
  readonly refuse: Step;
  readonly #schema: StandardSchemaV1 | null;

  /** @param send - Publishes what leaves the app; the subscriber's middleware is put around it. */
  constructor(app: Host, subscriber: Subscriber, send: Send) {
    const { scope, schema, filter, target, handler } = subscriber;
    const { middleware } = scope;
    this.app = app;
    this.send = scope.sendBy(send);
    this.filter = filter ?? null;
    this.target = target;
    this.#schema = schema;
    const isWrapped = middleware.length > 0;
    // What a handler returns is published with what its middleware has made active.
    const handle: Step = (message, context) => {
      if (isWrapped && (target !== null || message.headers[REPLY_TO] !== undefined)) context.enter();
      return (handler as Step)(message, context);
    };
    const itself = (message: Message<unknown>): Message<unknown> => message;
    this.one = consuming(middleware, schema === null ? handle : this.#judging(handle), itself);
    this.many = consuming(middleware, handler as Step<GroupMessage<unknown>[]>, ([first]) => first!);
    this.refuse = consuming(middleware, refuse, itself);
  }

  /** Whether it takes a message. */
  accepts(message: Message<unknown>): boolean {
    return this.filter === null || Boolean(this.filter!(message));
  }

  /** Have the schema judge a message's data, and put its value in their place. Throws DecodeError. */
  judge(message: Message<unknown>): void | Promise<void> {
    if (this.#schema === null) return;
    const accept = (value: unknown): void => {
      (message as { data: unknown }).data = value;
    };
    const refuse = (error: unknown): never => {
      throw refusalOf(message, issuesOf(error));
    };
    try {
      const value = parsed(this.#schema, message.data);
      return value instanceof Promise ? value.then(accept, refuse) : accept(value);
    } catch (error) {
      return refuse(error);
    }
  }

  #judging(handle: Step): Step {
    return (message, context) => {
      const judged = this.judge(message);
      return judged === undefined ? handle(message, context) : judged.then(() => handle(message, context));
    };
  }
}

/** Fail a message whose body does not decode. */
export function refuse(message: Message<unknown>): never {
  const { data } = message;
  throw refusalOf(message, data instanceof Undecodable ? data.issues : []);
}

/** What came of a step, a promise or not, by one of two functions. */
export function after<R>(
  step: () => unknown,
  done: (result: unknown) => R,
  failed: (error: Error) => R,
): R | Promise<R> {
  let result: unknown;
  try {
    result = step();
  } catch (thrown) {
    return failed(errorOf(thrown));
  }
  if (!isThenable(result)) return done(result);
  return Promise.resolve(result).then(done, (thrown) => failed(errorOf(thrown)));
}
