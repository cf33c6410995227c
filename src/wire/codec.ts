import { deserialize, serialize } from "node:v8";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { type DecodeIssue, InvalidArgumentError } from "../ground/errors.ts";
import { jsonOf } from "../ground/json.ts";

/** One field of an entry as it is stored. */
export interface RawField {
  /** The field's name, as UTF-8. */
  readonly name: string;
  /** The field's bytes; a view that is valid only while `decode` runs: copy what you keep. */
  readonly value: Buffer;
}

/** Fields to store, flat and in order: name, value, name, value, ... */
export type FlatFields = readonly (string | Uint8Array)[];

/**
 * How payloads become fields of an entry and back: `T` is what is read, `I` what may be added.
 *
 * @example
 * ```ts
 * import type { Codec } from "walrus-streams";
 *
 * const celsius: Codec<number> = {
 *   name: "celsius",
 *   encode: (degrees) => ["c", String(degrees)],
 *   decode: (fields) => Number(fields[0]?.value.toString()),
 * };
 * ```
 */
export interface Codec<T, I = T> {
  /** Its name in error texts. */
  readonly name: string;
  /** The fields to store, at least one. Throw to refuse a value. */
  encode(value: I): FlatFields;
  /** The value that the fields stand for, and where a reader has them the headers. Throw to refuse an entry. */
  decode(fields: readonly RawField[], headers?: Readonly<Record<string, string>>): T;
}

/** What the `text` codec reads: each field's text (the last one where a field repeats). */
export type TextRecord = Record<string, string>;
/** What the `text` codec takes. */
export type TextInput = Readonly<Record<string, string | number | bigint | boolean>>;
/** What may be added where `T` is read and nothing more is said: the same, but for text also numbers and booleans. */
export type InputOf<T> = [T, TextRecord] extends [TextRecord, T] ? TextInput : T;

/** Name of the field that carries headers; data cannot have it. */
export const HEADERS_FIELD = "@headers";

/**
 * Fields as text: `Record<string, string>`, the default.
 *
 * Takes strings, numbers, bigints and booleans; anything else is refused by the field's name. Fields keep their
 * order (whole-number names come first, as in any object); of a repeated field the last value is read. Use
 * {@link pairs} where order and repeats matter.
 */
export const text: Codec<TextRecord, TextInput> = {
  name: "text",
  encode(value) {
    const fields: string[] = [];
    for (const name of fieldNames(value)) {
      const field = value[name];
      switch (typeof field) {
        case "string":
          fields.push(name, field);
          break;
        case "number":
        case "bigint":
        case "boolean":
          fields.push(name, String(field));
          break;
        default:
          throw refused(name, "a string, number, bigint or boolean", field);
      }
    }
    return fields;
  },
  decode(fields) {
    const record: TextRecord = {};
    for (const { name, value } of fields) setOwn(record, name, value.toString());
    return record;
  },
};

/** Fields as bytes: reads `Record<string, Buffer>` (copies), takes `Uint8Array` and strings. */
export const bytes: Codec<Record<string, Buffer>, Readonly<Record<string, Uint8Array | string>>> = {
  name: "bytes",
  encode(value) {
    const fields: (string | Uint8Array)[] = [];
    for (const name of fieldNames(value)) {
      const field = value[name];
      if (typeof field !== "string" && !(field instanceof Uint8Array))
        throw refused(name, "bytes or a string", field);
      fields.push(name, field);
    }
    return fields;
  },
  decode(fields) {
    const record: Record<string, Buffer> = {};
    for (const { name, value } of fields) setOwn(record, name, Buffer.from(value));
    return record;
  },
};

/** One field of a {@link pairs} payload. */
export interface Pair {
  /** The field's name. */
  readonly name: string;
  /** The field's text. */
  readonly value: string;
}

/** One field that {@link pairs} takes. */
export interface PairInput {
  /** The field's name. */
  readonly name: string;
  /** The field's value. */
  readonly value: string | number | bigint | boolean;
}

/** Fields as a list of `{ name, value }`, in the order and with the repeats that Redis keeps. */
export const pairs: Codec<Pair[], readonly PairInput[]> = {
  name: "pairs",
  encode(value) {
    if (!Array.isArray(value)) throw new InvalidArgumentError("data", "a list of { name, value }", value);
    return value.flatMap((pair, index) => {
      if (typeof pair?.name !== "string")
        throw new InvalidArgumentError(`data[${index}].name`, "a string", pair?.name);
      return text.encode({ [pair.name]: pair.value });
    });
  },
  decode: (fields) => fields.map(({ name, value }) => ({ name, value: value.toString() })),
};

/**
 * The value as JSON in one field, `json`.
 *
 * @throws InvalidArgumentError on add for what JSON cannot hold (`undefined`, a function, a bigint, a cycle).
 */
export function json<T = unknown>(): Codec<T> {
  return {
    name: "json",
    encode(value) {
      let encoded: string | undefined;
      try {
        encoded = JSON.stringify(value);
      } catch (cause) {
        throw new InvalidArgumentError("data", "a value that JSON can hold", value, { cause });
      }
      if (encoded === undefined) throw new InvalidArgumentError("data", "a value that JSON can hold", value);
      return ["json", encoded];
    },
    decode: (fields) => JSON.parse(onlyField(fields, "json").toString()) as T,
  };
}

/**
 * The value by structured clone (`node:v8`) in one field, `v8`: Map, Set, Date, BigInt, typed arrays and cycles.
 *
 * @throws InvalidArgumentError on add for what cannot be cloned (functions, symbols).
 * @see https://nodejs.org/api/v8.html#serialization-api
 */
export function structured<T = unknown>(): Codec<T> {
  return {
    name: "structured",
    encode(value) {
      try {
        return ["v8", serialize(value)];
      } catch (cause) {
        throw new InvalidArgumentError("data", "a value that can be cloned", value, { cause });
      }
    },
    decode: (fields) => deserialize(Buffer.from(onlyField(fields, "v8"))) as T,
  };
}

/** The bytes of a codec's one field. */
export function onlyField(fields: readonly RawField[], name: string): Buffer {
  const field = fields.findLast((candidate) => candidate.name === name);
  if (field === undefined) throw new Error(`there is no field ${JSON.stringify(name)}`);
  return field.value;
}

/** Any codec, whatever it reads and takes. */
export type AnyCodec = Codec<unknown, never>;

/** How a container's payloads are written and read. */
export interface PayloadOptions<T, I> {
  /** Fields to values and back. @defaultValue {@link text} */
  readonly codec?: Codec<T, I> | undefined;
  /** A Standard Schema (zod, valibot, arktype): judges what is added, and gives the type of what is read. */
  readonly schema?: undefined;
}

/** How payloads are written and read where a schema gives their types. */
export interface SchemaOptions<T, I> {
  /** Fields to values and back. @defaultValue {@link text} */
  readonly codec?: AnyCodec | undefined;
  /** A Standard Schema (zod, valibot, arktype): judges what is added, and gives the type of what is read. */
  readonly schema: StandardSchemaV1<I, T>;
}

/** Why an entry's payload was refused; the reader adds which entry it was. */
export class PayloadIssues extends Error {
  /** What is wrong. */
  readonly issues: readonly DecodeIssue[];

  /** Keep the issues. */
  constructor(issues: readonly DecodeIssue[]) {
    super(issues[0]?.message ?? "refused");
    this.issues = issues;
  }
}

/** What is wrong with an entry, by what was thrown while it was decoded. */
export function issuesOf(error: unknown): readonly DecodeIssue[] {
  return error instanceof PayloadIssues ? error.issues : [{ message: String(error) }];
}

/** How one container's payloads are written and read: its codec and, where given, its schema. */
export class Payload<T, I> {
  readonly #codec: Codec<unknown, unknown>;
  readonly #schema: StandardSchemaV1 | undefined;
  /** Whether a reader may build the text record itself, straight from the bytes. */
  readonly isPlainText: boolean;

  /** Join a codec and a schema; the options are checked here. */
  constructor(
    codec: Codec<unknown, unknown> = text as Codec<unknown, unknown>,
    schema?: StandardSchemaV1<I, T>,
  ) {
    if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
      throw new InvalidArgumentError("codec", "an object with encode and decode", codec);
    }
    assertSchema(schema);
    this.#codec = codec;
    this.#schema = schema;
    this.isPlainText = codec === (text as Codec<unknown, unknown>) && schema === undefined;
  }

  /**
   * The fields of a value and its headers.
   *
   * A schema only judges here: the value is stored as given (the schema's input), so that reading can apply its
   * transforms and defaults once.
   */
  encode(value: I, headers?: Readonly<Record<string, string>>): FlatFields | Promise<FlatFields> {
    const judged = this.#schema === undefined ? undefined : judge(this.#schema, value);
    if (judged instanceof Promise) return judged.then(() => this.#fields(value, headers));
    return this.#fields(value, headers);
  }

  /**
   * The value of an entry's fields, with its headers for a codec that goes by them; a promise only where the schema gives
   * one. Throws {@link PayloadIssues}.
   */
  decode(fields: readonly RawField[], headers?: Readonly<Record<string, string>>): T | Promise<T> {
    let value: unknown;
    try {
      value = this.#codec.decode(fields, headers);
    } catch (cause) {
      throw new PayloadIssues([{ message: cause instanceof Error ? cause.message : String(cause) }]);
    }
    return this.#schema === undefined
      ? (value as T)
      : parsed(this.#schema as StandardSchemaV1<unknown, T>, value);
  }

  #fields(value: I, headers?: Readonly<Record<string, string>>): FlatFields {
    const fields = this.#codec.encode(value);
    if (fields.length === 0) throw new InvalidArgumentError("data", "at least one field", value);
    if (fields.length % 2 !== 0) {
      throw new InvalidArgumentError(
        `codec ${this.#codec.name}`,
        "one that gives names and values in pairs",
        fields,
      );
    }
    for (let i = 0; i < fields.length; i += 2) {
      if (fields[i] === HEADERS_FIELD)
        throw refused(HEADERS_FIELD, "another name: this one is reserved", fields[i + 1]);
    }
    if (headers === undefined) return fields;
    const encoded = encodeHeaders(headers);
    return encoded === null ? fields : [...fields, HEADERS_FIELD, encoded];
  }
}

/** No headers: one object for all messages that have none. */
export const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze({});

/** The headers that were read last: many entries in a row have the same. Long ones are not kept. */
let last: { readonly text: string; readonly headers: Readonly<Record<string, string>> } = {
  text: "{}",
  headers: NO_HEADERS,
};
const LONG = 1000;

/** Read the reserved field: a JSON object of texts, frozen. Throws {@link PayloadIssues}. */
export function decodeHeaders(value: string): Readonly<Record<string, string>> {
  if (value === last.text) return last.headers;
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch {}
  if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) {
    throw new PayloadIssues([{ message: "the headers are not a JSON object", path: [HEADERS_FIELD] }]);
  }
  const headers: Record<string, string> = {};
  for (const [name, header] of Object.entries(parsed)) {
    setOwn(headers, name, typeof header === "string" ? header : jsonOf(header));
  }
  Object.freeze(headers);
  if (value.length < LONG) last = { text: value, headers };
  return headers;
}

/** Set an own property, also where its name is `__proto__`. */
export function setOwn<V>(record: Record<string, V>, name: string, value: V): void {
  if (name === "__proto__") {
    Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    record[name] = value;
  }
}

function encodeHeaders(headers: Readonly<Record<string, string>>): string | null {
  if (headers === null || typeof headers !== "object" || Array.isArray(headers) || headers instanceof Map) {
    throw new InvalidArgumentError("headers", "an object of strings", headers);
  }
  const names = Object.keys(headers);
  for (const name of names) {
    if (typeof headers[name] !== "string")
      throw new InvalidArgumentError(`headers.${name}`, "a string", headers[name]);
  }
  return names.length === 0 ? null : JSON.stringify(headers);
}

function fieldNames(value: unknown): string[] {
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    throw new InvalidArgumentError("data", "an object of fields", value);
  }
  const names = Object.keys(value);
  if (names.length === 0) throw new InvalidArgumentError("data", "an object with at least one field", value);
  return names;
}

function refused(name: string, rule: string, value: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`data[${JSON.stringify(name)}]`, rule, value);
}

/** Check an optional schema at the door. */
export function assertSchema(schema: unknown): void {
  const { validate } = (schema as StandardSchemaV1 | null | undefined)?.["~standard"] ?? {};
  if (schema !== undefined && typeof validate !== "function")
    throw new InvalidArgumentError("schema", "a Standard Schema", schema);
}

/** What a schema makes of a value that was read; a promise only where it gives one. Throws {@link PayloadIssues}. */
export function parsed<T>(schema: StandardSchemaV1<unknown, T>, value: unknown): T | Promise<T> {
  const verdict = schema["~standard"].validate(value);
  return verdict instanceof Promise ? verdict.then(accepted<T>) : accepted<T>(verdict);
}

/** Have a schema judge a value that is to be sent; a promise only where it gives one. Throws InvalidArgumentError. */
export function judge(schema: StandardSchemaV1, value: unknown): void | Promise<void> {
  const accept = ({ issues }: StandardSchemaV1.Result<unknown>): void => {
    const issue = issues?.[0];
    if (issue === undefined) return;
    const path = toIssue(issue).path ?? [];
    const name = ["data", ...path].map(String).join(".");
    const refused = path.reduce<unknown>((at, segment) => (at as never)?.[segment], value);
    throw new InvalidArgumentError(name, `as the schema says (${issue.message})`, refused, { cause: issues });
  };
  const verdict = schema["~standard"].validate(value);
  return verdict instanceof Promise ? verdict.then(accept) : accept(verdict);
}

function accepted<T>(result: StandardSchemaV1.Result<unknown>): T {
  if (result.issues) throw new PayloadIssues(result.issues.map(toIssue));
  return result.value as T;
}

function toIssue(issue: StandardSchemaV1.Issue): DecodeIssue {
  if (!issue.path) return { message: issue.message };
  return {
    message: issue.message,
    path: issue.path.map((segment) => (typeof segment === "object" ? segment.key : segment)),
  };
}
