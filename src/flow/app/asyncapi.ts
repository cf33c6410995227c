import type { StandardSchemaV1 } from "@standard-schema/spec";
import { CORRELATION_ID, REPLY_TO } from "./headers.ts";
import { type JsonSchema, jsonSchemaOf, rebased } from "./json-schema.ts";
import type { Publication } from "./registry.ts";
import type { Subscription } from "./subscription.ts";

/** What is said of an app in its AsyncAPI document beside what it knows itself. */
export interface AsyncApiOptions {
  /** The version of its interface. @defaultValue `"1.0.0"` */
  readonly version?: string | undefined;
  /** What it does. */
  readonly description?: string | undefined;
  /** Gives a schema as JSON Schema, draft 7. @defaultValue what the schema says of itself, as zod's do */
  readonly jsonSchema?: ((schema: StandardSchemaV1) => JsonSchema | null) | undefined;
}

/** What an AsyncAPI document is made of. */
export interface AsyncApiSource extends AsyncApiOptions {
  /** The application's name. */
  readonly title: string;
  /** The version of its interface. */
  readonly version: string;
  /** What it subscribes to. */
  readonly subscriptions: readonly Subscription[];
  /** What it publishes by publishers; what handlers return is known from their subscriptions. */
  readonly publications: readonly Publication[];
}

/** A part of the document that stands elsewhere in it. */
export interface AsyncApiReference {
  /** Where, as a JSON pointer. */
  readonly $ref: string;
}

/** A stream. */
export interface AsyncApiChannel {
  /** The stream's key, as it is. */
  readonly title: string;
  /** The stream's key; where it has a hash tag, that is a parameter with one value. */
  readonly address: string;
  /** The hash tag, where the key has one. */
  readonly parameters?: Readonly<Record<string, object>>;
  /** What is in it, by name. */
  readonly messages: Record<string, AsyncApiReference>;
  /** That it is in Redis; the binding has no properties. */
  readonly bindings: object;
}

/** What the application does with a stream. */
export interface AsyncApiOperation {
  /** Whether it adds entries or reads them. */
  readonly action: "send" | "receive";
  /** The stream. */
  readonly channel: AsyncApiReference;
  /** What it is, in a few words. */
  readonly title?: string;
  /** What it does. */
  readonly description?: string;
  /** Those of the stream's messages that it sends or receives. */
  readonly messages: AsyncApiReference[];
  /** Where an answer goes. */
  readonly reply?: object;
  /** That it is by Redis; the binding has no properties. */
  readonly bindings: object;
  /** The group by which it shares the entries out. */
  readonly "x-redis-consumer-group"?: string;
}

/** A document of AsyncAPI 3.0.0. */
export interface AsyncApiDocument {
  /** The version of AsyncAPI. */
  readonly asyncapi: "3.0.0";
  /** Name and version of the application. */
  readonly info: {
    /** The application's name. */
    readonly title: string;
    /** The version of its interface. */
    readonly version: string;
    /** What it does. */
    readonly description?: string;
  };
  /** What a body is where its message does not say otherwise. */
  readonly defaultContentType: "application/json";
  /** Its streams. */
  readonly channels: Readonly<Record<string, AsyncApiChannel>>;
  /** What it does with them. */
  readonly operations: Readonly<Record<string, AsyncApiOperation>>;
  /** What is referred to. */
  readonly components: {
    /** The messages. */
    readonly messages: Readonly<Record<string, object>>;
    /** Their payloads. */
    readonly schemas: Readonly<Record<string, JsonSchema>>;
  };
}

/** The binding of Redis, which must not have any properties. */
const BINDINGS = { redis: {} };
/** What every message has beside its payload. */
const ENVELOPE = {
  headers: {
    type: "object",
    properties: {
      [CORRELATION_ID]: { type: "string", description: "What the message came of." },
      [REPLY_TO]: { type: "string", description: "Key of the stream where an answer is wanted." },
    },
  },
  correlationId: { location: `$message.header#/${CORRELATION_ID}` },
};

/**
 * Describe an application as a document of AsyncAPI 3.0.0: a channel for each stream, an operation for each stream that a
 * subscriber reads or a publisher adds to, and their messages with the schemas' payloads, as they are stored.
 *
 * What a handler returns is described by the publishers to the same stream, where there are some.
 *
 * @see https://www.asyncapi.com/docs/reference/specification/v3.0.0
 * @see https://github.com/asyncapi/bindings/blob/master/redis/README.md
 */
export function asyncApiDocument(source: AsyncApiSource): AsyncApiDocument {
  const { title, version, description, subscriptions, publications } = source;
  const draft = new Draft(source.jsonSchema ?? jsonSchemaOf);
  for (const subscription of subscriptions) {
    for (const stream of subscription.streams) draft.receive(stream, subscription);
  }
  for (const publication of publications) draft.send(publication);
  const known = new Set(publications.map(({ stream }) => stream));
  for (const { publishTo, title } of subscriptions) {
    if (publishTo === null || known.has(publishTo)) continue;
    known.add(publishTo);
    draft.send({ stream: publishTo, schema: null, title, description: null });
  }
  return {
    asyncapi: "3.0.0",
    info: { title, version, ...(description === undefined ? {} : { description }) },
    defaultContentType: "application/json",
    channels: draft.channels,
    operations: draft.operations,
    components: { messages: draft.messages, schemas: draft.schemas },
  };
}

/** A document that is being written. */
class Draft {
  readonly channels: Record<string, AsyncApiChannel> = {};
  readonly operations: Record<string, AsyncApiOperation> = {};
  readonly messages: Record<string, object> = {};
  readonly schemas: Record<string, JsonSchema> = {};
  readonly #jsonSchema: (schema: StandardSchemaV1) => JsonSchema | null;
  /** Names of channels by stream. */
  readonly #channels = new Map<string, string>();
  /** Names of messages by stream and payload. */
  readonly #messages = new Map<string, string>();

  constructor(jsonSchema: (schema: StandardSchemaV1) => JsonSchema | null) {
    this.#jsonSchema = jsonSchema;
  }

  receive(stream: string, { group, schema, isBatch, title, description }: Subscription): void {
    const of = group === null ? "" : `For${pascal(group)}`;
    this.#add(`receive${pascal(stream)}${of}`, {
      ...{ action: "receive", ...this.#subject(stream, schema), ...words(title, description) },
      ...(isBatch ? {} : { reply: { address: { location: `$message.header#/${REPLY_TO}` } } }),
      bindings: BINDINGS,
      ...(group === null ? {} : { "x-redis-consumer-group": group }),
    });
  }

  send({ stream, schema, title, description }: Publication): void {
    const subject = this.#subject(stream, schema);
    this.#add(`send${pascal(stream)}`, {
      ...{ action: "send", ...subject, ...words(title, description), bindings: BINDINGS },
    });
  }

  #add(name: string, operation: AsyncApiOperation): void {
    this.operations[free(name, this.operations)] = operation;
  }

  /** What an operation is on. */
  #subject(stream: string, schema: StandardSchemaV1 | null): Pick<AsyncApiOperation, "channel" | "messages"> {
    const channel = this.#channel(stream);
    const message = this.#message(stream, schema === null ? null : this.#jsonSchema(schema));
    this.channels[channel]!.messages[message] = { $ref: `#/components/messages/${message}` };
    const at = `#/channels/${channel}`;
    return { channel: { $ref: at }, messages: [{ $ref: `${at}/messages/${message}` }] };
  }

  #channel(stream: string): string {
    const known = this.#channels.get(stream);
    if (known !== undefined) return known;
    const name = free(camel(stream), this.channels);
    this.#channels.set(stream, name);
    this.channels[name] = { title: stream, ...addressOf(stream), messages: {}, bindings: BINDINGS };
    return name;
  }

  #message(stream: string, schema: JsonSchema | null): string {
    const key = `${stream}\0${JSON.stringify(schema)}`;
    const known = this.#messages.get(key);
    if (known !== undefined) return known;
    const { title } = schema ?? {};
    const name = free(pascal(typeof title === "string" && title !== "" ? title : stream), this.messages);
    this.#messages.set(key, name);
    const at = `#/components/schemas/${name}`;
    if (schema !== null) this.schemas[name] = rebased(schema, at);
    this.messages[name] = { name, ...ENVELOPE, payload: schema === null ? {} : { $ref: at } };
    return name;
  }
}

/**
 * A stream's key as an address, in which braces are parameters: a hash tag is one whose only value is the tag with its
 * braces.
 */
function addressOf(stream: string): Pick<AsyncApiChannel, "address" | "parameters"> {
  const parameters: Record<string, object> = {};
  const address = stream.replace(/\{[^{}]*\}|[{}]/g, (braces) => {
    const known = Object.keys(parameters).length;
    const name = `part${known + 1}`;
    parameters[name] = { enum: [braces], default: braces, description: "A part of the key, as it is." };
    return `{${name}}`;
  });
  return Object.keys(parameters).length === 0 ? { address } : { address, parameters };
}

function words(title: string | null, description: string | null): { title?: string; description?: string } {
  return { ...(title === null ? {} : { title }), ...(description === null ? {} : { description }) };
}

/** A name that is not taken yet: this one, or with a number. */
function free(name: string, taken: object): string {
  let one = name;
  for (let n = 2; Object.hasOwn(taken, one); n++) one = `${name}${n}`;
  return one;
}

/** A name of letters and digits: `orders:eu` is `OrdersEu`. */
function pascal(text: string): string {
  const words = text.split(/[^A-Za-z0-9]+/).filter((word) => word !== "");
  return words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join("") || "Stream";
}

function camel(text: string): string {
  const name = pascal(text);
  return name[0]!.toLowerCase() + name.slice(1);
}
