import type { Socket } from "node:net";

/** One direction of a proxied connection: what it forwards, or holds back while it is told to. */
export class Lane {
  /** Says how much of a chunk may pass before the connection is cut; `null` for all of it, uncut. */
  limit: (chunk: Buffer) => number | null = () => null;
  readonly #source: Socket;
  readonly #sink: Socket;
  #held: Buffer[] = [];
  #isOver = false;

  constructor(source: Socket, sink: Socket, isHeld: () => boolean) {
    this.#source = source;
    this.#sink = sink;
    source.on("data", (chunk: Buffer) => (isHeld() ? this.#held.push(chunk) : this.#forward(chunk)));
    source.on("error", () => {});
    source.on("close", () => {
      this.#isOver = true;
      if (!isHeld()) this.#sink.destroySoon();
    });
    sink.on("drain", () => source.resume());
  }

  /** How many bytes are held back. */
  get heldBytes(): number {
    return this.#held.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Forwards what was held back, the end of the connection included. */
  release(): void {
    for (const chunk of this.#held.splice(0)) this.#forward(chunk);
    if (this.#isOver) this.#sink.destroySoon();
  }

  #forward(chunk: Buffer): void {
    if (this.#sink.destroyed || !this.#sink.writable) return;
    const allowed = this.limit(chunk);
    if (!this.#sink.write(allowed === null ? chunk : chunk.subarray(0, allowed))) this.#source.pause();
    if (allowed !== null) this.#sink.destroySoon();
  }
}
