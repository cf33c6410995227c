import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Bytes } from "../../../src/wire/resp.ts";
import type { Payload, Tally } from "../payload.ts";
import { PAGE, type Peer, RAW_DECODER, RAW_SOCKET, sizeOf } from "./peer.ts";

/** Goes behind every request: the end of its reply is the end of all. */
const MARK = "*1\r\n$4\r\nPING\r\n";
const END = "+PONG\r\n";
/** How much of a reply's ends is looked at: the number of entries stands at its beginning, the last id before its end. */
const KEPT = 2_048;
const CHUNK = 65_536;
const CR = 13;
const ZERO = 48;

/** Opens a bare socket that counts what comes: the physical limit of reads in JavaScript. No string is made of an entry. */
export function openRawSocket(url: string): Promise<Peer> {
  return open(RAW_SOCKET, new Ends(), url);
}

/**
 * Opens a bare socket with the least decoder: it knows the fields, checks nothing, and makes of each entry one object with
 * its id and its three values. What a client can reach that gives text.
 */
export function openRawDecoder(url: string): Promise<Peer> {
  return open(RAW_DECODER, new Entries(), url);
}

async function open(name: string, reader: ReplyReader, url: string): Promise<Peer> {
  const peer = new RawPeer(name, reader, new URL(url));
  await peer.opened;
  return peer;
}

/** What is known of a reply with entries. */
interface Reply {
  readonly count: number;
  readonly characters: number | null;
  readonly lastId: string;
}

/** Takes the bytes of one reply after the other. */
interface ReplyReader {
  /** A piece of a reply; whether it was the last. */
  take(bytes: Buffer): boolean;
  /** What came, once all has come; the next piece is of another reply. */
  reply(): Reply;
}

/** Keeps the first and the last of a reply. */
class Ends implements ReplyReader {
  #head = "";
  #tail = "";

  take(bytes: Buffer): boolean {
    if (this.#head.length < KEPT) this.#head += bytes.toString("latin1", 0, Math.min(bytes.length, KEPT));
    this.#tail = (this.#tail + bytes.toString("latin1", Math.max(0, bytes.length - KEPT))).slice(-KEPT);
    return this.#tail.endsWith(END);
  }

  reply(): Reply {
    // The number before the first entry, and what follows the last head of an entry.
    const count = Number(FIRST.exec(this.#head)?.[1] ?? 0);
    const lastId = /\r\n(\d+-\d+)\r\n/.exec(this.#tail.slice(this.#tail.lastIndexOf("*2\r\n")))?.[1] ?? "";
    this.#head = "";
    this.#tail = "";
    return { count, characters: null, lastId };
  }
}

/** Keeps a reply whole and decodes it at its end. */
class Entries implements ReplyReader {
  #bytes = Buffer.allocUnsafe(8 * CHUNK) as Bytes;
  #size = 0;
  #at = 0;

  take(bytes: Buffer): boolean {
    if (this.#size + bytes.length > this.#bytes.length)
      this.#bytes = Buffer.concat([this.#bytes], 2 * (this.#size + bytes.length)) as Bytes;
    bytes.copy(this.#bytes, this.#size);
    this.#size += bytes.length;
    return this.#bytes.latin1Slice(Math.max(0, this.#size - END.length), this.#size) === END;
  }

  reply(): Reply {
    const first = FIRST.exec(this.#bytes.latin1Slice(0, Math.min(this.#size, KEPT)));
    const count = Number(first?.[1] ?? 0);
    this.#at = (first?.index ?? 0) + `*${count}\r\n`.length;
    const page: (Payload & { id: string })[] = [];
    let characters = 0;
    for (let i = 0; i < count; i++) {
      this.#at += 4; // an entry's two parts
      const id = this.#text();
      this.#at += 4; // its six names and values
      const entry = { id, user: this.#value(), action: this.#value(), body: this.#value() };
      page.push(entry);
      characters += sizeOf(entry);
    }
    this.#size = 0;
    return { count, characters, lastId: page.at(-1)?.id ?? "" };
  }

  #value(): string {
    const name = this.#length();
    this.#at += name + 2;
    return this.#text();
  }

  #text(): string {
    const end = this.#length() + this.#at;
    const text = this.#bytes.utf8Slice(this.#at, end);
    this.#at = end + 2;
    return text;
  }

  #length(): number {
    let length = 0;
    let at = this.#at + 1;
    for (let byte = this.#bytes[at]!; byte !== CR; byte = this.#bytes[++at]!)
      length = 10 * length + byte - ZERO;
    this.#at = at + 2;
    return length;
  }
}

/** A number of entries and the head of the first. */
const FIRST = /\*(\d+)\r\n\*2\r\n\$\d+\r\n\d+-\d+\r\n/;

/** Commands written by hand, and bytes received into one buffer. */
class RawPeer implements Peer {
  readonly name: string;
  readonly opened: Promise<unknown>;
  readonly #socket: Socket;
  readonly #acks: Map<string, readonly string[]> = new Map();
  readonly #reader: ReplyReader;
  #waiting: { resolve(reply: Reply): void; reject(error: Error): void } | null = null;

  constructor(name: string, reader: ReplyReader, { hostname: host, port }: URL) {
    this.name = name;
    this.#reader = reader;
    const onread = {
      buffer: Buffer.allocUnsafe(CHUNK),
      callback: (length: number, buffer: Uint8Array) => this.#take((buffer as Buffer).subarray(0, length)),
    };
    this.#socket = connect({ host, port: Number(port), noDelay: true, onread });
    this.#socket.on("error", (error) => this.#waiting?.reject(error));
    this.#socket.on("close", () => this.#waiting?.reject(new Error("the connection was closed")));
    this.opened = once(this.#socket, "connect");
  }

  scan(key: string): Promise<Tally> {
    return this.pages(key);
  }

  async pages(key: string): Promise<Tally> {
    const replies: Reply[] = [];
    for (let start = "-"; ; ) {
      const reply = await this.#ask(command("XRANGE", key, start, "+", "COUNT", `${PAGE}`));
      replies.push(reply);
      if (reply.count < PAGE) return tallyOf(replies);
      start = `(${reply.lastId}`;
    }
  }

  learn(key: string, ids: readonly string[]): void {
    const acks: string[] = [];
    for (let i = 0; i < ids.length; i += PAGE)
      acks.push(
        ids
          .slice(i, i + PAGE)
          .map(bulk)
          .join(""),
      );
    this.#acks.set(key, acks);
  }

  async readGroup(key: string, group: string): Promise<Tally> {
    const read = command("XREADGROUP", "GROUP", group, "c1", "COUNT", `${PAGE}`, "STREAMS", key, ">");
    const replies: Reply[] = [];
    for (const ids of this.#acks.get(key) ?? []) {
      const reply = await this.#ask(read);
      replies.push(reply);
      await this.#ask(`*${reply.count + 3}\r\n${["XACK", key, group].map(bulk).join("")}${ids}`);
    }
    return tallyOf(replies);
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #ask(request: string): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request + MARK, "latin1");
    });
  }

  #take(bytes: Buffer): boolean {
    if (this.#reader.take(bytes)) {
      this.#waiting?.resolve(this.#reader.reply());
      this.#waiting = null;
    }
    return true;
  }
}

function tallyOf(replies: readonly Reply[]): Tally {
  return replies.reduce<Tally>(
    (sum, { count, characters }) => ({
      messages: sum.messages + count,
      characters: sum.characters === null || characters === null ? null : sum.characters + characters,
    }),
    { messages: 0, characters: 0 },
  );
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(bulk).join("")}`;
}
