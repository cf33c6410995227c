import type { Send } from "./context.ts";
import { type Middleware, publishing } from "./middleware.ts";
import type { SubscriberDefaults } from "./options.ts";

/** Where something is registered: the app, a router in it, a subscriber in that. */
export class Scope {
  /** The scope around it; `null` for the app. */
  readonly parent: Scope | null;
  /** With what the streams' names begin. */
  readonly prefix: string;
  /** Options of what is registered here. */
  readonly options: SubscriberDefaults;
  readonly #own: Middleware[] = [];
  #sending: { readonly count: number; readonly send: Send } | null = null;

  /** A scope in another one, whose prefix and options it inherits. */
  constructor(parent: Scope | null, prefix: string, options: SubscriberDefaults) {
    this.parent = parent;
    this.prefix = (parent?.prefix ?? "") + prefix;
    this.options = { ...parent?.options, ...options };
  }

  /** Middleware that wraps what happens here, the outermost first. */
  get middleware(): readonly Middleware[] {
    return [...(this.parent?.middleware ?? []), ...this.#own];
  }

  /** Wrap what happens here, inside of what wraps it already. */
  use(middleware: Middleware): void {
    this.#own.push(middleware);
  }

  /** Publish by way of the middleware. */
  sendBy(send: Send): Send {
    const count = this.#count;
    if (this.#sending?.count !== count) this.#sending = { count, send: publishing(this.middleware, send) };
    return this.#sending.send;
  }

  /** Middleware is only ever added, so that its number tells whether there is more. */
  get #count(): number {
    return this.#own.length + (this.parent === null ? 0 : this.parent.#count);
  }
}
