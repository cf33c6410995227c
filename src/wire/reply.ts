import { ProtocolError } from "../ground/errors.ts";
import { HEADERS_FIELD, type RawField, setOwn } from "./codec.ts";
import type { MessageList } from "./message-list.ts";
import { ARRAY, BULK, type Decoder, ERROR, ErrorReply, INCOMPLETE, type Inbox, NULL } from "./resp.ts";

/**
 * Field names as they were seen last, by their position in the entry.
 *
 * Entries of one stream mostly repeat their field names: bytes that equal the last entry's name at the same
 * position give the same string without decoding it again.
 */
class NameMemory {
  readonly #bytes: Buffer[] = [];
  readonly #names: string[] = [];

  at(position: number, bytes: Buffer, start: number, end: number): string {
    const known = this.#bytes[position];
    const length = end - start;
    if (known !== undefined && known.length === length) {
      let i = 0;
      while (i < length && known[i] === bytes[start + i]) i++;
      if (i === length) return this.#names[position]!;
    }
    const name = bytes.toString("utf8", start, end);
    if (position < 64) {
      this.#bytes[position] = Buffer.from(bytes.subarray(start, end));
      this.#names[position] = name;
    }
    return name;
  }
}

/**
 * Decodes the entries of one stream: the reply of `XRANGE`, or one stream's part of `XREAD`.
 *
 * ```text
 * *2                                  entries
 *   *2  $15 1514872800000-0           entry: its id
 *       *4  $4 temp  $3 7.1  ...      names and values, or *-1 where a pending entry was deleted
 *   *2  ...
 * ```
 * @see https://redis.io/docs/latest/commands/xrange/
 */
export class EntriesDecoder<T, M> implements Decoder<MessageList<T, M> | ErrorReply> {
  readonly #list: MessageList<T, M>;
  readonly #names = new NameMemory();
  readonly #most: number;
  #error: ErrorReply | null = null;
  /** Entries still to come; -1 before the header. */
  #left = -1;
  /** Whether the entry that is under way is too large, and dropped as it comes. */
  #isSkipping = false;

  /** Decode into a list at most so many entries. */
  constructor(list: MessageList<T, M>, most: number = Number.POSITIVE_INFINITY) {
    this.#list = list;
    this.#most = most;
  }

  /** Read how many entries there are: the number, 0 for an error, or {@link INCOMPLETE}. */
  begin(inbox: Inbox): number {
    if (this.#left < 0) {
      const head = listHead(inbox);
      if (head === INCOMPLETE) return INCOMPLETE;
      if (head instanceof ErrorReply) this.#error = head;
      else if (head > this.#most) throw tooMany(head, "entries");
      this.#left = head instanceof ErrorReply ? 0 : Math.max(head, 0);
    }
    return this.#left;
  }

  decode(inbox: Inbox): boolean {
    if (this.begin(inbox) === INCOMPLETE) return false;
    while (this.#left > 0) {
      if (!this.#isSkipping && !inbox.whole()) {
        if (inbox.excess <= 1) return false;
        this.#isSkipping = true;
        this.#list.tooLarge(entryId(inbox) ?? endless());
      }
      if (this.#isSkipping) {
        if (!inbox.skip()) return false;
        this.#isSkipping = false;
        this.#left--;
        continue;
      }
      const start = inbox.at;
      const isRead = this.#list.takesText ? this.#textEntry(inbox) : this.#rawEntry(inbox);
      if (!isRead) {
        inbox.walk(start);
        continue;
      }
      this.#left--;
    }
    return true;
  }

  result(): MessageList<T, M> | ErrorReply {
    return this.#error ?? this.#list;
  }

  /** The fast path: straight to a record of texts. False where the entry is cut. */
  #textEntry(inbox: Inbox): boolean {
    const start = inbox.at;
    const id = entryId(inbox);
    if (id === null) return false;
    const count = this.#fieldCount(inbox, id);
    if (count < 0) return count === NULL;
    const record: Record<string, string> = {};
    let headers: string | null = null;
    for (let position = 0; position < count; position += 2) {
      const nameEnd = text(inbox);
      if (nameEnd < 0) return false;
      const name = this.#names.at(position, inbox.bytes, inbox.at, nameEnd);
      inbox.at = nameEnd + 2;
      const valueEnd = text(inbox);
      if (valueEnd < 0) return false;
      const value = inbox.bytes.utf8Slice(inbox.at, valueEnd);
      inbox.at = valueEnd + 2;
      if (name === HEADERS_FIELD) headers = value;
      else if (name === "__proto__") setOwn(record, name, value);
      else record[name] = value;
    }
    if (this.#list.text(id, record, headers)) return true;
    inbox.at = start;
    return this.#rawEntry(inbox);
  }

  /** Every other codec: names and views of the values. False where the entry is cut. */
  #rawEntry(inbox: Inbox): boolean {
    const id = entryId(inbox);
    if (id === null) return false;
    const count = this.#fieldCount(inbox, id);
    if (count < 0) return count === NULL;
    const fields: RawField[] = [];
    for (let position = 0; position < count; position += 2) {
      const nameEnd = text(inbox);
      if (nameEnd < 0) return false;
      const name = this.#names.at(position, inbox.bytes, inbox.at, nameEnd);
      inbox.at = nameEnd + 2;
      const valueEnd = text(inbox);
      if (valueEnd < 0) return false;
      fields.push({ name, value: inbox.bytes.subarray(inbox.at, valueEnd) });
      inbox.at = valueEnd + 2;
    }
    this.#list.fields(id, fields);
    return true;
  }

  /** How many names and values an entry has; {@link NULL} where it was deleted, {@link INCOMPLETE} where that is cut. */
  #fieldCount(inbox: Inbox, id: string): number {
    const count = inbox.length(ARRAY);
    if (count === NULL) this.#list.deleted(id);
    else if (count % 2 !== 0)
      throw new ProtocolError(`the server sent an entry of ${count} names and values`);
    else if (count > MAX_FIELDS) throw tooMany(count, "names and values");
    return count;
  }
}

/**
 * Decodes the reply of `XREAD` and `XREADGROUP`: stream by stream, or null where nothing came.
 *
 * ```text
 * *1                     streams, or *-1
 *   *2  $2 s1            its key, with keyPrefix
 *       *3  ...          its entries
 * ```
 * @see https://redis.io/docs/latest/commands/xread/
 */
export class StreamsDecoder<T, M> implements Decoder<MessageList<T, M>[] | ErrorReply> {
  readonly #listOf: (key: string) => MessageList<T, M>;
  readonly #lists: MessageList<T, M>[] = [];
  #error: ErrorReply | null = null;
  #entries: EntriesDecoder<T, M> | null = null;
  #left = -1;
  readonly #mostStreams: number;
  readonly #mostEntries: number | undefined;

  /** `listOf` gives the list for a key of the reply: of at most so many streams, with so many entries each. */
  constructor(
    listOf: (key: string) => MessageList<T, M>,
    mostStreams: number = Number.POSITIVE_INFINITY,
    mostEntries?: number,
  ) {
    this.#listOf = listOf;
    this.#mostStreams = mostStreams;
    this.#mostEntries = mostEntries;
  }

  decode(inbox: Inbox): boolean {
    if (this.#left < 0) {
      const head = listHead(inbox);
      if (head === INCOMPLETE) return false;
      if (head instanceof ErrorReply) {
        this.#error = head;
        return true;
      }
      if (head > this.#mostStreams) throw tooMany(head, "streams");
      this.#left = Math.max(head, 0);
    }
    while (this.#left > 0) {
      this.#entries ??= this.#head(inbox);
      if (this.#entries === null) return false;
      if (!this.#entries.decode(inbox)) return false;
      if (this.#entries.result() instanceof ErrorReply)
        throw new ProtocolError("the server sent an error where a stream's entries must be");
      this.#entries = null;
      this.#left--;
    }
    return true;
  }

  result(): MessageList<T, M>[] | ErrorReply {
    return this.#error ?? this.#lists;
  }

  /** Read a stream's key; null where it is cut. */
  #head(inbox: Inbox): EntriesDecoder<T, M> | null {
    const start = inbox.at;
    const parts = inbox.length(ARRAY);
    if (parts === INCOMPLETE) return null;
    if (parts !== 2) throw new ProtocolError(`the server sent a stream of ${parts} parts`);
    const end = text(inbox);
    if (end < 0) {
      inbox.at = start;
      return null;
    }
    const list = this.#listOf(inbox.bytes.toString("utf8", inbox.at, end));
    inbox.at = end + 2;
    this.#lists.push(list);
    return new EntriesDecoder(list, this.#mostEntries);
  }
}

/** What one command of a batch gave: an id, null (`NOMKSTREAM`), or the server's refusal. */
export type IdReply = string | null | ErrorReply;

/** Decodes the replies of a batch of `XADD`: one id, null or error each. */
export class IdsDecoder implements Decoder<IdReply[]> {
  readonly #ids: IdReply[] = [];
  readonly #count: number;

  /** Expect so many replies. */
  constructor(count: number) {
    this.#count = count;
  }

  decode(inbox: Inbox): boolean {
    while (this.#ids.length < this.#count) {
      if (inbox.peek() === ERROR) {
        const line = inbox.line();
        if (line === null) return false;
        this.#ids.push(new ErrorReply(line));
        continue;
      }
      const start = inbox.at;
      const end = inbox.bulk();
      if (end === NULL) {
        this.#ids.push(null);
        continue;
      }
      if (end === INCOMPLETE) {
        inbox.at = start;
        refuseLongId(inbox.length(BULK));
        inbox.at = start;
        return false;
      }
      refuseLongId(end - inbox.at);
      this.#ids.push(inbox.bytes.latin1Slice(inbox.at, end));
      inbox.at = end + 2;
    }
    return true;
  }

  result(): IdReply[] {
    return this.#ids;
  }
}

/** More names and values than Redis takes in one command of 1 GB. */
const MAX_FIELDS = 2 ** 28;
/** The longest id that Redis writes: two numbers of 20 digits. */
const MAX_ID = 41;

function refuseLongId(length: number): void {
  if (length > MAX_ID) throw tooMany(length, "bytes in an id");
}

function tooMany(count: number, what: string): ProtocolError {
  return new ProtocolError(`the server sent ${count} ${what}, more than there can be`);
}

function endless(): never {
  throw new ProtocolError("the server sent an endless id");
}

/** Read how many items a reply has, or the error it is instead; {@link INCOMPLETE} where that is cut. */
function listHead(inbox: Inbox): number | ErrorReply {
  if (inbox.peek() !== ERROR) return inbox.length(ARRAY);
  const line = inbox.line();
  return line === null ? INCOMPLETE : new ErrorReply(line);
}

/** Read the head of an entry and its id; null where that is cut. */
export function entryId(inbox: Inbox): string | null {
  const parts = inbox.length(ARRAY);
  if (parts === INCOMPLETE) return null;
  if (parts !== 2) throw new ProtocolError(`the server sent an entry of ${parts} parts`);
  const end = text(inbox);
  if (end < 0) return null;
  refuseLongId(end - inbox.at);
  const id = inbox.bytes.latin1Slice(inbox.at, end);
  inbox.at = end + 2;
  return id;
}

/** Read a text's header and see that its bytes are here: the index of their end, or {@link INCOMPLETE}. */
function text(inbox: Inbox): number {
  const end = inbox.bulk();
  if (end === NULL) throw new ProtocolError("the server sent null where a text must be");
  return end;
}
