import { printable } from "../../ground/display.ts";
import { legible } from "../../ground/table.ts";
import { type ConsumeMiddleware, type Middleware, middlewareOf } from "./middleware.ts";
import {
  type AnySubscriberOptions,
  type BatchSubscriber,
  type BatchSubscriberOptions,
  type FanOutSubscriber,
  type FanOutSubscriberOptions,
  type GroupSubscriber,
  type GroupSubscriberOptions,
  type RouterOptions,
  routerOptions,
} from "./options.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";
import type { Registry } from "./registry.ts";
import { Scope } from "./scope.ts";
import { type AnyHandler, Subscriber, type Subscription } from "./subscription.ts";

/** Stands for a type of data that is not told. */
declare const untold: unique symbol;
/** The type of data where none is told: what the app's map of streams says, or unknown. */
export type Untold = typeof untold;
/** The type of a stream's data by the app's map of streams; unknown where it is not in it. */
export type DataOf<Streams, K> = K extends keyof Streams ? Streams[K] : unknown;
/** The type of data that is told, or else the one by the app's map of streams. */
export type Told<T, Streams, K> = [T] extends [Untold] ? DataOf<Streams, K> : T;

/**
 * Subscribers and publishers with something in common: a prefix of their streams, middleware, options.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const app = db.app({ name: "shop" });
 * const eu = app.router({ prefix: "eu:", concurrency: 10 });
 * eu.use(async (message, context, next) => {
 *   context.log.info({ id: message.id }, "from the EU");
 *   return next();
 * });
 * eu.subscriber("orders", { group: "billing", publishTo: "payments" }, () => ({ paid: 7 })); // eu:orders, eu:payments
 * await app.run();
 * ```
 */
export class Router<Streams extends object = object> {
  readonly #registry: Registry;
  readonly #scope: Scope;

  /** With what the names of its streams begin. */
  get prefix(): string {
    return this.#scope.prefix;
  }

  /** Made by {@link App.router}. @internal */
  constructor(registry: Registry, scope: Scope) {
    this.#registry = registry;
    this.#scope = scope;
  }

  /**
   * Wrap the handling of messages, by a function, or handling and publishing, by an object. What was given first is
   * outermost, the app's outside of the router's, and that outside of a subscriber's own.
   *
   * @returns itself.
   * @throws InvalidArgumentError for what is no middleware; ClosedError where the app has started.
   */
  use(middleware: ConsumeMiddleware | Middleware): this {
    this.#registry.assertOpen("use");
    this.#scope.use(middlewareOf(middleware));
    return this;
  }

  /**
   * Handle messages in arrays, shared out in a group; see {@link WorkerOptions.batch}.
   *
   * @returns what is subscribed to.
   */
  subscriber<T = Untold, K extends string = string>(
    stream: K | readonly K[],
    options: BatchSubscriberOptions<T>,
    handler: BatchSubscriber<Told<T, Streams, K>>,
  ): Subscription;
  /**
   * Handle messages that are shared out in a group: by a {@link Worker}, with all its options.
   *
   * What the handler returns goes to `publishTo`, and to who asks for an answer, before the message is acknowledged.
   * Subscribers with the same streams and group share a worker: the first whose `filter` accepts a message handles it.
   *
   * @param stream - The key of a stream, or keys.
   * @returns what is subscribed to.
   * @throws InvalidArgumentError for options that cannot be, or that differ from those of a subscriber that shares the
   * worker; ClosedError where the app has started.
   */
  subscriber<T = Untold, K extends string = string>(
    stream: K | readonly K[],
    options: GroupSubscriberOptions<T>,
    handler: GroupSubscriber<Told<T, Streams, K>>,
  ): Subscription;
  /**
   * Handle every message from the start on, in every instance of the app: no group shares them out, none is delivered
   * again. A handler that fails is logged and counted, and the next message comes.
   *
   * @returns what is subscribed to.
   */
  subscriber<T = Untold, K extends string = string>(
    stream: K | readonly K[],
    options: FanOutSubscriberOptions<T>,
    handler: FanOutSubscriber<Told<T, Streams, K>>,
  ): Subscription;
  subscriber(stream: string | readonly string[], options: object, handler: AnyHandler): Subscription {
    const subscriber = new Subscriber(this.#scope, stream, options as AnySubscriberOptions, handler);
    this.#registry.add(subscriber);
    return subscriber;
  }

  /**
   * Make a publisher to a stream; it may be used at once, whether the app has started or not.
   *
   * @throws InvalidArgumentError for options that cannot be.
   */
  publisher<I = Untold, K extends string = string>(
    stream: K,
    options: PublisherOptions<I> = {},
  ): Publisher<Told<I, Streams, K>> {
    const send = () => this.#scope.sendBy(this.#registry.outlet.send);
    const publisher = new Publisher(this.#scope.prefix + stream, options as PublisherOptions<unknown>, send);
    const { schema = null, title = null, description = null } = publisher.options;
    this.#registry.publications.push({ stream: publisher.stream, schema, title, description });
    return publisher as Publisher<Told<I, Streams, K>>;
  }

  /**
   * Make a router inside of this one: with its prefix after this one's, its options over these, its middleware inside.
   *
   * @throws InvalidArgumentError for options that cannot be.
   */
  router(options: RouterOptions = {}): Router {
    const { prefix, defaults } = routerOptions(options);
    return new Router(this.#registry, new Scope(this.#scope, prefix, defaults));
  }
}

printable(Router, (router) => `<Router ${legible(router.prefix)}>`);
