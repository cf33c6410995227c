import { Database, type GroupMessage } from "../../src/index.ts";
import type { Address } from "../../src/testing/index.ts";
import type { Ledger } from "./ledger.ts";

/** How members are broken on purpose, to see the checks fail. */
export type Sabotage = "none" | "ack before recording" | "stranded replies";

/** Streams and group that all members read. */
export const STREAMS: readonly string[] = ["soak-a", "soak-b", "soak-c", "soak-d"];
/** Their group. */
export const GROUP = "soak";

/** A database that tries again soon and does not print. */
export function open({ host, port }: Address, connectionName: string): Database {
  const db = new Database({
    host,
    port,
    connectionName,
    retryStrategy: () => 100,
    maxRetriesPerRequest: 3,
    connectTimeout: 2000,
  });
  db.on("error", () => {});
  return db;
}

let lives = 0;

/** One life of a group member, with a database of its own: it records what it reads, then acknowledges. */
export class Member {
  /** Its name, the same in its next life. */
  readonly name: string;
  /** What its connections are called on the server. */
  readonly connectionName: string;
  readonly #db: Database;
  readonly #group;
  readonly #consumer;
  readonly #ledger: Ledger;
  readonly #sabotage: Sabotage;
  readonly #running: Promise<void>;
  readonly #unacknowledged: GroupMessage<Record<string, string>>[] = [];
  #isDead = false;
  #isClosing = false;
  /** What it ended with, where it ended by itself. */
  failure: unknown = null;

  constructor(name: string, address: Address, ledger: Ledger, sabotage: Sabotage) {
    this.name = name;
    this.#ledger = ledger;
    this.#sabotage = sabotage;
    this.connectionName = `${name}.${lives++}`;
    this.#db = open(address, this.connectionName);
    this.#group = this.#db.consumerGroup(GROUP, STREAMS, { consumer: name });
    this.#consumer = this.#db.consumer(this.#group, {
      follow: true,
      backlog: sabotage !== "stranded replies",
      buffer: 20,
    });
    this.#running = this.#run().catch((error) => {
      if (!this.#isClosing) this.failure = error;
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      let message: GroupMessage<Record<string, string>> | null;
      try {
        message = await this.#consumer.getMessage();
      } catch (error) {
        // It could not open while the server was away; anything later it must survive by itself.
        if (this.#isClosing || this.#isDead) return;
        if (
          (error as { code?: string }).code !== "CONNECTION_LOST" &&
          !(error as { retriable?: boolean }).retriable
        )
          throw error;
        this.reopened++;
        continue;
      }
      if (message === null || this.#isDead) return;
      if (this.#sabotage === "ack before recording") {
        await message.ack();
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (this.#isDead) return;
      }
      this.#ledger.record(`${message.stream} ${message.data.n}`);
      this.#unacknowledged.push(message);
      await this.acknowledge();
    }
  }

  /** How often it had to be asked again. */
  reopened = 0;

  /** Acknowledge what is recorded; what the server cannot be told now is told later. */
  async acknowledge(): Promise<void> {
    const waiting = this.#unacknowledged.splice(0);
    for (const message of waiting) {
      try {
        await this.#group.streams[message.stream]!.ack(message);
      } catch {
        this.#unacknowledged.push(message);
      }
    }
  }

  /** How many acknowledgements the server has not confirmed. */
  get unacknowledged(): number {
    return this.#unacknowledged.length;
  }

  /** End as a crash would: nothing more is recorded or acknowledged, what is held is dropped. */
  async crash(): Promise<void> {
    this.#isDead = true;
    await this.close();
  }

  /** End in order; rejects where that takes more than two seconds. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closing = (async () => {
      await this.#consumer.close();
      await this.#running;
      await this.#db.close();
    })();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`${this.name} did not close within 2 s`)), 2000);
    });
    await Promise.race([closing, late]).finally(() => clearTimeout(timer));
  }
}
