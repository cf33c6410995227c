import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Inbox } from "../../src/wire/resp.ts";
import { ValuesDecoder } from "../../src/wire/values.ts";

/** What a rogue does with a command; undefined where it answers as a server would. */
export type Attack = (
  command: readonly string[],
  socket: Socket,
) => string | Buffer | Iterable<Buffer> | undefined;

/** What a client asks before it is ready, and what it takes for an answer. */
const MANNERS: Readonly<Record<string, string>> = {
  AUTH: "+OK\r\n",
  HELLO: "-NOPROTO unsupported protocol version\r\n",
  INFO: "$32\r\nredis_version:7.2.0\r\nloading:0\r\n\r\n",
  "CLIENT ID": ":7\r\n",
  CLIENT: "+OK\r\n",
  SELECT: "+OK\r\n",
  PING: "+PONG\r\n",
  QUIT: "+OK\r\n",
};

/** A server that logs in whoever comes, and then attacks: the one server of these tests that is no Redis. */
export class Rogue implements AsyncDisposable {
  /** What it does next. */
  attack: Attack = () => undefined;
  /** How many commands it was asked to attack by. */
  asked = 0;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(listener: Server) {
    this.#listener = listener;
    listener.on("connection", (socket) => this.#serve(socket));
  }

  /** One that listens on loopback. */
  static async start(): Promise<Rogue> {
    const listener = createServer();
    const rogue = new Rogue(listener);
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    return rogue;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** How many clients are connected. */
  get connections(): number {
    return this.#sockets.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    const inbox = new Inbox();
    let decoder = new ValuesDecoder(1);
    socket.on("data", (chunk) => {
      inbox.push(chunk);
      while (inbox.size > 0 && decoder.decode(inbox)) {
        this.#answer(decoder.result()[0] as string[], socket);
        decoder = new ValuesDecoder(1);
      }
    });
  }

  #answer(command: readonly string[], socket: Socket): void {
    const [name = "", verb = ""] = command;
    const known = MANNERS[`${name} ${verb}`.toUpperCase()] ?? MANNERS[name.toUpperCase()];
    const reply = this.attack(command, socket) ?? known;
    if (known === undefined) this.asked++;
    if (reply === undefined) return;
    if (typeof reply === "string" || Buffer.isBuffer(reply)) socket.write(reply);
    else void this.#stream(reply, socket);
  }

  /** Send piece after piece, no faster than they are read. */
  async #stream(pieces: Iterable<Buffer>, socket: Socket): Promise<void> {
    const closed = new AbortController();
    socket.once("close", () => closed.abort());
    for (const piece of pieces) {
      if (socket.destroyed) return;
      if (socket.write(piece)) await new Promise((next) => setImmediate(next));
      else await once(socket, "drain", { signal: closed.signal }).catch(() => {});
    }
  }
}
