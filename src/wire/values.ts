import { ProtocolError } from "../ground/errors.ts";
import { ARRAY, BULK, type Decoder, ERROR, ErrorReply, INTEGER, type Inbox, NULL } from "./resp.ts";

/** A reply in RESP2, decoded without knowing its shape; errors inside are values. */
export type Value = string | number | null | ErrorReply | readonly Value[];

/** A small answer may hold two entries, as that of `XINFO STREAM` does, and what is said of them. */
const MOST_EXCESS = 3;

/** Decodes `count` replies of any shape, texts as UTF-8: for small answers. */
export class ValuesDecoder implements Decoder<Value[]> {
  readonly #values: Value[] = [];
  readonly #count: number;
  #isSeen = false;

  /** Expect so many replies. */
  constructor(count: number) {
    this.#count = count;
  }

  decode(inbox: Inbox): boolean {
    while (this.#values.length < this.#count) {
      if (!this.#isSeen) inbox.walk(inbox.at);
      this.#isSeen = true;
      if (!inbox.whole()) {
        if (inbox.excess > MOST_EXCESS) throw new ProtocolError("the server sent an absurdly large reply");
        return false;
      }
      this.#values.push(readValue(inbox));
      this.#isSeen = false;
    }
    return true;
  }

  result(): Value[] {
    return this.#values;
  }
}

/** Read a value that has arrived whole; the walk has seen that it is not nested too deep. */
function readValue(inbox: Inbox): Value {
  const type = inbox.peek();
  if (type === BULK) {
    const end = inbox.bulk();
    return end === NULL ? null : readText(inbox, end);
  }
  if (type === ARRAY) {
    const length = inbox.length(ARRAY);
    if (length === NULL) return null;
    const values: Value[] = [];
    for (let i = 0; i < length; i++) values.push(readValue(inbox));
    return values;
  }
  const line = inbox.line()!;
  if (type === ERROR) return new ErrorReply(line);
  if (type !== INTEGER) return line;
  if (!/^[+-]?\d{1,20}$/.test(line)) throw new ProtocolError("the server sent a malformed number");
  return Number(line);
}

/** Read a bulk's text, of which the bytes up to `end` are here, and its line end. */
function readText(inbox: Inbox, end: number): string {
  const start = inbox.at;
  inbox.at = end + 2;
  return inbox.bytes.toString("utf8", start, end);
}
