import { type Client, REDIRECTS } from "../connection/client.ts";
import { MOST_VOLUME } from "../containers/batch.ts";
import { PAGE } from "../containers/range.ts";
import {
  ClosedError,
  ConnectionLostError,
  type ReplyErrorOptions,
  replyError,
  type WalrusError,
} from "../ground/errors.ts";
import { type IdReply, IdsDecoder } from "../wire/reply.ts";
import { ErrorReply } from "../wire/resp.ts";
import { commands, type Encoded } from "./encoded.ts";

/** What an outbox needs of its owner. */
export interface OutboxHost {
  /** The connection. */
  readonly client: Client;
  /** The stream, without `keyPrefix`. */
  readonly key: string;
  /** How commands begin. */
  readonly head: Encoded;
  /** How those begin that are sent again, since the server did not know the script; absent where there is none. */
  readonly full?: Encoded;
  /** Milliseconds that the first of a batch waits for company. */
  readonly linger: number;
  /** Told of entries that are stored. */
  stored(count: number): void;
}

/** An entry's part of its command, and who waits for its id. */
interface Item {
  readonly entry: Encoded;
  readonly resolve: (id: string) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Entries on their way to one stream, in the order in which they were posted.
 *
 * The first goes out at once; what comes while it is under way goes together in the next write. So one caller waits
 * for nobody, and a thousand share a round trip.
 */
export class Outbox {
  readonly #host: OutboxHost;
  /** The first is under way, or waits for company; the last takes what is posted. */
  readonly #batches: Batch[] = [];
  #isRunning = false;
  /** When those are in their batches that wait for a schema; `null` where none does. Never rejects. */
  #judged: Promise<void> | null = null;
  /** How many want everything to go out now. */
  #hurrying = 0;
  #hurry: () => void = () => {};

  constructor(host: OutboxHost) {
    this.#host = host;
  }

  /** Whether a batch is under way and the next one is full: time to wait for {@link Outbox.progress}. */
  get isBehind(): boolean {
    return this.#batches.length > 1 && this.#batches.at(-1)!.isFull;
  }

  /** When the batch that is under way is settled. */
  async progress(): Promise<void> {
    await this.#batches[0]?.settled;
  }

  /** Send an entry behind those before it, also where a schema still judges it; what it throws goes to `reject`. */
  post(
    entry: Encoded | Promise<Encoded>,
    resolve: (id: string) => void,
    reject: (error: unknown) => void,
  ): void {
    if (this.#judged === null && !(entry instanceof Promise)) {
      this.#append({ entry, resolve, reject });
      return;
    }
    const judged = this.#inTurn(entry, this.#judged, resolve, reject).then(() => {
      if (this.#judged === judged) this.#judged = null;
    });
    this.#judged = judged;
  }

  /** When all that was posted so far is settled; nothing of it lingers. */
  async flush(): Promise<void> {
    this.#hurrying++;
    this.#hurry();
    await this.#judged;
    await this.#batches.at(-1)?.settled;
    this.#hurrying--;
  }

  async #inTurn(
    entry: Encoded | Promise<Encoded>,
    before: Promise<void> | null,
    resolve: (id: string) => void,
    reject: (error: unknown) => void,
  ): Promise<void> {
    try {
      const judged = await entry;
      await before;
      this.#append({ entry: judged, resolve, reject });
    } catch (error) {
      reject(error);
      await before;
    }
  }

  #append(item: Item): void {
    let batch = this.#batches.at(-1);
    if (batch === undefined || batch.isSent || batch.isFull) {
      batch = new Batch();
      this.#batches.push(batch);
    }
    batch.add(item);
    if (!this.#isRunning) this.#run();
    else if (batch.isFull) this.#hurry();
  }

  /** Send batch after batch, until there is none. Never rejects. */
  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      await this.#company(batch);
      batch.isSent = true;
      const unreachable = await this.#send(batch.items);
      this.#batches.shift();
      batch.settle();
      // No connection could be made, as often as that was tried: those that waited meanwhile have waited for it too.
      if (unreachable !== null) for (const late of this.#batches.splice(0)) late.refuse(unreachable);
    }
    this.#isRunning = false;
  }

  /** Wait until the first of a batch has lingered, the batch is full, or someone wants it to go. */
  async #company(batch: Batch): Promise<void> {
    const left = batch.since + this.#host.linger - performance.now();
    if (left <= 0 || batch.isFull || this.#hurrying > 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = () => {};
  }

  /**
   * Send items until each is settled: once more what a script's text is needed for, or a slot's former owner refused.
   *
   * @returns the failure where no connection can be had; `null` otherwise.
   */
  async #send(items: readonly Item[]): Promise<WalrusError | null> {
    const { full } = this.#host;
    let { head } = this.#host;
    for (let left = items; left.length > 0; head = full ?? head) {
      const { length: count } = left;
      let decoder = new IdsDecoder(count);
      let wasSent = false;
      try {
        const replies = await this.#host.client.exchange({
          key: this.#host.key,
          request: commands(head, left),
          decoder: () => {
            decoder = new IdsDecoder(count);
            return decoder;
          },
          isRepeatable: full !== undefined,
          facts: this.#facts,
          onLost: ({ isSent }) => {
            wasSent ||= isSent;
          },
        });
        left = this.#settle(left, replies);
      } catch (error) {
        this.#fail(left, decoder.result(), wasSent ? sent(error) : error);
        return isUnreachable(error) ? error : null;
      }
    }
    return null;
  }

  /** Tell those who wait what the server said; those that it did not carry out and may be asked again are left. */
  #settle(items: readonly Item[], replies: readonly IdReply[]): Item[] {
    const errors = replies.map((reply) =>
      reply instanceof ErrorReply ? replyError(reply.text, this.#facts) : null,
    );
    // Where all of them are on the move, the connection has asked again often enough.
    const isStuck = errors.every((error) => error !== null && REDIRECTS.has(error.prefix));
    const again: Item[] = [];
    let stored = 0;
    for (const [i, item] of items.entries()) {
      const error = errors[i]!;
      if (error === null) {
        item.resolve(replies[i] as string);
        stored++;
      } else if (error.prefix === UNKNOWN_SCRIPT || (REDIRECTS.has(error.prefix) && !isStuck))
        again.push(item);
      else item.reject(error);
    }
    this.#host.stored(stored);
    return again;
  }

  /** All fail alike, but for those whose ids came before. */
  #fail(items: readonly Item[], replies: readonly IdReply[], error: unknown): void {
    let stored = 0;
    for (const [i, item] of items.entries()) {
      const reply = replies[i];
      if (typeof reply !== "string") item.reject(error);
      else {
        stored++;
        item.resolve(reply);
      }
    }
    this.#host.stored(stored);
  }

  get #facts(): ReplyErrorOptions {
    return { command: "XADD", stream: this.#host.key };
  }
}

/** Items that go out in one write. */
class Batch {
  readonly items: Item[] = [];
  /** When its first one came, by `performance.now()`. */
  readonly since: number = performance.now();
  /** When all of them are settled. */
  readonly settled: Promise<void>;
  /** Whether it takes no more. */
  isSent = false;
  #volume = 0;
  #settle!: () => void;

  constructor() {
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  get isFull(): boolean {
    return this.items.length >= PAGE || this.#volume >= MOST_VOLUME;
  }

  add(item: Item): void {
    this.items.push(item);
    this.#volume += item.entry.volume;
  }

  /** All of them are settled. */
  settle(): void {
    this.#settle();
  }

  /** Fail all of them. */
  refuse(error: unknown): void {
    for (const { reject } of this.items) reject(error);
    this.#settle();
  }
}

/** The server does not have the script, or not any more. */
const UNKNOWN_SCRIPT = "NOSCRIPT";

/** Whether another request would fare no better: there is no connection. */
function isUnreachable(error: unknown): error is WalrusError {
  return error instanceof ClosedError || (error instanceof ConnectionLostError && !error.isSent);
}

/** The loss of a request of which an earlier try was sent. */
function sent(error: unknown): unknown {
  if (!(error instanceof ConnectionLostError) || error.isSent) return error;
  return new ConnectionLostError(error.message, { cause: error, isSent: true });
}
