import { randomBytes } from "node:crypto";
import { constants, hostname } from "node:os";
import { Client } from "../../connection/client.ts";
import type { RedisLike } from "../../connection/driver.ts";
import { assertName, assertOptions } from "../../ground/assert.ts";
import { printable } from "../../ground/display.ts";
import { ClosedError, InvalidArgumentError } from "../../ground/errors.ts";
import { legible } from "../../ground/table.ts";
import type { Message } from "../../wire/message.ts";
import { within } from "../pause.ts";
import { workerSettings } from "../worker/options.ts";
import { Answers } from "./answers.ts";
import { type AsyncApiDocument, type AsyncApiOptions, asyncApiDocument } from "./asyncapi.ts";
import type { Host, Send } from "./context.ts";
import { Dispatch } from "./dispatch.ts";
import { FanOut } from "./fan-out.ts";
import { GroupUnit } from "./group-unit.ts";
import { type AppHealth, Checkup } from "./health.ts";
import { harmless, type Logger } from "./log.ts";
import { type AppOptions, appOptions } from "./options.ts";
import type { PublishOptions, RequestOptions } from "./publish-options.ts";
import { type Publication, Registry } from "./registry.ts";
import { Requests } from "./request.ts";
import { Route } from "./route.ts";
import { type DataOf, Router } from "./router.ts";
import { Scope } from "./scope.ts";
import type { Subscriber, Subscription } from "./subscription.ts";
import { TestApp, Witnesses } from "./trial.ts";
import type { Unit } from "./unit.ts";

export type {
  AsyncApiChannel,
  AsyncApiDocument,
  AsyncApiOperation,
  AsyncApiOptions,
  AsyncApiReference,
} from "./asyncapi.ts";
export { content, Undecodable } from "./content.ts";
export type { Context, Host } from "./context.ts";
export type { AppHealth, SubscriberHealth } from "./health.ts";
export type { JsonSchema } from "./json-schema.ts";
export type { Logger } from "./log.ts";
export type { ConsumeMiddleware, Middleware, Next, NextPublish, PublishMiddleware } from "./middleware.ts";
export type {
  AppOptions,
  BatchSubscriber,
  BatchSubscriberOptions,
  FanOutSubscriber,
  FanOutSubscriberOptions,
  GroupSubscriber,
  GroupSubscriberOptions,
  RouterOptions,
  SharedSubscriberOptions,
  SubscriberDefaults,
} from "./options.ts";
export type { Published } from "./outlet.ts";
export type { MessageOptions, PublishOptions, RequestOptions } from "./publish-options.ts";
export { Publisher, type PublisherOptions, type PublishTarget } from "./publisher.ts";
export type { Publication } from "./registry.ts";
export { Router } from "./router.ts";
export type { Subscription } from "./subscription.ts";
export type { TestApp, WitnessOptions } from "./trial.ts";

/** Something to do when an app starts or stops. */
export type Hook = () => unknown;

/** What is under way when it stops has at least so long to reach the server, in milliseconds. */
const MOMENT = 1000;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Many subscribers and publishers with one life: what they share is said once, and they start and stop together.
 *
 * `Streams` maps names of streams to the types of their data, for what is published to them and read from them without a
 * schema: `db.app<{ orders: Order }>({ name: "shop" })`.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { z } from "zod";
 *
 * await using db = new Database();
 * const app = db.app({ name: "shop", retry: { maxDeliveries: 3 } });
 * app.use(async (message, context, next) => {
 *   const begun = performance.now();
 *   const result = await next();
 *   context.log.info({ id: message.id, ms: performance.now() - begun }, "handled");
 *   return result;
 * });
 * const schema = z.object({ total: z.number() });
 * app.subscriber("orders", { group: "billing", schema, publishTo: "payments" }, (message) => ({
 *   paid: message.data.total,
 * }));
 * await app.publish({ total: 7 }, { stream: "orders" });
 * await app.run(); // until SIGINT or SIGTERM
 * ```
 */
export class App<Streams extends object = object> extends Router<Streams> implements Host {
  /** The name it was given; it begins the names of its consumers. */
  readonly name: string;
  /** Where it tells what happens. */
  readonly log: Logger;
  readonly #log: Logger;
  readonly #redis: RedisLike;
  readonly #registry: Registry;
  readonly #scope: Scope;
  readonly #drain: number;
  readonly #instance: string;
  readonly #answers: Answers;
  readonly #requests: Requests;
  readonly #checkup = new Checkup();
  readonly #startup: Hook[] = [];
  readonly #shutdown: Hook[] = [];
  readonly #closing = new AbortController();
  readonly #units: Unit[] = [];
  readonly #failures = new Map<Unit, unknown>();
  #witnesses: Witnesses | null = null;
  #starting: Promise<void> | null = null;
  #stopped: Promise<void> | null = null;
  #isStarted = false;
  /** Ends {@link App.run}: it is stopped, or cannot go on. */
  #isOver: () => void = () => {};
  readonly #over: Promise<void> = new Promise((resolve) => {
    this.#isOver = resolve;
  });

  /** An app on a database, or on any `Redis` or `Cluster` of ioredis; nothing is sent. */
  constructor(redis: RedisLike, options: AppOptions) {
    const { name, log, defaults } = appOptions(options);
    const registry = new Registry(redis);
    const scope = new Scope(null, "", defaults);
    super(registry, scope);
    this.name = name;
    this.log = log;
    this.#redis = redis;
    this.#registry = registry;
    this.#scope = scope;
    const { consumer: _, ...worker } = defaults;
    this.#drain = Math.max(workerSettings(worker).drain, MOMENT);
    this.#instance = `${name}-${hostname()}-${randomBytes(4).toString("hex")}`;
    const send: Send = (value, to) => this.#send(value, to);
    this.#log = harmless(log);
    const shared = { log: this.#log, send };
    this.#answers = new Answers({ client: Client.of(redis), outlet: registry.outlet, ...shared });
    this.#requests = new Requests({ redis, name, ...shared });
  }

  /** What is subscribed to, its routers' too, in the order in which it was said. */
  get subscriptions(): readonly Subscription[] {
    return this.#registry.subscribers;
  }

  /** What is published by publishers, its routers' too, in the order in which they were made. */
  get publications(): readonly Publication[] {
    return this.#registry.publications;
  }

  /**
   * Publish a value to a stream, as JSON; strings and bytes go as they are. The app need not have started.
   *
   * @returns the entry's id.
   * @throws InvalidArgumentError for what cannot be published, before anything is sent; ClosedError where it is stopped;
   * ConnectionLostError where it is unknown whether the entry is there, or it is not (`isSent: false`).
   */
  publish<K extends string>(
    value: DataOf<Streams, K>,
    options: PublishOptions & { readonly stream: K },
  ): Promise<string> {
    return this.#send(value, options);
  }

  /**
   * Publish a value, and wait for what its handler returns. Any number of requests may wait at once; the app need not
   * have started.
   *
   * Replies come to a stream of this instance alone, `<name>:replies:<random>`, that is made at the first request,
   * expires when it is not used any more and is removed when the app stops.
   *
   * @returns the reply, its data what the handler has returned; a handler that returns `undefined` does not reply.
   * @throws RequestTimeoutError where no reply came in time: it may have been handled, or still be.
   * @throws RequestFailedError where the handler failed and the request is not delivered again.
   * @throws ClosedError where the app is stopped, before or meanwhile; the signal's reason; what {@link App.publish}
   * throws.
   */
  request<T = unknown>(value: unknown, options: RequestOptions): Promise<Message<T>> {
    return this.#requests.request(value, options) as Promise<Message<T>>;
  }

  /** Do something before subscribers start, in the order given; where it throws, the app does not start. */
  onStartup(hook: Hook): this {
    this.#registry.assertOpen("onStartup");
    this.#startup.push(hookOf(hook));
    return this;
  }

  /** Do something when all else has stopped, in the order given; also where the start has failed. */
  onShutdown(hook: Hook): this {
    this.#shutdown.push(hookOf(hook));
    return this;
  }

  /**
   * Start all subscribers. While the server is away, it waits for it. Starting again waits for the same start.
   *
   * @returns when groups are there and positions are found: nothing that is published from then on is missed.
   * @throws what a startup hook throws; what the server refuses for good; ClosedError where it is stopped.
   */
  async start(): Promise<void> {
    this.#starting ??= this.#begin();
    try {
      await this.#starting;
      this.#closing.signal.throwIfAborted();
    } catch (error) {
      await this.stop().catch(() => {});
      throw error;
    }
  }

  /**
   * Stop: nothing new is read, running handlers get the time to drain, what is unstarted is given back. Then publishers
   * are flushed and closed, the stream of replies and the consumers go, and last the shutdown hooks are called. The
   * connection stays open. Stopping again gives the same promise.
   *
   * @throws what a shutdown hook throws, when all are called.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /** The same as {@link App.stop}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /**
   * Start, and run until SIGINT or SIGTERM, {@link App.stop}, or a subscriber that cannot go on. The first signal
   * drains; the second ends the process at once, with code 128 plus the signal's number.
   *
   * @returns the code with which the process is to exit: 0, or 1 where a subscriber could not go on, which is set as
   * `process.exitCode` too.
   * @throws what {@link App.start} and {@link App.stop} throw; but where it is stopped while it starts, that is its end.
   */
  async run(): Promise<number> {
    if (this.#stopped !== null) throw new ClosedError("the app is stopped");
    let signals = 0;
    const onSignal = (signal: (typeof SIGNALS)[number]): void => {
      if (signals++ > 0) process.exit(128 + constants.signals[signal]);
      this.#log.info({ signal }, "the app stops");
      this.stop().catch(() => {});
    };
    for (const signal of SIGNALS) process.on(signal, onSignal);
    try {
      try {
        await this.start();
        if (this.#stopped === null) await this.#over;
      } catch (error) {
        // Stopped before it had started: then that was wanted.
        if (error !== this.#closing.signal.reason) throw error;
      }
      await this.stop();
    } finally {
      for (const signal of SIGNALS) process.off(signal, onSignal);
    }
    if (this.#failures.size === 0) return 0;
    process.exitCode = 1;
    return 1;
  }

  /** How it is doing, for probes: never rejects, and does not wait longer than a second for the server. */
  health(): Promise<AppHealth> {
    const isReady = this.#isStarted && this.#stopped === null;
    return this.#checkup.look(this.#units, this.#failures, isReady);
  }

  /**
   * What it subscribes to and publishes as an AsyncAPI 3.0.0 document, which `JSON.stringify` writes out. Payloads are
   * described where their schema can say what it is as JSON Schema (zod does).
   *
   * @returns the document.
   * @throws InvalidArgumentError for options that cannot be.
   * @see https://www.asyncapi.com/docs/reference/specification/v3.0.0
   */
  asyncapi(options: AsyncApiOptions = {}): AsyncApiDocument {
    assertOptions("asyncapi", options, ["version", "description", "jsonSchema"]);
    const { version = "1.0.0", description, jsonSchema } = options;
    assertName("version", version);
    const { name: title, subscriptions, publications } = this;
    return asyncApiDocument({ title, version, description, jsonSchema, subscriptions, publications });
  }

  /**
   * Start it under test: what it handles and publishes can be waited for.
   *
   * @throws InvalidArgumentError where it has started; what {@link App.start} throws.
   */
  async test(): Promise<TestApp> {
    if (this.#starting !== null)
      throw new InvalidArgumentError("test", "called before the app starts", "started");
    const witnesses = new Witnesses();
    this.#witnesses = witnesses;
    this.#registry.outlet.tell = witnesses.published.tell;
    await this.start();
    return new TestApp(witnesses, () => this.stop());
  }

  #send(value: unknown, options: PublishOptions): Promise<string> {
    return this.#scope.sendBy(this.#registry.outlet.send)(value, options);
  }

  async #begin(): Promise<void> {
    const { signal } = this.#closing;
    this.#registry.close();
    signal.throwIfAborted();
    for (const hook of this.#startup) {
      await hook();
      signal.throwIfAborted();
    }
    this.#units.push(...this.#makeUnits());
    const outcomes = await Promise.allSettled(this.#units.map((unit) => unit.open(signal)));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    signal.throwIfAborted();
    for (const unit of this.#units) unit.run().catch((error) => this.#fail(unit, error));
    this.#isStarted = true;
  }

  async #end(): Promise<void> {
    this.#closing.abort(new ClosedError("the app is stopped"));
    this.#registry.close();
    // Where it runs, nothing is begun any more when this call returns.
    if (!this.#isStarted) await this.#starting?.catch(() => {});
    await Promise.all(this.#units.map((unit) => unit.stop()));
    await within(this.#drain, this.#answers.flush());
    await within(this.#drain, this.#registry.outlet.close());
    await this.#requests.close();
    await Promise.all(this.#units.map((unit) => unit.leave()));
    const failures: unknown[] = [];
    for (const hook of this.#shutdown) {
      try {
        await hook();
      } catch (error) {
        this.#log.error({ error }, "a shutdown hook failed");
        failures.push(error);
      }
    }
    this.#witnesses?.end();
    this.#isOver();
    if (failures.length > 0) throw failures[0];
  }

  #makeUnits(): Unit[] {
    const { subscribers, sharings } = this.#registry;
    const shared = { redis: this.#redis, log: this.#log };
    const alone = subscribers.filter(({ group }) => group === null);
    return [
      ...sharings.map((sharing) => {
        const { ack } = sharing.worker;
        const dispatch = this.#dispatch(
          sharing.subscribers,
          sharing.group,
          ack === "always" || ack === "first",
        );
        return new GroupUnit({
          ...{ ...shared, sharing, dispatch },
          ...{ instance: this.#instance, kind: `${this.name}-` },
        });
      }),
      ...alone.map((subscriber) => {
        const dispatch = this.#dispatch([subscriber], null, false);
        return new FanOut({ ...shared, subscriber, dispatch });
      }),
    ];
  }

  #dispatch(subscribers: readonly Subscriber[], group: string | null, isFinal: boolean): Dispatch {
    const { send } = this.#registry.outlet;
    const routes = subscribers.map((subscriber) => new Route(this, subscriber, send));
    const tell = this.#witnesses?.handled.tell ?? null;
    return new Dispatch({ routes, group, isFinal, tell, answers: this.#answers });
  }

  #fail(unit: Unit, error: unknown): void {
    const { streams, group } = unit;
    this.#failures.set(unit, error);
    this.#log.error({ streams, group, error }, "a subscriber has ended");
    this.#isOver();
  }
}

printable(App, (app) => `<App ${legible(app.name)}>`);

function hookOf(hook: Hook): Hook {
  if (typeof hook !== "function") throw new InvalidArgumentError("hook", "a function", hook);
  return hook;
}
