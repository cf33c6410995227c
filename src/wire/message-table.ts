import type { Columns } from "../ground/display.ts";

/** What a row is made of; every message has it. */
export interface Shown {
  /** Key of the stream. */
  readonly stream: string;
  /** The entry id. */
  readonly id: string;
  /** The millisecond part of the id. */
  readonly timestamp: Date;
  /** The payload. */
  readonly data: unknown;
  /** What travels beside the payload. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A column beside the message's own: its head, and its value for a message. */
export interface Fact<M> {
  /** The column's head. */
  readonly head: string;
  /** The value for a message. */
  readonly of: (message: M) => unknown;
}

/** Columns for more fields than these would not be read by anybody. */
const MOST_FIELDS = 16;

/**
 * Messages as rows: id and time, the stream where there are several, facts of their kind, then the fields of the data,
 * each under its name; data that is no record has one column.
 */
export function messageColumns<M extends Shown>(
  messages: readonly M[],
  facts: readonly Fact<M>[] = [],
): Columns {
  const streams = new Set(messages.map(({ stream }) => stream));
  const columns: Fact<M>[] = [
    { head: "id", of: ({ id }) => id },
    { head: "time", of: ({ timestamp }) => timestamp },
    ...(streams.size > 1 ? [{ head: "stream", of: ({ stream }: M) => stream }] : []),
    ...facts,
  ];
  const own = new Set(columns.map(({ head }) => head));
  if (messages.every(({ data }) => isRecord(data))) {
    const fields = [...new Set(messages.flatMap(({ data }) => Object.keys(data as object)))];
    for (const field of fields.slice(0, MOST_FIELDS)) {
      const head = own.has(field) ? `data.${field}` : field;
      columns.push({
        head,
        of: ({ data }) =>
          Object.hasOwn(data as object, field) ? (data as Record<string, unknown>)[field] : undefined,
      });
    }
    const more = fields.length - MOST_FIELDS;
    if (more > 0) columns.push({ head: `${more} more fields`, of: () => "…" });
  } else columns.push({ head: "data", of: ({ data }) => data });
  const hasHeaders = ({ headers }: M): boolean => Object.keys(headers).length > 0;
  if (messages.some(hasHeaders))
    columns.push({ head: "headers", of: (message) => (hasHeaders(message) ? message.headers : null) });
  return {
    heads: columns.map(({ head }) => head),
    rows: messages.map((message) => columns.map(({ of }) => of(message))),
  };
}

/** Whether a payload is fields by name, and not a list, a date, bytes or the like. */
function isRecord(data: unknown): boolean {
  if (data === null || typeof data !== "object") return false;
  const prototype = Object.getPrototypeOf(data);
  return prototype === Object.prototype || prototype === null;
}
