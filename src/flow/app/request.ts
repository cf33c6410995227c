import { randomBytes } from "node:crypto";
import type { RedisLike } from "../../connection/driver.ts";
import { Stream } from "../../containers/stream.ts";
import { assertGivenOptions, assertName, assertSignal } from "../../ground/assert.ts";
import { millisecondsWithin } from "../../ground/duration.ts";
import {
  ClosedError,
  ConnectionLostError,
  DecodeError,
  RequestFailedError,
  RequestTimeoutError,
} from "../../ground/errors.ts";
import type { Message } from "../../wire/message.ts";
import { Consumer } from "../consumer.ts";
import { within } from "../pause.ts";
import { MOST_REPLIES, REPLIES_LAST } from "./answers.ts";
import { content, refusalOf, Undecodable } from "./content.ts";
import type { Send } from "./context.ts";
import { REPLY, REQUEST_ID } from "./headers.ts";
import type { Logger } from "./log.ts";
import type { RequestOptions } from "./publish-options.ts";

/** What requests need of their app. */
export interface RequestsHost {
  readonly redis: RedisLike;
  readonly name: string;
  readonly log: Logger;
  /** Publishes by way of the app's middleware. */
  readonly send: Send;
}

/** A request that waits for its reply. */
interface Waiting {
  readonly stream: string;
  resolve(message: Message<unknown>): void;
  reject(error: unknown): void;
  /** What became of its publishing, where that is not known. */
  doubt: ConnectionLostError | null;
}

const OPTIONS: readonly string[] = ["stream", "timeout", "headers", "correlationId", "signal"];
/** What tidying up may take, in milliseconds. */
const MOMENT = 1000;
/** Replies are dropped from the stream so many at a time, once they are read. */
const READ = 1000;

/**
 * Requests of one app instance, any number at once.
 *
 * Replies come to one stream, of this instance alone, which is made at the first request: it expires when it is not used
 * any more, keeps a bounded number of replies, and is deleted at the end. It is read from its first entry on, wherever
 * connections break, so that no reply is lost.
 */
export class Requests {
  readonly #host: RequestsHost;
  readonly #replies: Stream<unknown>;
  readonly #waiting = new Map<string, Waiting>();
  #count = 0;
  #consumer: Consumer<unknown> | null = null;
  #opening: Promise<void> | null = null;
  #listening: Promise<void> = Promise.resolve();
  /** Until when the stream is kept, by `performance.now()`. */
  #keptUntil = 0;
  #isClosed = false;

  /** Nothing is sent before the first request. */
  constructor(host: RequestsHost) {
    this.#host = host;
    const key = `${host.name}:replies:${randomBytes(8).toString("hex")}`;
    this.#replies = new Stream<unknown>(host.redis, key, { codec: content });
  }

  /** Key of the stream to which replies come. */
  get stream(): string {
    return this.#replies.key;
  }

  /** Publish a value, and wait for the reply. */
  async request(value: unknown, options: RequestOptions): Promise<Message<unknown>> {
    assertGivenOptions("request", options, OPTIONS);
    const { stream, timeout = 5000, signal, headers, correlationId } = options;
    assertName("stream", stream);
    assertSignal(signal);
    const ms = millisecondsWithin("timeout", timeout, 1);
    signal?.throwIfAborted();
    if (this.#isClosed) throw stopped();
    const id = String(++this.#count);
    let over = (): void => {};
    try {
      return await new Promise<Message<unknown>>((resolve, reject) => {
        const waiting: Waiting = { stream, resolve, reject, doubt: null };
        this.#waiting.set(id, waiting);
        const timer = setTimeout(() => {
          const { doubt } = waiting;
          reject(new RequestTimeoutError(stream, ms, doubt === null ? {} : { cause: doubt }));
        }, ms);
        const onAbort = (): void => reject(signal!.reason);
        signal?.addEventListener("abort", onAbort, { once: true });
        over = () => {
          clearTimeout(timer);
          signal?.removeEventListener("abort", onAbort);
        };
        this.#ask(id, waiting, ms, () =>
          this.#host.send(value, {
            stream,
            correlationId,
            headers: { ...headers, [REQUEST_ID]: id },
            replyTo: this.stream,
          }),
        ).catch(reject);
      });
    } finally {
      over();
      this.#waiting.delete(id);
    }
  }

  /** Reject the requests that wait, and remove the stream. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#refuse(stopped());
    await this.#consumer?.close();
    await this.#listening;
    if (this.#opening !== null) await within(MOMENT, this.#replies.clear());
  }

  async #ask(id: string, waiting: Waiting, ms: number, send: () => Promise<unknown>): Promise<void> {
    this.#opening ??= this.#open(ms).catch((error) => {
      this.#opening = null;
      throw error;
    });
    await this.#opening;
    if (!this.#waiting.has(id)) return;
    const until = performance.now() + ms;
    if (until > this.#keptUntil) await this.#keep(ms);
    try {
      await send();
    } catch (error) {
      // It may be on its way: then the reply tells, or there is none in time.
      if (!(error instanceof ConnectionLostError && error.isSent)) throw error;
      waiting.doubt = error;
    }
  }

  async #open(ms: number): Promise<void> {
    await this.#keep(ms);
    if (this.#isClosed) throw stopped();
    const consumer = new Consumer<unknown>(this.#replies, { from: "earliest", follow: true, buffer: READ });
    this.#consumer = consumer;
    this.#listening = this.#listen(consumer);
  }

  /** Have the stream, and keep it for as long as a reply may come, and some more. */
  async #keep(ms: number): Promise<void> {
    const lasts = ms + REPLIES_LAST;
    const now = performance.now();
    if (!(await this.#replies.expire(lasts))) {
      await this.#replies.add({ open: true }, { maxlen: MOST_REPLIES });
      await this.#replies.expire(lasts);
    }
    this.#keptUntil = now + lasts;
  }

  async #listen(consumer: Consumer<unknown>): Promise<void> {
    for (let read = 1; ; read++) {
      try {
        const reply = await consumer.getMessage();
        if (reply === null) return;
        this.#reply(reply);
        if (read % READ === 0) this.#drop(reply);
      } catch (error) {
        if (error instanceof DecodeError) continue;
        this.#host.log.error({ error }, "replies cannot be read");
        this.#opening = null;
        this.#refuse(error);
        return;
      }
    }
  }

  #reply(reply: Message<unknown>): void {
    const { [REQUEST_ID]: id, [REPLY]: kind } = reply.headers;
    const waiting = this.#waiting.get(id ?? "");
    if (waiting === undefined) return;
    const { data } = reply;
    if (data instanceof Undecodable) waiting.reject(refusalOf(reply, data.issues));
    else if (kind === "error") waiting.reject(new RequestFailedError(waiting.stream, remoteOf(data)));
    else waiting.resolve(reply);
  }

  /** Drop the replies that are read. */
  #drop({ id }: Message<unknown>): void {
    this.#replies.trim({ minid: id }).catch((error) => {
      this.#host.log.debug({ error }, "replies that are read were not dropped");
    });
  }

  #refuse(error: unknown): void {
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}

/** What went wrong at the other side; it may be of another make. */
function remoteOf(data: unknown): { name: string; message: string } {
  const { name = "Error", message = "" } = (data ?? {}) as { name?: unknown; message?: unknown };
  return { name: String(name), message: String(message) };
}

function stopped(): ClosedError {
  return new ClosedError("the app is stopped");
}
