import type { Data } from "../handling.ts";
import type { Payload, Tally } from "../payload.ts";
import {
  addByMany,
  addMany,
  addOne,
  BLOCK,
  PAGE,
  type Peer,
  type Received,
  sizeOf,
  type Task,
} from "./peer.ts";

/** How a read is limited. */
export interface ReadLimits {
  readonly count: number;
  /** For how long to wait, in milliseconds; not at all without it. */
  readonly block?: number;
}

/**
 * The loops that a good engineer writes by hand on a client: pages by the last id, one XACK for what was read, the
 * next read when that is answered. What differs between clients is below; `Raw` is an entry as the client gives it.
 */
export abstract class HandWritten<Raw> implements Peer {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** `XADD`. */
  protected abstract add(key: string, item: Payload): Promise<unknown>;
  /** So many `XADD` in one round trip, by the client's own pipeline: their ids. */
  protected abstract addBatch(key: string, items: readonly Payload[]): Promise<readonly string[]>;
  /** `XRANGE` after an id, from the beginning without one. */
  protected abstract range(key: string, after: string | null, count: number): Promise<readonly Raw[]>;
  /** `XREAD` of one stream. */
  protected abstract read(key: string, lastId: string, limits: ReadLimits): Promise<readonly Raw[]>;
  /** `XREADGROUP` of what is new in one stream, as the group's consumer `c1`. */
  protected abstract readNew(key: string, group: string, limits: ReadLimits): Promise<readonly Raw[]>;
  /** `XACK`. */
  protected abstract ack(key: string, group: string, ids: readonly string[]): Promise<unknown>;
  /** The id of an entry. */
  protected abstract id(raw: Raw): string;
  /** The fields of an entry as an object. */
  protected abstract data(raw: Raw): Data;
  /** The characters of an entry's values, taken from where the client put them. */
  protected abstract size(raw: Raw): number;

  abstract close(): Promise<void>;

  addOne(key: string, items: readonly Payload[]): Promise<Tally> {
    return addOne(items, (item) => this.add(key, item));
  }

  addMany(key: string, items: readonly Payload[]): Promise<Tally> {
    return addMany(items, (batch) => this.addBatch(key, batch));
  }

  addByMany(key: string, items: readonly Payload[], callers: number): Promise<Tally> {
    return addByMany(items, callers, (item) => this.add(key, item));
  }

  async scan(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const page of this.#pages(key)) {
      for (const raw of page) {
        const data = this.data(raw);
        messages++;
        characters += sizeOf(data);
      }
    }
    return { messages, characters };
  }

  async pages(key: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for await (const page of this.#pages(key)) {
      messages += page.length;
      for (const raw of page) characters += this.size(raw);
    }
    return { messages, characters };
  }

  async readGroup(key: string, group: string): Promise<Tally> {
    let messages = 0;
    let characters = 0;
    for (;;) {
      const entries = await this.readNew(key, group, { count: PAGE });
      if (entries.length === 0) return { messages, characters };
      const ids: string[] = [];
      for (const raw of entries) {
        const data = this.data(raw);
        messages++;
        characters += sizeOf(data);
        ids.push(this.id(raw));
      }
      await this.ack(key, group, ids);
    }
  }

  /** A loop for each: a cluster takes no XREADGROUP of many slots, and clients write to all masters at once. */
  async readGroups(keys: readonly string[], group: string): Promise<Tally> {
    const tallies = await Promise.all(keys.map((key) => this.readGroup(key, group)));
    const sum = (values: readonly (number | null)[]): number =>
      values.reduce<number>((all, value) => all + (value ?? 0), 0);
    return {
      messages: sum(tallies.map(({ messages }) => messages)),
      characters: sum(tallies.map(({ characters }) => characters)),
    };
  }

  consume(task: Task): Promise<void> {
    return this.work(task);
  }

  async work({ key, group, handle, handling, concurrency = 1 }: Task): Promise<void> {
    const limits = { count: concurrency === 1 ? PAGE : concurrency, block: BLOCK };
    while (!handling.isFinished) {
      const entries = await this.readNew(key, group, limits);
      if (entries.length === 0) continue;
      if (concurrency > 1) await Promise.all(entries.map((raw) => handle(this.data(raw))));
      else {
        for (const raw of entries) {
          const pending = handle(this.data(raw));
          if (pending !== undefined) await pending;
        }
      }
      const ids = entries.map((raw) => this.id(raw));
      await this.ack(key, group, ids);
    }
    await handling.finished;
  }

  async tail(key: string, take: (data: Data) => boolean, signal: AbortSignal): Promise<void> {
    for (let lastId = "0-0"; !signal.aborted; ) {
      for (const raw of await this.read(key, lastId, { count: PAGE, block: BLOCK })) {
        lastId = this.id(raw);
        if (!take(this.data(raw))) return;
      }
    }
  }

  reader(key: string): (lastId: string) => Promise<Received[]> {
    return async (lastId) => {
      const entries = await this.read(key, lastId, { count: PAGE, block: BLOCK });
      return entries.map((raw) => this.#received(raw));
    };
  }

  async hold(key: string, count: number): Promise<Received[]> {
    const held: Received[] = [];
    for await (const page of this.#pages(key)) {
      for (const raw of page) {
        if (held.length === count) return held;
        held.push(this.#received(raw));
      }
    }
    return held;
  }

  #received(raw: Raw): Received {
    return { id: this.id(raw), data: this.data(raw) };
  }

  async *#pages(key: string): AsyncGenerator<readonly Raw[], void, undefined> {
    for (let after: string | null = null; ; ) {
      const page: readonly Raw[] = await this.range(key, after, PAGE);
      yield page;
      if (page.length < PAGE) return;
      after = this.id(page[PAGE - 1]!);
    }
  }
}
