import { DecodeError, type DecodeIssue } from "../../ground/errors.ts";
import { type Codec, json, type RawField, text } from "../../wire/codec.ts";
import { CONTENT_TYPE } from "./headers.ts";

/**
 * The body of an entry that does not decode, in place of its data: one bad body does not sink what was read with it.
 *
 * Middleware sees it; handlers do not, since the message fails with a `DecodeError`.
 */
export class Undecodable {
  /** The body as it is stored. */
  readonly fields: Readonly<Record<string, Buffer>>;
  /** What is wrong with it. */
  readonly issues: readonly DecodeIssue[];

  /** Keep what was read, and why it cannot be used. */
  constructor(fields: Readonly<Record<string, Buffer>>, issues: readonly DecodeIssue[]) {
    this.fields = fields;
    this.issues = issues;
  }
}

/** Names under which a body of one field is looked for in an entry that says nothing of its content. */
const BODIES: ReadonlySet<string> = new Set(["json", "data", "payload", "body", "message"]);
const JSON_TYPE = /^application\/(?:[^;]*\+)?json\b/i;
const JSONS = json();

/**
 * The content of an app's messages: values as JSON in the field `json`, strings in `text`, bytes in `bytes`.
 *
 * Read by the header `content-type`: JSON for `application/json` and `application/...+json`, a string for `text/...`,
 * bytes for the rest. An entry without that header is the JSON of its one field, where that is an object or an array in
 * a field `json`, `data`, `payload`, `body` or `message`; else its fields, as text.
 */
export const content: Codec<unknown> = {
  name: "content",
  encode(value) {
    if (typeof value === "string") return ["text", value];
    if (value instanceof Uint8Array) return ["bytes", value];
    return JSONS.encode(value);
  },
  decode(fields, headers) {
    const type = headers?.[CONTENT_TYPE];
    if (type === undefined) return foreign(fields);
    const body = bodyOf(fields);
    if (body === undefined) return text.decode(fields);
    // Most are; what is not exactly this is looked at.
    if (type === "application/json" || JSON_TYPE.test(type)) return parse(body);
    return /^text\//i.test(type) ? body.value.toString() : Buffer.from(body.value);
  },
};

/** What the header `content-type` says of a value. */
export function contentType(value: unknown): string {
  if (typeof value === "string") return "text/plain";
  return value instanceof Uint8Array ? "application/octet-stream" : "application/json";
}

/** Why the body of a message is refused: by what was read, or by a schema. */
export function refusalOf(
  message: { readonly stream: string; readonly id: string; readonly data: unknown },
  issues: readonly DecodeIssue[],
): DecodeError {
  const { stream, id, data } = message;
  const fields = data instanceof Undecodable ? data.fields : fieldsOf(data);
  return new DecodeError({ stream, id, fields }, issues);
}

function bodyOf(fields: readonly RawField[]): RawField | undefined {
  if (fields.length === 1) return fields[0];
  return fields.find(({ name }) => name === "json" || name === "text" || name === "bytes");
}

function parse(body: RawField): unknown {
  const written = body.value.toString();
  try {
    return JSON.parse(written);
  } catch (error) {
    const issue = { message: (error as Error).message, path: [body.name] };
    return new Undecodable({ [body.name]: Buffer.from(body.value) }, [issue]);
  }
}

/** What another kind of producer has written. */
function foreign(fields: readonly RawField[]): unknown {
  const [field] = fields;
  if (fields.length === 1 && BODIES.has(field!.name)) {
    const written = field!.value.toString();
    try {
      if (/^\s*[[{]/.test(written)) return JSON.parse(written);
    } catch {
      // A text that begins so.
    }
  }
  return text.decode(fields);
}

/** Fields that hold a value that was read; not always as they are stored. */
function fieldsOf(data: unknown): Record<string, Buffer> {
  const [name, value] = content.encode(data);
  return { [String(name)]: Buffer.from(value!) };
}
