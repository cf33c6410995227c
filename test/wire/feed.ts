import { type Codec, Payload } from "../../src/wire/codec.ts";
import { MessageList } from "../../src/wire/message-list.ts";
import { PageDecoder } from "../../src/wire/page.ts";
import { EntriesDecoder } from "../../src/wire/reply.ts";
import { type Decoder, ErrorReply, Inbox } from "../../src/wire/resp.ts";

/** A reply to write down: bulks, numbers, arrays, `null` for the null array, and lines as they are. */
export type Shape = string | Uint8Array | number | null | Verbatim | readonly Shape[];

/** Protocol that is written as it stands, right or wrong. */
export class Verbatim {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Protocol as it stands. */
export function protocol(text: string): Verbatim {
  return new Verbatim(text);
}

/** One line of protocol, without its end. */
export function line(text: string): Verbatim {
  return new Verbatim(`${text}\r\n`);
}

/** The bytes of a reply. */
export function reply(shape: Shape): Buffer {
  if (shape === null) return Buffer.from("*-1\r\n");
  if (shape instanceof Verbatim) return Buffer.from(shape.text);
  if (typeof shape === "number") return Buffer.from(`:${shape}\r\n`);
  if (typeof shape === "string" || shape instanceof Uint8Array) {
    const bytes = Buffer.from(shape as string);
    return Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from("\r\n")]);
  }
  return Buffer.concat([Buffer.from(`*${shape.length}\r\n`), ...shape.map(reply)]);
}

/** What {@link feed} gives where the decoder is not satisfied at the end. */
export const WAITS: unique symbol = Symbol("waits for more");

/**
 * Give a reply to a decoder in chunks that end at `cuts`.
 *
 * Every chunk has memory of its own, as from a socket; all of it is overwritten at the end, so that a result that
 * is a view of it shows.
 */
export function feed<R>(decoder: Decoder<R>, bytes: Buffer, cuts: readonly number[] = []): R | typeof WAITS {
  const inbox = new Inbox();
  const seen = new Set<Buffer>();
  let isDone = false;
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    const chunk = Buffer.from(bytes.subarray(from, to));
    inbox.push(chunk);
    isDone = decoder.decode(inbox);
    if (isDone && to < bytes.length) throw new Error(`complete after ${to} of ${bytes.length} bytes`);
    seen.add(chunk).add(inbox.bytes);
    from = to;
  }
  if (isDone && inbox.size > 0) throw new Error(`complete, but ${inbox.size} bytes are left`);
  if (!isDone) return WAITS;
  const result = decoder.result();
  for (const memory of seen) memory.fill(0xee);
  return result;
}

/** Ways to cut a reply: not at all, everywhere at once, at each position, and in small ones at each pair of them. */
export function* everyCut(length: number): Generator<number[]> {
  yield [];
  yield Array.from({ length: length - 1 }, (_, i) => i + 1);
  for (let i = 1; i < length; i++) yield [i];
  if (length > 64) return;
  for (let i = 1; i < length; i++) for (let j = i + 1; j < length; j++) yield [i, j];
}

/** What was read of an entry. */
export interface Read {
  readonly id: string;
  readonly data: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** A list as a reader makes it. */
export function list(stream = "s", codec?: Codec<never, never>): MessageList<unknown, Read> {
  const payload = new Payload<unknown, never>(codec as Codec<unknown, unknown> | undefined);
  return new MessageList(stream, payload, (id, data, headers) => ({ id, data, headers }));
}

/** Decodes entries of the stream `s`. */
export function entries(codec?: Codec<never, never>): Decoder<Read[] | ErrorReply> {
  return messages(new EntriesDecoder(list("s", codec)));
}

/** Decodes a page of the stream `s`, which is held until all of it has come. */
export function page(codec?: Codec<never, never>): Decoder<Read[] | ErrorReply> {
  return messages(heldPage(list("s", codec)));
}

/** Decodes a page into a list, which is held until all of it has come. */
export function heldPage<T, M>(
  into: MessageList<T, M>,
  held: Inbox = new Inbox(),
): Decoder<MessageList<T, M> | ErrorReply> {
  const decoder = new PageDecoder(into, Number.POSITIVE_INFINITY, held);
  return {
    decode: (inbox) => decoder.decode(inbox),
    result() {
      const result = decoder.result();
      if (result instanceof ErrorReply) return result;
      const { count, lastId } = result;
      const decoded = result.list();
      if (count !== decoded.count || lastId !== decoded.lastId)
        throw new Error(`foretold ${count} entries to ${lastId}, got ${decoded.count} to ${decoded.lastId}`);
      return decoded;
    },
  };
}

function messages(decoder: Decoder<MessageList<unknown, Read> | ErrorReply>): Decoder<Read[] | ErrorReply> {
  return {
    decode: (inbox) => decoder.decode(inbox),
    result() {
      const result = decoder.result();
      return result instanceof ErrorReply ? result : (result.messages() as Read[]);
    },
  };
}
