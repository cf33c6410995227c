import { afterAll, beforeAll, expect } from "vitest";
import { Database, InvalidArgumentError } from "../../src/index.ts";
import { type Server, type ServerOptions, startServer } from "../../src/testing/index.ts";

/** What the tests of one file share: a server and a database of their own, and keys that no other test has. */
export class Place {
  #server: Server | undefined;
  #db: Database | undefined;
  #keys = 0;

  constructor(options: Omit<ServerOptions, "cluster" | "sentinel"> = {}) {
    beforeAll(async () => {
      this.#server = await startServer(options);
      this.#db = new Database(this.#server.url);
      await this.#db.ping();
    });
    afterAll(async () => {
      await this.#db?.close();
      await this.#server?.stop();
    });
  }

  get server(): Server {
    return this.#server!;
  }

  get db(): Database {
    return this.#db!;
  }

  /** A key that is not there yet. */
  key(name = "key"): string {
    return `${name}-${this.#keys++}`;
  }

  /** How often the server has carried out or refused each command, by its name in small letters. */
  async commands(): Promise<Map<string, number>> {
    const text = await this.db.info("commandstats");
    const stats = text.matchAll(/cmdstat_(\S+):calls=(\d+).*?rejected_calls=(\d+)/g);
    return new Map([...stats].map(([, name, calls, rejected]) => [name!, Number(calls) + Number(rejected)]));
  }

  /** Which commands were sent while something was done, and how often. */
  async sent(act: () => unknown): Promise<Record<string, number>> {
    const before = await this.commands();
    await act();
    const after = await this.commands();
    const grown = [...after].map(([name, calls]) => [name, calls - (before.get(name) ?? 0)] as const);
    return Object.fromEntries(grown.filter(([name, calls]) => calls > 0 && name !== "info"));
  }

  /** Do what must be refused at the door, and see that nothing was sent; the refusal. */
  async refusal(act: () => unknown): Promise<InvalidArgumentError> {
    let error: InvalidArgumentError | undefined;
    const sent = await this.sent(async () => {
      error = await failure(act, InvalidArgumentError);
    });
    expect(sent).toEqual({});
    expect(error!.code).toBe("INVALID_ARGUMENT");
    expect(error!.retriable).toBe(false);
    return error!;
  }
}

/** The error of that class with which something fails, thrown or rejected. */
export async function failure<E>(
  act: (() => unknown) | PromiseLike<unknown>,
  type: abstract new (...args: never[]) => E,
): Promise<E> {
  let outcome: unknown;
  try {
    outcome = await (typeof act === "function" ? act() : act);
  } catch (error) {
    if (error instanceof type) return error;
    throw new Error(`failed otherwise: ${error}`, { cause: error });
  }
  throw new Error(`did not fail, but gave ${JSON.stringify(outcome)}`);
}

/** All that an iterable gives. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** So many payloads `{ n: 0 }`, `{ n: 1 }`, ... */
export function numbered(count: number, from = 0): { n: number }[] {
  return Array.from({ length: count }, (_, i) => ({ n: from + i }));
}

/** The ids `1-0`, `2-0`, ... up to a number. */
export function ids(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i + 1}-0`);
}

/** The ids of messages, or whatever has some. */
export function idsOf(items: Iterable<{ readonly id: string }>): string[] {
  return [...items].map(({ id }) => id);
}

/** Say what a signature would not let through. */
export function loose(value: unknown): never {
  return value as never;
}
