import { AsyncLocalStorage } from "node:async_hooks";
import { GroupMessage, type Message } from "../../wire/message.ts";
import type { HandlerContext } from "../worker/handler.ts";
import { CORRELATION_ID } from "./headers.ts";
import type { Logger } from "./log.ts";
import type { PublishOptions, RequestOptions } from "./publish-options.ts";

/** An app as its handlers see it. */
export interface Host {
  /** Its name. */
  readonly name: string;
  /** Where it tells what happens. */
  readonly log: Logger;
  /** Publish a value to a stream; gives the entry's id. */
  publish(value: unknown, options: PublishOptions): Promise<string>;
  /** Publish a value and wait for the reply. */
  request<T = unknown>(value: unknown, options: RequestOptions): Promise<Message<T>>;
}

/** Publishes one value; gives the entry's id. */
export type Send = (value: unknown, options: PublishOptions) => Promise<string>;

/** What the messages of a subscriber have in common. */
export interface ContextFacts {
  /** The app. */
  readonly app: Host;
  /** Publishes by way of the subscriber's middleware. */
  readonly send: Send;
}

/**
 * What a handler and its middleware are given beside the message.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const app = db.app({ name: "shop" });
 * app.subscriber("orders", { group: "billing" }, async (message, context) => {
 *   context.log.info({ attempt: context.attempt, correlationId: context.correlationId }, "billing");
 *   await fetch("https://bank.example", { signal: context.signal });
 *   await context.publish({ order: message.id }, { stream: "payments" });
 * });
 * ```
 */
export class Context implements HandlerContext {
  readonly #facts: ContextFacts;
  readonly #message: Message<unknown>;
  readonly #call: HandlerContext;
  readonly #batch: readonly Message<unknown>[] | null;
  #inside: (<R>(act: () => R) => R) | null = null;

  /** Made for each message, or for each batch of them. @internal */
  constructor(
    facts: ContextFacts,
    message: Message<unknown>,
    call: HandlerContext,
    batch: readonly Message<unknown>[] | null = null,
  ) {
    this.#facts = facts;
    this.#message = message;
    this.#call = call;
    this.#batch = batch;
  }

  /** Aborted when nobody waits for the handler any more: it is too late, its lease is lost, or the app stops. */
  get signal(): AbortSignal {
    return this.#call.signal;
  }

  /** The app. */
  get app(): Host {
    return this.#facts.app;
  }

  /** The app's logger. */
  get log(): Logger {
    return this.#facts.app.log;
  }

  /** All messages of this call: one, or those of a batch. */
  get messages(): readonly Message<unknown>[] {
    return this.#batch ?? [this.#message];
  }

  /** How often the message has been delivered, this time included; of a batch, its first one. */
  get attempt(): number {
    return this.#message instanceof GroupMessage ? this.#message.deliveries : 1;
  }

  /**
   * The header `correlation-id`, which is handed on to all that is published here; of a batch, its first message's.
   *
   * Where there is none it is `<stream>:<id>`: the same for every group and at every delivery.
   */
  get correlationId(): string {
    const { headers, stream, id } = this.#message;
    return headers[CORRELATION_ID] ?? `${stream}:${id}`;
  }

  /**
   * Publish a value as {@link App.publish} does, with this message's correlation id, by way of the subscriber's own
   * middleware.
   *
   * @returns the entry's id.
   * @throws what {@link App.publish} throws.
   */
  publish(value: unknown, options: PublishOptions): Promise<string> {
    return this.#facts.send(value, this.#joined(options));
  }

  /**
   * Publish a value and wait for the reply as {@link App.request} does, with this message's correlation id.
   *
   * @returns the reply.
   * @throws what {@link App.request} throws.
   */
  request<T = unknown>(value: unknown, options: RequestOptions): Promise<Message<T>> {
    return this.#facts.app.request(value, this.#joined(options));
  }

  /** Remember what is active in the handler, as its middleware has made it: a trace, a tenant. @internal */
  enter(): void {
    this.#inside = AsyncLocalStorage.snapshot();
  }

  /** Do something with what was active in the handler. @internal */
  inside<R>(act: () => R): R {
    return this.#inside === null ? act() : this.#inside(act);
  }

  #joined<O extends RequestOptions | PublishOptions>(options: O): O {
    const { correlationId = options?.headers?.[CORRELATION_ID] ?? this.correlationId } = options ?? {};
    return { ...options, correlationId };
  }
}
