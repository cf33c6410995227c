import { Request } from "../wire/request.ts";
import { type Decoder, Inbox } from "../wire/resp.ts";
import { ValuesDecoder } from "../wire/values.ts";

const ASKING = new Request().command(["ASKING"]).payload();
const CR = 13;

/** The same commands, each behind an `ASKING`: it counts for one command only. */
export function asking(payload: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < payload.length; ) {
    const start = at;
    const line = (): number => {
      const end = payload.indexOf(CR, at);
      const value = Number(payload.toString("latin1", at + 1, end));
      at = end + 2;
      return value;
    };
    for (let left = line(); left > 0; left--) {
      const length = line();
      at += length + 2;
    }
    parts.push(ASKING, payload.subarray(start, at));
  }
  return Buffer.concat(parts);
}

/** Decodes replies of which each stands behind that of an `ASKING`. */
export class AskingDecoder<R> implements Decoder<R> {
  readonly #decoder: Decoder<R>;
  readonly #replies = new Inbox();
  readonly #isOne: boolean;
  #frame = new ValuesDecoder(1);
  #isReply = false;

  /** Hand the replies to the commands of `payload` themselves to `decoder`; `sent` is what {@link asking} made of it. */
  constructor(decoder: Decoder<R>, payload: Buffer, sent: Buffer) {
    this.#decoder = decoder;
    this.#isOne = sent.length === ASKING.length + payload.length;
  }

  decode(inbox: Inbox): boolean {
    while (inbox.size > 0) {
      // A reply of many entries is not held whole where that is all there is.
      if (this.#isOne && this.#isReply) return this.#decoder.decode(inbox);
      const start = inbox.at;
      if (!this.#frame.decode(inbox)) return false;
      this.#frame = new ValuesDecoder(1);
      if (this.#isReply) {
        this.#replies.push(inbox.bytes.subarray(start, inbox.at));
        if (this.#decoder.decode(this.#replies)) return true;
      }
      this.#isReply = !this.#isReply;
    }
    return false;
  }

  result(): R {
    return this.#decoder.result();
  }
}
