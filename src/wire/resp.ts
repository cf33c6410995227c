import { ProtocolError } from "../ground/errors.ts";

/** A `Buffer` with its own slice methods, which Node.js, Deno and Bun have and their types leave out. */
export interface Bytes extends Buffer {
  /** Decode UTF-8 from `start` to `end`. */
  utf8Slice(start: number, end: number): string;
  /** Decode Latin-1 from `start` to `end`. */
  latin1Slice(start: number, end: number): string;
}

/** One argument of a command: text, bytes or a number. */
export type Argument = string | Uint8Array | number;

/** A number was asked for and its line has not arrived whole. */
export const INCOMPLETE = -2;
/** The length of a null reply (`$-1`, `*-1`). */
export const NULL = -1;

const CR = 13;
const LF = 10;
const LINE_END = 2;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;
/** Bytes of a bulk's header that is read without a look at where the bytes end: up to four digits. */
const SHORT_HEADER = "$9999\r\n".length;
/** Type byte `-`. */
export const ERROR = 45;
const SIMPLE = 43;
/** Type byte `:`. */
export const INTEGER = 58;
/** Type byte `$`. */
export const BULK = 36;
/** Type byte `*`. */
export const ARRAY = 42;

/** What Redis itself refuses: `proto-max-bulk-len` of 512 MB, and arrays beyond a signed 32-bit count. */
const MAX_BULK = 512 * 1024 * 1024;
const MAX_ARRAY = 2 ** 31 - 1;
const MAX_DIGITS = 10;
const MAX_LINE = 64 * 1024;
/** The most bytes of an entry that are waited for only to drop them: more than Redis takes in one command. */
const MAX_SKIPPED = 2 ** 32;
/** The deepest nesting of a reply; real ones have seven levels. */
const MAX_DEPTH = 32;
/** The buffer an inbox begins with when it needs one, and the largest it keeps for the next reply. */
const LEAST_ROOM = 128 * 1024;
const MOST_ROOM = 1024 * 1024;

/**
 * Bytes from the server that wait to be decoded.
 *
 * A decoder reads optimistically; where a chunk ends in the middle of an item it goes back to the item's start
 * and asks {@link Inbox.whole}, which walks the frames without decoding and never walks one twice. So a reply
 * costs time in proportion to its bytes, however it is cut.
 */
export class Inbox {
  /** The bytes; those from `at` to `end` are not decoded yet. */
  bytes: Bytes = Buffer.alloc(0) as Bytes;
  /** Index of the first byte that is not decoded. */
  at = 0;
  /** Index after the last byte that has arrived. */
  end = 0;
  /** The buffer for what does not fit into one chunk; `bytes` is this or a chunk. */
  #room: Bytes = Buffer.alloc(0) as Bytes;
  #isWalking = false;
  /** Where the walk goes on, and how many frames it still has to pass, at each level of nesting. */
  #walkAt = 0;
  #walkLeft: number[] = [];
  #lastItem = 0;
  #skipped = 0;
  readonly #mostEntry: number;

  /** For entries of at most `mostEntry` bytes, as they come over the network. */
  constructor(mostEntry: number = MAX_BULK) {
    this.#mostEntry = mostEntry;
  }

  /** Append a chunk; it is used in place while nothing waits before it. */
  push(chunk: Buffer): void {
    const waiting = this.end - this.at;
    if (waiting === 0) {
      if (this.#room.length > MOST_ROOM) this.#room = Buffer.alloc(0) as Bytes;
      this.#rebase(chunk, chunk.length);
      return;
    }
    if (this.bytes !== this.#room || this.bytes.length < this.end + chunk.length)
      this.#makeRoom(waiting + chunk.length);
    chunk.copy(this.bytes, this.end);
    this.end += chunk.length;
  }

  /** Move what waits to the start of a buffer that holds `size` bytes. */
  #makeRoom(size: number): void {
    // Grown by doubling, so that an item of any size is copied a bounded number of times; and used again, since
    // memory outside of the heap that is allocated for every chunk makes V8 collect all of it each time.
    if (this.#room.length < size)
      this.#room = Buffer.allocUnsafeSlow(Math.max(LEAST_ROOM, 2 * size)) as Bytes;
    const waiting = this.end - this.at;
    this.bytes.copy(this.#room, 0, this.at, this.end);
    this.#rebase(this.#room, waiting);
  }

  /** How many bytes wait. */
  get size(): number {
    return this.end - this.at;
  }

  /** Go back to `start` and walk the item there, or so many: it was seen to be cut, or is to be decoded later. */
  walk(start: number, items = 1): void {
    this.at = start;
    this.#isWalking = true;
    this.#walkAt = start;
    this.#walkLeft = [items];
    this.#skipped = 0;
  }

  /** Walk no further: what waits is decoded as it comes. */
  stopWalking(): void {
    this.#isWalking = false;
  }

  /** Where the last item begins, of those that were walked. */
  get lastItem(): number {
    return this.#lastItem;
  }

  /** How many bytes wait behind what was walked. */
  get surplus(): number {
    return this.end - this.#walkAt;
  }

  /** How many times the largest entry the item is that {@link Inbox.whole} found cut, as far as that is known. */
  get excess(): number {
    return (Math.max(this.#walkAt, this.end) - this.at) / this.#mostEntry;
  }

  /** Drop what the walk has passed of an item that is not going to be decoded; true once all of it has come. */
  skip(): boolean {
    const isWhole = this.whole();
    const to = Math.min(this.#walkAt, this.end);
    this.#skipped += to - this.at;
    this.at = to;
    if (this.#skipped > MAX_SKIPPED) throw absurd(this.#skipped);
    return isWhole;
  }

  /** Whether the item at `at` may be decoded: true unless a walk found that it is still cut. */
  whole(): boolean {
    if (!this.#isWalking) return true;
    const start = this.at;
    for (;;) {
      this.#stride();
      if (this.#walkLeft.length === 0 || this.#walkAt >= this.end) break;
      if (this.#walkLeft.length === 1) this.#lastItem = this.#walkAt;
      this.at = this.#walkAt;
      const isDone = this.#step();
      if (!isDone) break;
    }
    this.at = start;
    if (this.#walkLeft.length > 0 || this.#walkAt > this.end) return false;
    this.#isWalking = false;
    return true;
  }

  /** Pass frames with short heads, which nearly all are; what is not so or not right is left to {@link Inbox.#step}. */
  #stride(): void {
    const { bytes } = this;
    const left = this.#walkLeft;
    const last = this.end - SHORT_HEADER;
    let at = this.#walkAt;
    while (left.length > 0 && at < last) {
      if (left.length === 1) this.#lastItem = at;
      const type = bytes[at]!;
      const most = at + SHORT_HEADER - LINE_END;
      let head = at + 1;
      let length = 0;
      let byte = bytes[head]!;
      while (byte >= ZERO && byte <= NINE && head < most) {
        length = 10 * length + byte - ZERO;
        byte = bytes[++head]!;
      }
      if (byte !== CR || bytes[head + 1] !== LF || head === at + 1) break;
      if (type === BULK) {
        at = head + LINE_END + length + LINE_END;
        this.#passed();
      } else if (type === ARRAY && length > 0 && left.length <= MAX_DEPTH) {
        at = head + LINE_END;
        left.push(length);
      } else break;
    }
    this.#walkAt = at;
  }

  /** Pass one frame; false where its line is cut. */
  #step(): boolean {
    const type = this.bytes[this.at]!;
    if (type === BULK || type === ARRAY) {
      const length = this.length(type);
      if (length === INCOMPLETE) return false;
      this.#walkAt = type === BULK && length !== NULL ? this.at + length + 2 : this.at;
      if (type === ARRAY && length > 0) {
        // Seen here, for an item that is nested without end never gets whole.
        if (this.#walkLeft.push(length) > MAX_DEPTH + 1)
          throw new ProtocolError(`the server sent a reply nested deeper than ${MAX_DEPTH}`);
      } else this.#passed();
      return true;
    }
    if (this.line() === null) return false;
    this.#walkAt = this.at;
    this.#passed();
    return true;
  }

  /** One frame is behind the walk, and with the last one of an array the array. */
  #passed(): void {
    const left = this.#walkLeft;
    for (let level = left.length - 1; level >= 0 && --left[level]! === 0; level--) left.pop();
  }

  #rebase(bytes: Buffer, end: number): void {
    this.#walkAt -= this.at;
    this.#lastItem -= this.at;
    this.bytes = bytes as Bytes;
    this.at = 0;
    this.end = end;
  }

  /** The type byte of what comes next, or -1 where nothing is here. */
  peek(): number {
    return this.at < this.end ? this.bytes[this.at]! : -1;
  }

  /** Read `$<n>` or `*<n>` and its line end: n, {@link NULL}, or {@link INCOMPLETE} (then `at` stays). */
  length(type: number): number {
    const { bytes, end } = this;
    let at = this.at;
    if (at >= end) return INCOMPLETE;
    if (bytes[at] !== type) throw unexpected(bytes[at]!);
    at++;
    if (at < end && bytes[at] === MINUS) {
      if (at + 3 >= end) return INCOMPLETE;
      if (bytes[at + 1] !== 49 || bytes[at + 2] !== CR || bytes[at + 3] !== LF) {
        throw new ProtocolError("the server sent a negative length");
      }
      this.at = at + 4;
      return NULL;
    }
    let value = 0;
    const first = at;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === CR) break;
      if (byte < ZERO || byte > NINE)
        throw new ProtocolError(`the server sent a length with byte ${byte} in it`);
      value = value * 10 + byte - ZERO;
      if (value > MAX_ARRAY || at - first >= MAX_DIGITS) throw absurd(value);
    }
    if (at + 1 >= end) return INCOMPLETE;
    if (at === first || bytes[at + 1] !== LF) throw new ProtocolError("the server sent a malformed length");
    if (type === BULK && value > MAX_BULK) throw absurd(value);
    this.at = at + 2;
    return value;
  }

  /**
   * Read a bulk's header and see that its bytes are here: the index of their end, {@link NULL}, or {@link INCOMPLETE}.
   */
  bulk(): number {
    const { bytes, end } = this;
    let at = this.at;
    // Nearly all have a short header and are here whole. What is not so, or not right, the careful way tells.
    const last = at + SHORT_HEADER - LINE_END;
    if (last + 1 < end && bytes[at] === BULK) {
      let length = 0;
      let byte = bytes[++at]!;
      while (byte >= ZERO && byte <= NINE && at < last) {
        length = 10 * length + byte - ZERO;
        byte = bytes[++at]!;
      }
      const stop = at + LINE_END + length;
      const isHeader = byte === CR && bytes[at + 1] === LF && bytes[at - 1] !== BULK;
      if (isHeader && stop + 1 < end && bytes[stop] === CR && bytes[stop + 1] === LF) {
        this.at = at + LINE_END;
        return stop;
      }
    }
    const length = this.length(BULK);
    if (length < 0) return length;
    const stop = this.at + length;
    if (stop + LINE_END > end) return INCOMPLETE;
    if (bytes[stop] !== CR || bytes[stop + 1] !== LF)
      throw new ProtocolError("the server sent a bulk without its line end");
    return stop;
  }

  /** Read a `+`, `-` or `:` line without its type byte; `null` where it is cut (then `at` stays). */
  line(): string | null {
    const { bytes, at, end } = this;
    if (at >= end) return null;
    const type = bytes[at]!;
    if (type !== SIMPLE && type !== ERROR && type !== INTEGER) throw unexpected(type);
    const stop = bytes.indexOf(CR, at);
    const isCut = stop < 0 || stop + 1 >= end;
    // A line too long is refused whether or not its end is here, so that a cut makes no difference.
    if ((isCut ? end - 1 : stop) - at > MAX_LINE) throw new ProtocolError("the server sent an endless line");
    if (isCut) return null;
    if (bytes[stop + 1] !== LF) throw new ProtocolError("the server sent a malformed line");
    this.at = stop + 2;
    return bytes.toString("utf8", at + 1, stop);
  }
}

/** An error line of the server. */
export class ErrorReply {
  /** The text after the `-`. */
  readonly text: string;

  /** Keep the text. */
  constructor(text: string) {
    this.text = text;
  }
}

/** Decodes one exchange's reply from the bytes as they arrive. */
export interface Decoder<R> {
  /** Decode what has arrived; true once the reply is complete. */
  decode(inbox: Inbox): boolean;
  /** The reply; only to be asked for once it is complete. */
  result(): R;
}

/** Decodes several replies, one after another, each by its own decoder. */
export class SequenceDecoder<R> implements Decoder<R[]> {
  readonly #decoders: readonly Decoder<R>[];
  #done = 0;

  /** Decode the replies in this order. */
  constructor(decoders: readonly Decoder<R>[]) {
    this.#decoders = decoders;
  }

  decode(inbox: Inbox): boolean {
    while (this.#done < this.#decoders.length) {
      if (!this.#decoders[this.#done]!.decode(inbox)) return false;
      this.#done++;
    }
    return true;
  }

  result(): R[] {
    return this.#decoders.map((decoder) => decoder.result());
  }
}

function unexpected(type: number): ProtocolError {
  return new ProtocolError(
    `the server sent ${JSON.stringify(String.fromCharCode(type))} where that cannot be`,
  );
}

function absurd(value: number): ProtocolError {
  return new ProtocolError(`the server sent an absurd length, ${value}`);
}
