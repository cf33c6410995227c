import { HandlerTimeoutError, UnhandledError } from "../../ground/errors.ts";
import { errorOf } from "../../ground/thrown.ts";
import type { GroupMessage, Message } from "../../wire/message.ts";
import { judgeOf, Verdicts } from "../worker/batch-result.ts";
import type { HandlerContext } from "../worker/handler.ts";
import type { Answers } from "./answers.ts";
import { Undecodable } from "./content.ts";
import { Context } from "./context.ts";
import { after, type Route, refuse } from "./route.ts";

/** What dispatching needs of its app. */
export interface DispatchHost {
  /** In the order in which they are asked. */
  readonly routes: readonly Route[];
  /** Name of the group; `null` where there is none. */
  readonly group: string | null;
  readonly answers: Answers;
  /** Whether a failure is final whatever the schedule says: it is acknowledged all the same. */
  readonly isFinal: boolean;
  /** Told of each message that was handled; `null` where nobody asks. */
  readonly tell: ((message: Message<unknown>) => void) | null;
}

/** Hands messages to the subscribers that accept them, and what those return to who wants it. */
export class Dispatch {
  readonly #host: DispatchHost;

  /** By routes that are made already. */
  constructor(host: DispatchHost) {
    this.#host = host;
  }

  /** Handle one message; a promise only where something in its way gives one. */
  readonly one = (message: Message<unknown>, call: HandlerContext): unknown => {
    const { answers, tell, isFinal } = this.#host;
    if (message.data instanceof Undecodable) return this.#refuse(message, call);
    const route = this.#ending(message, () => this.routeOf(message));
    const context = new Context(route, message, call);
    const isPlain = route.target === null && tell === null;
    const isWanted = answers.isWanted(message);
    if (isPlain && !isWanted) return route.one(message, context);
    if (isFinal && isWanted) this.#watch(message, context);
    return after(
      () => route.one(message, context),
      (result) => this.#handled(route, message, context, result),
      (error) => {
        if (isFinal) context.inside(() => this.failed(message, error));
        throw error;
      },
    );
  };

  /** Handle messages that came together; tells of each whether it failed. */
  readonly many = async (
    messages: readonly GroupMessage<unknown>[],
    call: HandlerContext,
  ): Promise<Verdicts> => {
    const verdicts = new Verdicts();
    const parts = new Map<Route, GroupMessage<unknown>[]>();
    const judged = await Promise.allSettled(messages.map((message) => this.#judged(message)));
    for (const [i, message] of messages.entries()) {
      const outcome = judged[i]!;
      if (outcome.status === "rejected") verdicts.set(message, errorOf(outcome.reason));
      else if (parts.has(outcome.value)) parts.get(outcome.value)!.push(message);
      else parts.set(outcome.value, [message]);
    }
    await Promise.all([...parts].map(([route, part]) => this.#part(route, part, call, verdicts)));
    for (const message of messages) {
      const error = verdicts.get(message);
      if (error === undefined) this.#host.tell?.(message);
      else if (this.#host.isFinal) this.failed(message, error);
    }
    return verdicts;
  };

  /** A message is not delivered again: who waits for an answer is told so. */
  failed(message: Message<unknown>, error: Error): void {
    this.#host.answers.failure(message, error, this.#host.group);
  }

  /** Whether some subscriber takes it. */
  isTaken(message: Message<unknown>): boolean {
    return message.data instanceof Undecodable || this.#find(message) !== undefined;
  }

  /** The first route that accepts a message. Throws UnhandledError where none does. */
  routeOf(message: Message<unknown>): Route {
    const route = this.#find(message);
    if (route === undefined) throw new UnhandledError(message.stream, message.id);
    return route;
  }

  #find(message: Message<unknown>): Route | undefined {
    const { routes } = this.#host;
    if (routes.length === 1 && routes[0]!.filter === null) return routes[0];
    return routes.find((route) => route.accepts(message));
  }

  async #judged(message: GroupMessage<unknown>): Promise<Route> {
    if (message.data instanceof Undecodable) refuse(message);
    const route = this.routeOf(message);
    await route.judge(message);
    return route;
  }

  async #part(
    route: Route,
    part: GroupMessage<unknown>[],
    call: HandlerContext,
    verdicts: Verdicts,
  ): Promise<void> {
    const context = new Context(route, part[0]!, call, part);
    const judge = await after(
      () => route.many(part, context),
      (result) => judgeOf(result, part),
      (error) => () => error,
    );
    for (const message of part) {
      const error = judge(message);
      if (error !== null) verdicts.set(message, error);
    }
  }

  /** A handler that is too late is not waited for; where that is final, its requester is told. */
  #watch(message: Message<unknown>, { signal }: Context): void {
    const tell = (): void => {
      if (signal.reason instanceof HandlerTimeoutError) this.failed(message, signal.reason);
    };
    signal.addEventListener("abort", tell, { once: true });
  }

  /** What does not decode goes to the first subscriber's middleware, and fails whatever becomes of it there. */
  #refuse(message: Message<unknown>, call: HandlerContext): unknown {
    const route = this.#host.routes[0]!;
    const fail = (): never => this.#ending(message, () => refuse(message));
    return after(() => route.refuse(message, new Context(route, message, call)), fail, fail);
  }

  /** Do what fails before a handler is called; where that is final, the requester is told. */
  #ending<R>(message: Message<unknown>, act: () => R): R {
    try {
      return act();
    } catch (thrown) {
      if (this.#host.isFinal) this.failed(message, errorOf(thrown));
      throw thrown;
    }
  }

  #handled(route: Route, message: Message<unknown>, context: Context, result: unknown): unknown {
    const { answers, group, tell } = this.#host;
    if (result === undefined || (route.target === null && !answers.isWanted(message))) {
      tell?.(message);
      return undefined;
    }
    return context
      .inside(() => answers.result(route, message, context, result, group))
      .then(() => tell?.(message));
  }
}
