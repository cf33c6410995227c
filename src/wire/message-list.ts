import { DecodeError } from "../ground/errors.ts";
import {
  decodeHeaders,
  HEADERS_FIELD,
  issuesOf,
  NO_HEADERS,
  type Payload,
  PayloadIssues,
  type RawField,
  setOwn,
} from "./codec.ts";

/** Makes one kind of message from what was read of an entry; a method's type, so that lists of any payload mix. */
export type MessageMaker<T, M> = {
  make(id: string, data: T, headers: Readonly<Record<string, string>>): M;
}["make"];

/**
 * Collects the messages of one stream from one reply: decoded ones in order, and what would not decode.
 *
 * Entries come in by {@link MessageList.text} from the fast path or by {@link MessageList.fields}.
 */
export class MessageList<T, M> {
  /** Whether the reader may give text records. */
  readonly takesText: boolean;
  /** How many entries came in, decoded or not, the deleted ones too. */
  count = 0;
  /** Id of the last entry that came in. */
  lastId: string | null = null;
  /** Key of the stream, without `keyPrefix`. */
  readonly stream: string;
  readonly #payload: Payload<T, never>;
  readonly #make: MessageMaker<T, M>;
  readonly #messages: M[] = [];
  #waiting: Promise<void>[] | null = null;
  #holes: { index: number; error: DecodeError }[] | null = null;

  /** Collect for a stream, by its payload and its kind of message. */
  constructor(stream: string, payload: Payload<T, never>, make: MessageMaker<T, M>) {
    this.stream = stream;
    this.#payload = payload;
    this.#make = make;
    this.takesText = payload.isPlainText;
  }

  /**
   * Take an entry whose fields are a text record already; `headers` is the reserved field's text.
   *
   * False, and nothing taken, where the headers do not decode: then {@link MessageList.fields} is to refuse the entry,
   * with its bytes as they are stored.
   */
  text(id: string, data: Record<string, string>, headers: string | null): boolean {
    let read = NO_HEADERS;
    try {
      if (headers !== null) read = decodeHeaders(headers);
    } catch {
      return false;
    }
    this.count++;
    this.lastId = id;
    this.#messages.push(this.#make(id, data as T, read));
    return true;
  }

  /** Take an entry that is pending but deleted from the stream: there is nothing left to give. */
  deleted(id: string): void {
    this.count++;
    this.lastId = id;
  }

  /** Take an entry that is larger than a reader may hold: all that is known of it is its id. */
  tooLarge(id: string): void {
    this.deleted(id);
    this.#refuse(id, [], TOO_LARGE);
  }

  /** Take an entry's raw fields; views into a buffer that may change after the call. */
  fields(id: string, fields: readonly RawField[]): void {
    this.count++;
    this.lastId = id;
    try {
      const at = fields.findLastIndex((field) => field.name === HEADERS_FIELD);
      const headers = at < 0 ? NO_HEADERS : decodeHeaders(fields[at]!.value.toString());
      const data = this.#payload.decode(at < 0 ? fields : withoutHeaders(fields, at), headers);
      if (data instanceof Promise) this.#await(id, fields, headers, data);
      else this.#messages.push(this.#make(id, data, headers));
    } catch (error) {
      this.#refuse(id, fields, error);
    }
  }

  /**
   * All messages, in order.
   *
   * @throws DecodeError for the first entry that was refused; its `decoded` holds the others.
   */
  messages(): M[] | Promise<M[]> {
    if (this.#waiting === null) return this.#settled();
    return Promise.all(this.#waiting).then(() => this.#settled());
  }

  /** All messages, in order, with what was refused in its place. */
  outcomes(): (M | DecodeError)[] | Promise<(M | DecodeError)[]> {
    if (this.#waiting === null) return this.#mixed();
    return Promise.all(this.#waiting).then(() => this.#mixed());
  }

  #mixed(): (M | DecodeError)[] {
    if (this.#holes === null) return this.#messages;
    const mixed: (M | DecodeError)[] = [...this.#messages];
    for (const { index, error } of this.#holes) mixed[index] = error;
    return mixed;
  }

  #settled(): M[] {
    if (this.#holes === null) return this.#messages;
    const holes = this.#holes.sort((a, b) => a.index - b.index);
    const refused = new Set(holes.map((hole) => hole.index));
    const { stream, id, fields, issues } = holes[0]!.error;
    const decoded = this.#messages.filter((_, index) => !refused.has(index));
    throw new DecodeError({ stream, id, fields }, issues, { decoded });
  }

  #await(
    id: string,
    fields: readonly RawField[],
    headers: Readonly<Record<string, string>>,
    data: Promise<T>,
  ): void {
    const index = this.#messages.push(undefined as M) - 1;
    const kept = fields.map(({ name, value }) => ({ name, value: Buffer.from(value) }));
    this.#waiting ??= [];
    this.#waiting.push(
      data.then(
        (value) => {
          this.#messages[index] = this.#make(id, value, headers);
        },
        (error) => this.#refuse(id, kept, error, index),
      ),
    );
  }

  #refuse(id: string, fields: readonly RawField[], error: unknown, index?: number): void {
    const raw: Record<string, Buffer> = {};
    for (const { name, value } of fields) setOwn(raw, name, Buffer.from(value));
    this.#holes ??= [];
    this.#holes.push({
      index: index ?? this.#messages.push(undefined as M) - 1,
      error: new DecodeError({ stream: this.stream, id, fields: raw }, issuesOf(error)),
    });
  }
}

/** What is wrong with an entry of which too many bytes come. */
const TOO_LARGE: PayloadIssues = new PayloadIssues([{ message: "it is larger than maxEntrySize" }]);

/** The payload's fields; the last headers, which count, are at `at`: mostly alone, and at the end. */
function withoutHeaders(fields: readonly RawField[], at: number): readonly RawField[] {
  if (at === 1 && fields.length === 2 && fields[0]!.name !== HEADERS_FIELD) return [fields[0]!];
  return fields.filter(({ name }) => name !== HEADERS_FIELD);
}
