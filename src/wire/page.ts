import { ProtocolError } from "../ground/errors.ts";
import type { MessageList } from "./message-list.ts";
import { EntriesDecoder, entryId } from "./reply.ts";
import { type Decoder, ErrorReply, INCOMPLETE, type Inbox } from "./resp.ts";

/** Entries that have come and may still have to be decoded, so that the next ones can be asked for first. */
export interface Page<T, M> {
  /** How many entries came, the ones that were refused too. */
  readonly count: number;
  /** Id of the last one. */
  readonly lastId: string | null;
  /** Decode them, once; throws ProtocolError where one is malformed. */
  list(): MessageList<T, M>;
}

/** The most bytes of a page that wait to be decoded. */
const MOST_HELD = 1024 * 1024;

/** Decodes a page of entries, or only finds its end and its last id; a page of very many bytes is decoded as it comes. */
export class PageDecoder<T, M> implements Decoder<Page<T, M> | ErrorReply> {
  readonly #entries: EntriesDecoder<T, M>;
  readonly #held: Inbox | null;
  /** Entries that are held, and the last one's id. */
  #count = 0;
  #lastId: string | null = null;
  #hasBegun = false;

  /** Decode at most so many entries into a list; `held` keeps their bytes until then, and is this page's as long. */
  constructor(list: MessageList<T, M>, most: number, held: Inbox | null) {
    this.#entries = new EntriesDecoder(list, most);
    this.#held = held;
    if (held !== null) held.at = held.end; // What is left there is of a reply that nobody wanted any more.
  }

  decode(inbox: Inbox): boolean {
    const held = this.#held;
    if (held === null) return this.#entries.decode(inbox);
    held.push(inbox.bytes.subarray(inbox.at, inbox.end));
    inbox.at = inbox.end;
    if (!this.#hasBegun) {
      const count = this.#entries.begin(held);
      if (count === INCOMPLETE) return false;
      this.#hasBegun = true;
      this.#count = count;
      if (count > 0) held.walk(held.at, count);
    }
    if (this.#count > 0) {
      if (held.whole()) {
        inbox.at -= held.surplus;
        this.#lastId = lastIdOf(held);
        return true;
      }
      if (held.size <= MOST_HELD) return false;
      held.stopWalking();
      this.#count = 0;
    }
    const isDone = this.#entries.decode(held);
    if (isDone) inbox.at -= held.size;
    return isDone;
  }

  result(): Page<T, M> | ErrorReply {
    const list = this.#entries.result();
    if (list instanceof ErrorReply) return list;
    if (this.#count === 0) return { count: list.count, lastId: list.lastId, list: () => list };
    return {
      count: this.#count,
      lastId: this.#lastId,
      list: () => {
        if (!this.#entries.decode(this.#held!))
          throw new ProtocolError("the server sent an entry that does not end");
        return list;
      },
    };
  }
}

/** The id of the last of the entries that were walked. */
function lastIdOf(inbox: Inbox): string | null {
  const { at } = inbox;
  inbox.at = inbox.lastItem;
  const id = entryId(inbox);
  inbox.at = at;
  return id;
}
