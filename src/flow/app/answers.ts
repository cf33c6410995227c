import type { Client } from "../../connection/client.ts";
import type { Message } from "../../wire/message.ts";
import type { Context, Send } from "./context.ts";
import { CORRELATION_ID, REPLY, REPLY_TO, REQUEST_ID } from "./headers.ts";
import type { Logger } from "./log.ts";
import type { Outlet } from "./outlet.ts";
import type { Route } from "./route.ts";

/** What answers need of their app. */
export interface AnswersHost {
  readonly client: Client;
  readonly outlet: Outlet;
  readonly log: Logger;
  /** Publishes by way of the app's own middleware. */
  readonly send: Send;
}

/** About how many replies a requester's stream keeps; it reads them at once. */
export const MOST_REPLIES = 10_000;
/** How long the stream of a requester that is not there any more is kept, in milliseconds. */
export const REPLIES_LAST = 60_000;
/** Most requesters that are remembered, and most characters of an error's text that are told. */
const MOST = 1000;
const MOST_TEXT = 4096;

/** Publishes what handlers return, and how requests fail. */
export class Answers {
  readonly #host: AnswersHost;
  /** When the streams of requesters were last seen to expire, by `performance.now()`. */
  readonly #expiring = new Map<string, number>();
  readonly #failures = new Set<Promise<unknown>>();

  /** Nothing is sent before there is an answer. */
  constructor(host: AnswersHost) {
    this.#host = host;
  }

  /** Whether a message wants an answer. */
  isWanted({ headers }: Message<unknown>): boolean {
    return headers[REPLY_TO] !== undefined;
  }

  /**
   * Publish what a handler returned: where its subscriber says, and where the message asks for it.
   *
   * @param group - In a group, a message that is handled again answers once.
   */
  async result(
    route: Route,
    message: Message<unknown>,
    context: Context,
    result: unknown,
    group: string | null,
  ): Promise<void> {
    // It was too late, or is another's: that one answers.
    context.signal.throwIfAborted();
    const { target, send } = route;
    const { correlationId } = context;
    if (typeof target === "string") {
      const once = this.#once(target, message, group);
      await send(result, { stream: target, correlationId, ...once });
    } else if (target !== null) {
      const once = this.#once(target.stream, message, group);
      await target.publish(result as never, { correlationId, ...once });
    }
    // Last: where the publication is refused, the message has failed, and that is what the requester is to hear.
    if (this.isWanted(message)) await this.#reply(send, message, result, {}, group);
  }

  /** Tell a requester that its request has failed for good. */
  failure(message: Message<unknown>, { name, message: text }: Error, group: string | null): void {
    if (!this.isWanted(message)) return;
    const value = { name: String(name).slice(0, MOST_TEXT), message: String(text).slice(0, MOST_TEXT) };
    const sent = this.#reply(this.#host.send, message, value, { [REPLY]: "error" }, group).catch((error) => {
      const { stream, id } = message;
      this.#host.log.warn({ stream, id, error }, "a requester could not be told that its request failed");
    });
    this.#failures.add(sent);
    sent.finally(() => this.#failures.delete(sent));
  }

  /** When all requesters are told. */
  async flush(): Promise<void> {
    await Promise.all(this.#failures);
  }

  async #reply(
    send: Send,
    message: Message<unknown>,
    value: unknown,
    more: Readonly<Record<string, string>>,
    group: string | null,
  ): Promise<void> {
    const { [REPLY_TO]: stream = "", [REQUEST_ID]: request, [CORRELATION_ID]: given } = message.headers;
    const correlationId = given ?? `${message.stream}:${message.id}`;
    const once = this.#once(stream, message, group);
    if (request === undefined) {
      await send(value, { stream, correlationId, headers: more, ...once });
      return;
    }
    const headers = { ...more, [REQUEST_ID]: request };
    await send(value, { stream, correlationId, headers, maxlen: MOST_REPLIES, ...once });
    this.#expire(stream);
  }

  #once(stream: string, message: Message<unknown>, group: string | null): { idempotencyKey?: string } {
    return group === null ? {} : this.#host.outlet.once(stream, `${group}:${message.stream}:${message.id}`);
  }

  /** See that a requester's stream expires: it is made anew by a reply that comes after its requester has gone. */
  #expire(stream: string): void {
    const now = performance.now();
    const last = this.#expiring.get(stream);
    if (last !== undefined && now - last < REPLIES_LAST / 3) return;
    if (this.#expiring.size >= MOST) this.#expiring.clear();
    this.#expiring.set(stream, now);
    this.#host.client.command("pexpire", [stream, REPLIES_LAST, "NX"], { stream }).catch((error) => {
      this.#expiring.delete(stream);
      this.#host.log.debug({ stream, error }, "a stream of replies was not made to expire");
    });
  }
}
