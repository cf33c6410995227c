import type { Client } from "../connection/client.ts";
import {
  bury,
  orphan,
  removeIdleConsumers,
  renew,
  type Script,
  takeDue,
  WAITING,
  wait,
} from "../connection/scripts.ts";
import { SILENCE } from "../connection/wire.ts";
import type { ReplyErrorOptions } from "../ground/errors.ts";
import { Turn } from "../ground/turn.ts";
import type { RawField } from "../wire/codec.ts";
import { type Delivered, type GroupMessage, markSettled } from "../wire/message.ts";

/** An entry that was taken up again, as it is stored. */
export interface Taken extends Delivered {
  /** Its fields. */
  readonly fields: readonly RawField[];
  /** Whether it came from a consumer that was silent, and not from where entries wait for their next delivery. */
  readonly isAbandoned: boolean;
}

/** What a dead letter says of itself beside the time. */
export interface DeathNote {
  /** Key of the stream it comes from, without `keyPrefix`. */
  readonly stream: string;
  /** The group that gave it up. */
  readonly group: string;
  /** Its id in that stream. */
  readonly id: string;
  /** The consumer that gave it up. */
  readonly consumer: string;
  /** How often it was delivered. */
  readonly deliveries: number;
  /** Why. */
  readonly error: { readonly name: string; readonly message: string; readonly stack: string };
}

/** Whether an entry of a silent consumer is in the latter half of its deliveries, as `takeDue` counts it. */
export function isSuspect(deliveries: number, last: number): boolean {
  return deliveries * 2 > last + 1 && deliveries <= last;
}

/** Most ids of one command, well below what a script can unpack. */
const CHUNK = 1000;
/** A connection that is silent for less than this is never made anew, in milliseconds. */
const LEAST_SILENCE = 2000;
/** Most characters of an error's text that a dead letter keeps. */
const MOST_TEXT = 4096;

/** What became of a delivery: this consumer's still, `lost` to another delivery, or `gone` from the pending entries. */
export type Verdict = "kept" | "lost" | "gone";

/**
 * What one stream has delivered to one consumer of a group, and what becomes of it.
 *
 * Each entry is named with its delivery count: whoever was given it since has another count, even under the same
 * consumer's name, so that a late settlement never touches a later delivery.
 */
export class Deliveries {
  readonly #client: Client;
  readonly #key: string;
  readonly #group: string;
  readonly #consumer: string;
  readonly #facts: ReplyErrorOptions;
  readonly #silence: number = SILENCE;
  readonly #acks: Turn<GroupMessage<unknown>, void> = new Turn((messages) => this.#acknowledge(messages));
  /** The server's time when it was asked for what is due, and until when living consumers get the time to renew. */
  #asked = "";
  #sparesUntil = 0;

  /**
   * Of a stream's group and one of its consumers.
   *
   * @param lease - Where they are kept for a lease: a connection that is silent for a third of it is made anew.
   */
  constructor(client: Client, key: string, group: string, consumer: string, lease?: number) {
    if (lease !== undefined) this.#silence = Math.max(LEAST_SILENCE, Math.min(lease / 3, SILENCE));
    this.#client = client;
    this.#key = key;
    this.#group = group;
    this.#consumer = consumer;
    this.#facts = { stream: key, group };
  }

  /** Acknowledge a message with all that come in the same turn of the event loop, by one `XACK` for each 1,000. */
  ack(message: GroupMessage<unknown>): Promise<void> {
    return this.#acks.add(message);
  }

  /** Acknowledge entries. Sends `XACK`; gives how many were pending. */
  async ackNow(ids: readonly string[]): Promise<number> {
    const counts = await this.#chunked(ids, async (some) =>
      Number(await this.#client.command("xack", [this.#key, this.#group, ...some], this.#facts)),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Begin the idle time of entries again; gives what became of each, in their order. */
  async renew(held: readonly Delivered[]): Promise<Verdict[]> {
    const replies = await this.#chunked(held, (some) => this.#run(renew, this.#named(some)));
    return replies.flat() as Verdict[];
  }

  /**
   * Have entries delivered again when they have been idle for `delay` milliseconds.
   *
   * @param isCounted - False where this delivery is not to count: it was never begun.
   * @returns the ids for which it was so; not those that are in another delivery now.
   */
  async wait(held: readonly Delivered[], delay: number, isCounted: boolean): Promise<string[]> {
    const consumer = `${WAITING}${waitOf(delay)}`;
    const replies = await this.#chunked(held, (some) =>
      this.#run(wait, [consumer, isCounted ? "1" : "0", ...this.#named(some)]),
    );
    return replies.flat() as string[];
  }

  /**
   * Move an entry to the dead letters: added there and acknowledged here, or neither; with `null` it is dropped.
   *
   * @param count - How often to say that it was delivered, where that is not its count.
   * @returns 1 where it was moved, 0 where it is in another delivery or acknowledged by now, -1 where it was deleted from
   * the stream, and acknowledged.
   */
  async bury(
    { id, deliveries }: Delivered,
    deadLetters: string | null,
    error: Error,
    count: number = deliveries,
  ): Promise<number> {
    const note: DeathNote = {
      ...{ stream: this.#key, group: this.#group, id, consumer: this.#consumer, deliveries: count },
      error: {
        name: String(error.name).slice(0, MOST_TEXT),
        message: String(error.message).slice(0, MOST_TEXT),
        stack: String(error.stack ?? "").slice(0, MOST_TEXT),
      },
    };
    const args = [this.#group, this.#consumer, id, deliveries, JSON.stringify(note)];
    const keys = deadLetters === null ? [this.#key] : [this.#key, deadLetters];
    return Number(await this.#script(bury, keys, args));
  }

  /**
   * Take up entries that are due: their retry delay or the lease of a silent consumer is over.
   *
   * After the server itself was silent, consumers get another lease to renew theirs.
   *
   * @param last - The count of an entry's last delivery.
   * @param suspects - How many entries of silent consumers to take up in the latter half of their deliveries: who has
   * more than one of them may lose all by what one of them does to its process.
   * @returns the entries, with their new delivery counts, and the ids that turned out to be deleted from the stream.
   */
  async takeDue(
    lease: number,
    count: number,
    last: number = Number.POSITIVE_INFINITY,
    suspects: number = count,
  ): Promise<{ taken: Taken[]; deleted: string[] }> {
    const now = performance.now();
    const asked = now < this.#sparesUntil ? 0 : this.#asked;
    const limits = [lease, Math.min(count, CHUNK), Number.isFinite(last) ? last : 0, suspects, asked];
    type Holder = [name: Buffer, counts: (Buffer | number)[], entries: [Buffer, Buffer[]][]];
    type Reply = [time: Buffer, isSparing: number, taken: Holder[]];
    const args = [this.#group, this.#consumer, ...limits];
    const reply = await this.#script(takeDue, [this.#key], args, null);
    const [time, isSparing, holders] = reply as Reply;
    this.#asked = String(time);
    if (isSparing === 1 && now >= this.#sparesUntil) this.#sparesUntil = performance.now() + lease;
    const taken: Taken[] = [];
    const deleted: string[] = [];
    for (const [name, facts, entries] of holders) {
      const isAbandoned = !String(name).startsWith(WAITING);
      const counts = new Map<string, number>();
      for (let i = 0; i < facts.length; i += 2) counts.set(String(facts[i]), Number(facts[i + 1]));
      for (const [rawId, parts] of entries) {
        const id = String(rawId);
        const fields: RawField[] = [];
        for (let i = 0; i < parts.length; i += 2)
          fields.push({ name: parts[i]!.toString(), value: parts[i + 1]! });
        taken.push({ id, deliveries: counts.get(id)!, fields, isAbandoned });
        counts.delete(id);
      }
      deleted.push(...counts.keys());
    }
    return { taken, deleted };
  }

  /** Put what this consumer left pending in an earlier life where it is due at once. */
  async orphan(): Promise<void> {
    while (Number(await this.#run(orphan, [])) > 0);
  }

  /** Remove consumers whose names begin so, that hold nothing and did nothing for so many milliseconds. */
  async removeIdle(prefix: string, idle: number): Promise<void> {
    await this.#script(removeIdleConsumers, [this.#key], [this.#group, idle, prefix]);
  }

  async #acknowledge(messages: readonly GroupMessage<unknown>[]): Promise<void> {
    try {
      await this.ackNow(messages.map(({ id }) => id));
    } catch (error) {
      for (const message of messages) markSettled(message, false);
      throw error;
    }
  }

  #run(script: typeof renew, args: (string | number)[]): Promise<unknown> {
    return this.#script(script, [this.#key], [this.#group, this.#consumer, ...args]);
  }

  #script(
    script: Script,
    keys: string[],
    args: (string | number)[],
    encoding: "utf8" | null = "utf8",
  ): Promise<unknown> {
    return this.#client.script(script, keys, args, this.#facts, { encoding, silence: this.#silence });
  }

  #named(held: readonly Delivered[]): (string | number)[] {
    return held.flatMap(({ id, deliveries }) => [id, deliveries]);
  }

  /** Do something with a part at a time, one after another. */
  async #chunked<V, R>(all: readonly V[], act: (some: readonly V[]) => Promise<R>): Promise<R[]> {
    const results: R[] = [];
    for (let from = 0; from < all.length; from += CHUNK)
      results.push(await act(all.slice(from, from + CHUNK)));
    return results;
  }
}

/** Milliseconds that an entry waits for a delay: rounded up to two digits, so that there are few names (1,234: 1,300). */
export function waitOf(ms: number): number {
  const step = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(ms, 1))) - 1);
  return Math.ceil(ms / step) * step;
}
