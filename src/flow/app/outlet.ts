import { Client } from "../../connection/client.ts";
import type { RedisLike } from "../../connection/driver.ts";
import { beside } from "../../containers/beside.ts";
import { trimArguments } from "../../containers/trim.ts";
import { ClosedError } from "../../ground/errors.ts";
import type { Codec, FlatFields } from "../../wire/codec.ts";
import { Producer } from "../producer.ts";
import { content, contentType } from "./content.ts";
import { CONTENT_TYPE, CORRELATION_ID, REPLY_TO } from "./headers.ts";
import type { PublishOptions } from "./publish-options.ts";

/** Told of what an app has published; for its tests. */
export interface Published {
  /** Key of the stream. */
  readonly stream: string;
  /** The entry's id. */
  readonly id: string;
  /** The value. */
  readonly value: unknown;
  /** The headers it was sent with. */
  readonly headers: Readonly<Record<string, string>>;
}

/** The most producers that are kept; who publishes to ever new streams does not keep them all. */
const MOST = 1000;
/** Fields are made before they are pushed, since publishers of one stream may differ in all but the stream. */
const AS_MADE: Codec<never, FlatFields> = {
  name: "fields",
  encode: (fields) => fields,
  decode: () => {
    throw new Error("fields are not read");
  },
};

/** Where an app's values leave it: one producer for each stream and its bounds, so that all who publish share writes. */
export class Outlet {
  readonly #redis: RedisLike;
  readonly #client: Client;
  readonly #producers = new Map<string, Producer<never, FlatFields>>();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;
  /** Told of each value that is stored. */
  tell: ((published: Published) => void) | null = null;

  /** Nothing is sent before the first value. */
  constructor(redis: RedisLike) {
    this.#redis = redis;
    this.#client = Client.of(redis);
  }

  /** Publish a value; gives the entry's id. */
  readonly send = async (value: unknown, options: PublishOptions): Promise<string> => {
    if (this.#isClosed) throw new ClosedError("the app is stopped");
    const { stream, headers: own, correlationId, replyTo, id, idempotencyKey, ...trim } = options;
    const headers: Record<string, string> = { [CONTENT_TYPE]: contentType(value), ...own };
    if (correlationId !== undefined) headers[CORRELATION_ID] = correlationId;
    if (replyTo !== undefined) headers[REPLY_TO] = replyTo;
    const stored = await this.#producer(stream, trim).push(content.encode(value), {
      headers,
      ...(id === undefined ? {} : { id }),
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    });
    this.tell?.({ stream, id: stored, value, headers });
    return stored;
  };

  /** The name of a publishing, where the stream can remember it: in a cluster its slot must be known. */
  once(stream: string, name: string): { readonly idempotencyKey?: string } {
    const isPossible = this.#client.sharesSlot(stream, beside(stream, `once:${name}`));
    return isPossible ? { idempotencyKey: name } : {};
  }

  /** Refuse new values; resolves when those that were taken are settled. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([
      ...this.#closing,
      ...[...this.#producers.values()].map((producer) => producer.close()),
    ]);
  }

  #producer(stream: string, trim: Omit<PublishOptions, "stream">): Producer<never, FlatFields> {
    const bounds = trimArguments(trim);
    const name = bounds.length === 0 ? stream : `${stream}\0${bounds.join(" ")}`;
    let producer = this.#producers.get(name);
    if (producer !== undefined) return producer;
    producer = new Producer(this.#redis, stream, { codec: AS_MADE, ...trim });
    this.#producers.set(name, producer);
    if (this.#producers.size > MOST) this.#retire(this.#producers.keys().next().value!);
    return producer;
  }

  #retire(name: string): void {
    const closing = this.#producers.get(name)!.close();
    this.#producers.delete(name);
    this.#closing.add(closing);
    closing.finally(() => this.#closing.delete(closing));
  }
}
