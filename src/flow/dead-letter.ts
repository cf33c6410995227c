import { DEAD_FIELD } from "../connection/scripts.ts";
import type { DeathNote } from "../containers/deliveries.ts";
import { printable, tabular } from "../ground/display.ts";
import { DecodeError, type DecodeIssue } from "../ground/errors.ts";
import { legible } from "../ground/table.ts";
import { HEADERS_FIELD, issuesOf, NO_HEADERS, Payload, type RawField, setOwn } from "../wire/codec.ts";
import { Message, type MessageJson } from "../wire/message.ts";
import { MessageList } from "../wire/message-list.ts";
import { type Fact, messageColumns } from "../wire/message-table.ts";

/** Header that counts how often an entry was moved back from the dead letters. */
export const REDRIVES = "redrives";
/** Header that names the group for which an entry was moved back: workers of other groups skip it. */
export const REDRIVE_GROUP = "redrive-group";

/** Where a dead letter comes from. */
export interface DeadLetterOrigin {
  /** Key of the stream it was in, without `keyPrefix`. */
  readonly stream: string;
  /** The group that gave it up. */
  readonly group: string;
  /** Its id in that stream. */
  readonly id: string;
  /** The consumer that gave it up. */
  readonly consumer: string;
  /** How often it had been delivered. */
  readonly deliveries: number;
}

/** Why an entry became a dead letter; each text is cut after 4,096 characters. */
export interface DeadLetterCause {
  /** The error's name, such as `"TypeError"`. */
  readonly name: string;
  /** Its message. */
  readonly message: string;
  /** Its stack; empty where it had none. */
  readonly stack: string;
}

/** A dead letter as a plain object. */
export interface DeadLetterJson<T> extends MessageJson<T | null> {
  /** Where it comes from. */
  readonly origin: DeadLetterOrigin | null;
  /** Why it died. */
  readonly error: DeadLetterCause | null;
  /** When it died. */
  readonly time: Date | null;
  /** How often it was moved back before. */
  readonly redrives: number;
  /** Why there is no data, in words. */
  readonly decodeError: string | null;
}

/** What is known of a death; all of it or nothing. */
export interface Death {
  /** Where it was. */
  readonly origin: DeadLetterOrigin;
  /** Why. */
  readonly error: DeadLetterCause;
  /** When, by the server's clock. */
  readonly time: Date;
}

/** An entry of a dead-letter stream before its payload is decoded. */
export interface StoredLetter {
  /** Its id in the dead-letter stream. */
  readonly id: string;
  /** The payload's fields, copied. */
  readonly fields: readonly RawField[];
  /** Its headers; none where they are malformed. */
  readonly headers: Readonly<Record<string, string>>;
  /** What is wrong with the headers; `null` where they are as they should be. */
  readonly issues: readonly DecodeIssue[] | null;
  /** What its `@dead` field says; `null` where there is none or it is malformed. */
  readonly death: Death | null;
}

/**
 * An entry of a dead-letter stream: a message that was given up, with where it was and why.
 *
 * It is shown whatever is wrong with it. An entry that no worker put there (its `@dead` field is missing or malformed)
 * has no `origin`, `error` and `time`.
 *
 * @example
 * ```ts
 * import { Database, DeadLetters } from "walrus-streams";
 *
 * await using db = new Database();
 * for (const letter of await new DeadLetters(db, "{orders}:dead").range()) {
 *   console.log(letter.time, letter.origin?.id, letter.error?.message);
 *   if (letter.data === null) console.log(letter.decodeError?.message, letter.fields);
 * }
 * ```
 */
export class DeadLetter<T> extends Message<T | null> {
  /** Where it comes from; `null` where that is not known. */
  readonly origin: DeadLetterOrigin | null;
  /** Why it died; `null` where that is not known. */
  readonly error: DeadLetterCause | null;
  /** When it died, by the server's clock; `null` where that is not known. */
  readonly time: Date | null;
  /** The payload as it is stored, name to bytes (the last one where a name repeats). */
  readonly fields: Readonly<Record<string, Buffer>>;
  /** Why `data` is `null`; `null` where the entry decoded. */
  readonly decodeError: DecodeError | null;

  /** {@link DeadLetters} makes these. @internal */
  constructor(stream: string, stored: StoredLetter, data: T | null, issues: readonly DecodeIssue[] | null) {
    super(stream, stored.id, data, stored.headers);
    const fields: Record<string, Buffer> = {};
    for (const { name, value } of stored.fields) setOwn(fields, name, value);
    this.origin = stored.death?.origin ?? null;
    this.error = stored.death?.error ?? null;
    this.time = stored.death?.time ?? null;
    this.fields = fields;
    this.decodeError = issues && new DecodeError({ stream, id: stored.id, fields }, issues);
  }

  /** How often it was moved back before and died again, by its header `redrives`. */
  get redrives(): number {
    return redrivesOf(this.headers);
  }

  /** A plain object for `JSON.stringify`. */
  override toJSON(): DeadLetterJson<T> {
    const { origin, error, time, redrives, decodeError } = this;
    return {
      ...super.toJSON(),
      ...{ origin, error, time, redrives, decodeError: decodeError?.message ?? null },
    };
  }
}

// `<DeadLetter {orders}:dead 9-0 { total: 'x' } of orders 5-0, given up by billing after 5 deliveries: TypeError: no total>`
printable(DeadLetter, ({ stream, id, data, fields, decodeError, origin, error }, inspect) => {
  const payload = decodeError === null ? inspect(data) : `undecodable ${inspect(fields)}`;
  const from =
    origin === null
      ? "of unknown origin"
      : `of ${origin.stream} ${origin.id}, given up by ${origin.group} after ${origin.deliveries} deliveries`;
  const why = error === null ? "" : `: ${error.name}: ${error.message}`;
  return `<DeadLetter ${legible(stream)} ${id} ${payload} ${legible(from + why)}>`;
});
const FACTS: readonly Fact<DeadLetter<unknown>>[] = [
  { head: "of", of: ({ origin }) => origin && `${origin.stream} ${origin.id}` },
  { head: "group", of: ({ origin }) => origin?.group },
  { head: "deliveries", of: ({ origin }) => origin?.deliveries },
  { head: "redrives", of: ({ redrives }) => redrives },
  {
    head: "error",
    of: ({ error, decodeError }) => (error ? `${error.name}: ${error.message}` : decodeError),
  },
];
tabular(
  DeadLetter,
  (letters) => messageColumns(letters, FACTS),
  ({ stream, id }) => `Dead letter ${id} of ${stream}`,
);

/** How often an entry was moved back, by its headers; 0 where they do not say so. */
export function redrivesOf(headers: Readonly<Record<string, string>>): number {
  const { [REDRIVES]: count = "0" } = headers;
  return /^\d{1,15}$/.test(count) ? Number(count) : 0;
}

/** Reads an entry's fields as they are stored. */
const AS_STORED = new Payload<readonly RawField[], never>({
  name: "stored",
  encode: () => [],
  decode: (fields) => fields.map(({ name, value }) => ({ name, value: Buffer.from(value) })),
});

/** A list for entries of a dead-letter stream, none of which is decoded yet. */
export function storedList(key: string): MessageList<readonly RawField[], StoredLetter> {
  return new MessageList(key, AS_STORED, (id, fields, headers) => storedLetter(id, fields, headers, null));
}

/** The entries of such a list, in order, those with malformed headers too. */
export async function storedLetters(
  list: MessageList<readonly RawField[], StoredLetter>,
): Promise<StoredLetter[]> {
  return (await list.outcomes()).map((entry) => {
    if (!(entry instanceof DecodeError)) return entry;
    const fields = Object.entries(entry.fields as Record<string, Buffer>);
    const named = fields.flatMap(([name, value]) => (name === HEADERS_FIELD ? [] : [{ name, value }]));
    return storedLetter(entry.id, named, NO_HEADERS, entry.issues);
  });
}

/** Decode an entry's payload; never throws, and a promise only where the schema gives one. */
export function decoded<T>(
  key: string,
  payload: Payload<T, never>,
  stored: StoredLetter,
): DeadLetter<T> | Promise<DeadLetter<T>> {
  const accept = (data: T) => new DeadLetter<T>(key, stored, data, null);
  const refuse = (error: unknown) => new DeadLetter<T>(key, stored, null, issuesOf(error));
  if (stored.issues !== null) return new DeadLetter<T>(key, stored, null, stored.issues);
  try {
    const data = payload.decode(stored.fields, stored.headers);
    return data instanceof Promise ? data.then(accept, refuse) : accept(data);
  } catch (error) {
    return refuse(error);
  }
}

function storedLetter(
  id: string,
  all: readonly RawField[],
  headers: Readonly<Record<string, string>>,
  issues: readonly DecodeIssue[] | null,
): StoredLetter {
  const note = all.findLast(({ name }) => name === DEAD_FIELD);
  const fields = all.filter(({ name }) => name !== DEAD_FIELD);
  return { id, fields, headers, issues, death: note === undefined ? null : deathOf(note.value.toString()) };
}

/** What a `@dead` field says; `null` where it is not what `bury` writes. */
function deathOf(text: string): Death | null {
  let note: Partial<DeathNote & { time: number }> | null;
  try {
    note = JSON.parse(text);
  } catch {
    return null;
  }
  const { stream, group, id, consumer, deliveries, time } = note ?? {};
  const { name, message, stack } = note?.error ?? {};
  if (!isText(stream) || stream === "" || !isText(group) || !isText(consumer)) return null;
  if (!isText(id) || !/^\d+-\d+$/.test(id)) return null;
  if (!isText(name) || !isText(message) || !isText(stack)) return null;
  if (!isCount(deliveries) || !isCount(time) || time > LAST_TIME) return null;
  return {
    origin: { stream, group, id, consumer, deliveries },
    error: { name, message, stack },
    time: new Date(time),
  };
}

/** The last moment a `Date` can hold. */
const LAST_TIME = 8.64e15;

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
