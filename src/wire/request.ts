import { type Argument, BULK } from "./resp.ts";

/** The most characters that a request joins before it writes them. */
const MOST_TEXT = 4096;
const NO_BYTES: Buffer = Buffer.alloc(0);
const LINE_END = "\r\n";
const LINE_END_BYTES: Buffer = Buffer.from(LINE_END);
const BULK_HEADS: readonly string[] = Array.from({ length: 256 }, (_, length) => `$${length}${LINE_END}`);
/** Most bytes of a character in UTF-8. */
const MOST_CHAR = 4;

/**
 * Commands on their way to the server, as one write.
 *
 * Texts are joined as if they were ASCII, each with its count of characters, and written some kilobytes at a time: one
 * call sees whether they were; if not, each is measured from then on. Measuring each text by itself costs as much as all
 * the rest of `addMany`'s encoding (`docs/decisions/0013-where-the-time-goes.md`).
 * @see https://redis.io/docs/latest/develop/reference/protocol-spec/
 */
export class Request {
  /** Whole frames that are not in `#bytes` yet. */
  #text = "";
  /** Whether the lengths in `#text` count bytes, and not characters: so once a text was not ASCII. */
  #isMeasured = false;
  #bytes: Buffer = NO_BYTES;
  #at = 0;

  /** Append one command. */
  command(args: readonly Argument[]): this {
    this.open(args.length);
    for (const arg of args) this.arg(arg);
    return this;
  }

  /** Begin a command of `count` arguments; they follow by {@link Request.arg}. */
  open(count: number): this {
    this.#text += `*${count}\r\n`;
    return this;
  }

  /** Append the arguments of another request: what many commands have in common. */
  encoded(args: Request): this {
    if (args.#at > 0) this.#append(args.#bytes.subarray(0, args.#at));
    if (this.#isMeasured) args.#measure();
    else if (args.#isMeasured) this.#measure();
    this.#text += args.#text;
    return this;
  }

  /** Append one argument; bytes are copied, so that their owner may use the memory again. */
  arg(arg: Argument): this {
    if (typeof arg === "string") {
      this.#text += bulkHead(this.#isMeasured ? Buffer.byteLength(arg) : arg.length) + arg + LINE_END;
      if (this.#text.length > MOST_TEXT) this.#flush();
    } else if (typeof arg === "number") {
      this.arg(String(arg));
    } else {
      this.#appendBulk(arg);
    }
    return this;
  }

  /** What goes to the socket; valid until {@link Request.clear}. */
  payload(): Buffer {
    if (this.#text !== "") this.#flush();
    return this.#bytes.subarray(0, this.#at);
  }

  /** Begin again in the same memory: the payload must not be on its way any more. */
  clear(): this {
    this.#text = "";
    this.#at = 0;
    return this;
  }

  /** Turn the text so far into bytes. */
  #flush(): void {
    if (!this.#isMeasured) {
      const { length } = this.#text;
      this.#reserve(length + MOST_CHAR);
      // With room for one more character, what is not ASCII always comes out longer than it was taken for.
      if (this.#bytes.write(this.#text, this.#at, length + MOST_CHAR) === length) {
        this.#at += length;
        this.#text = "";
        return;
      }
      this.#measure();
    }
    const size = Buffer.byteLength(this.#text);
    this.#reserve(size);
    this.#bytes.write(this.#text, this.#at, size);
    this.#at += size;
    this.#text = "";
  }

  /** Have the lengths count bytes. */
  #measure(): void {
    if (!this.#isMeasured) this.#text = measured(this.#text);
    this.#isMeasured = true;
  }

  /** Append bytes as a bulk. Its head and line end stay out of `#text`, which holds whole frames only. */
  #appendBulk(bytes: Uint8Array): void {
    this.#append(Buffer.from(bulkHead(bytes.byteLength)));
    this.#append(bytes);
    this.#append(LINE_END_BYTES);
  }

  /** Append bytes as they are. */
  #append(bytes: Uint8Array): void {
    if (this.#text !== "") this.#flush();
    this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const isSmall = this.#at === 0 && size < MOST_TEXT;
    const bytes = isSmall ? Buffer.allocUnsafe(size) : Buffer.allocUnsafeSlow(2 * (this.#at + size));
    this.#bytes.copy(bytes, 0, 0, this.#at);
    this.#bytes = bytes;
  }
}

/** Frames whose lengths count characters, with lengths that count bytes. */
function measured(text: string): string {
  let frames = "";
  for (let at = 0; at < text.length; ) {
    const start = text.indexOf("\n", at) + 1;
    if (text.charCodeAt(at) !== BULK) {
      frames += text.slice(at, start);
      at = start;
      continue;
    }
    const end = start + Number(text.slice(at + 1, start - LINE_END.length));
    const content = text.slice(start, end);
    frames += bulkHead(Buffer.byteLength(content)) + content + LINE_END;
    at = end + LINE_END.length;
  }
  return frames;
}

/** `$<n>` and its line end; made once for the lengths that most texts have. */
function bulkHead(length: number): string {
  return BULK_HEADS[length] ?? `$${length}${LINE_END}`;
}
