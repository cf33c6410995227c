import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Tally } from "../payload.ts";
import { PAGE, type Peer, RAW_SOCKET } from "./peer.ts";

/** Goes behind every request: the end of its reply is the end of all. */
const MARK = "*1\r\n$4\r\nPING\r\n";
const END = "+PONG\r\n";
/** How much of a chunk is kept: the number of entries stands at the beginning of a reply, the last id before its end. */
const KEPT = 2_048;
const CHUNK = 65_536;

interface Reply {
  readonly head: string;
  readonly tail: string;
}

/** Opens a bare socket. */
export async function openRawSocket(url: string): Promise<Peer> {
  const peer = new RawSocketPeer(new URL(url));
  await peer.opened;
  return peer;
}

/**
 * The physical limit of reads in JavaScript: commands written by hand, bytes received into one buffer and not looked at
 * but for the first and the last of a reply. No string is made of an entry.
 */
class RawSocketPeer implements Peer {
  readonly name: string = RAW_SOCKET;
  readonly opened: Promise<unknown>;
  readonly #socket: Socket;
  readonly #acks: Map<string, readonly string[]> = new Map();
  #head = "";
  #tail = "";
  #waiting: { resolve(reply: Reply): void; reject(error: Error): void } | null = null;

  constructor({ hostname: host, port }: URL) {
    const onread = {
      buffer: Buffer.allocUnsafe(CHUNK),
      callback: (length: number, buffer: Uint8Array) => this.#take(length, buffer as Buffer),
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
    let messages = 0;
    for (let start = "-"; ; ) {
      const reply = await this.#ask(command("XRANGE", key, start, "+", "COUNT", `${PAGE}`));
      const count = entriesOf(reply);
      messages += count;
      if (count < PAGE) return { messages, characters: null };
      start = `(${lastIdOf(reply)}`;
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
    let messages = 0;
    for (const ids of this.#acks.get(key) ?? []) {
      const count = entriesOf(await this.#ask(read));
      messages += count;
      await this.#ask(`*${count + 3}\r\n${["XACK", key, group].map(bulk).join("")}${ids}`);
    }
    return { messages, characters: null };
  }

  async close(): Promise<void> {
    this.#socket.destroy();
  }

  #ask(request: string): Promise<Reply> {
    this.#head = "";
    this.#tail = "";
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request + MARK, "latin1");
    });
  }

  #take(length: number, buffer: Buffer): boolean {
    if (this.#head.length < KEPT) this.#head += buffer.toString("latin1", 0, Math.min(length, KEPT));
    this.#tail = (this.#tail + buffer.toString("latin1", Math.max(0, length - KEPT), length)).slice(-KEPT);
    if (this.#tail.endsWith(END)) {
      this.#waiting?.resolve({ head: this.#head, tail: this.#tail });
      this.#waiting = null;
    }
    return true;
  }
}

function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function command(...words: readonly string[]): string {
  return `*${words.length}\r\n${words.map(bulk).join("")}`;
}

/** The number that stands before the first entry. */
function entriesOf({ head }: Reply): number {
  return Number(/\*(\d+)\r\n\*2\r\n\$\d+\r\n\d+-\d+\r\n/.exec(head)?.[1] ?? 0);
}

/** The id of the last entry: what follows the last head of an entry. */
function lastIdOf({ tail }: Reply): string {
  return /\r\n(\d+-\d+)\r\n/.exec(tail.slice(tail.lastIndexOf("*2\r\n")))![1]!;
}
