import type { StandardSchemaV1 } from "@standard-schema/spec";
import { TRIM, type TrimOptions, trimArguments } from "../../containers/trim.ts";
import { assertName, assertOptions } from "../../ground/assert.ts";
import { printable } from "../../ground/display.ts";
import { legible } from "../../ground/table.ts";
import { assertSchema, judge } from "../../wire/codec.ts";
import type { Send } from "./context.ts";
import { MESSAGE, type MessageOptions } from "./publish-options.ts";

/** Options of a publisher: its schema and headers, and bounds that are kept at each publishing. */
export interface PublisherOptions<I> extends TrimOptions {
  /** A Standard Schema: judges what is published. */
  readonly schema?: StandardSchemaV1<I, unknown> | undefined;
  /** Headers of all that is published; those of one publishing come on top. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What it is, in a few words; for documents. */
  readonly title?: string | undefined;
  /** What it publishes; for documents. */
  readonly description?: string | undefined;
}

/** Where values of some type go; a {@link Publisher} of any. */
export interface PublishTarget {
  /** Key of the stream. */
  readonly stream: string;
  /** Publish a value; gives the entry's id. */
  publish(value: never, options?: MessageOptions): Promise<string>;
}

/**
 * Publishes to one stream.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { z } from "zod";
 *
 * await using db = new Database();
 * await using app = db.app({ name: "shop" });
 * const payments = app.publisher("payments", { schema: z.object({ paid: z.number() }), maxlen: 100_000 });
 * console.log(await payments.publish({ paid: 7 }, { headers: { region: "eu" } }));
 * ```
 */
export class Publisher<I = unknown> {
  /** Key of the stream. */
  readonly stream: string;
  /** What it was made with. */
  readonly options: PublisherOptions<I>;
  readonly #send: () => Send;
  readonly #trim: TrimOptions;

  /** Made by {@link App.publisher} and {@link Router.publisher}. @internal */
  constructor(stream: string, options: PublisherOptions<I>, send: () => Send) {
    assertName("stream", stream);
    assertOptions("publisher", options, ["schema", "headers", "title", "description", ...TRIM]);
    const { schema, headers: _headers, title: _title, description: _description, ...trim } = options;
    assertSchema(schema);
    trimArguments(trim);
    this.stream = stream;
    this.options = options;
    this.#send = send;
    this.#trim = trim;
  }

  /**
   * Publish a value. What is published at the same time, to the same stream, goes out in one write.
   *
   * @returns the entry's id.
   * @throws InvalidArgumentError for what the schema or JSON refuses, before anything is sent.
   * @throws ConnectionLostError where it is unknown whether the entry is there, or it is not (`isSent: false`).
   * @throws ClosedError where the app is stopped; what {@link Producer.push} throws.
   */
  async publish(value: I, options: MessageOptions = {}): Promise<string> {
    assertOptions("publish", options, MESSAGE);
    const { schema } = this.options;
    if (schema !== undefined) await judge(schema as StandardSchemaV1, value);
    const { headers } = this.options;
    const all = headers === undefined ? {} : { headers: { ...headers, ...options.headers } };
    return this.#send()(value, { ...this.#trim, ...options, ...all, stream: this.stream });
  }
}

printable(Publisher, ({ stream }) => `<Publisher ${legible(stream)}>`);
