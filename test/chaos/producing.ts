import { setTimeout as sleep } from "node:timers/promises";
import calculateSlot from "cluster-key-slot";
import { Redis } from "ioredis";
import { type ClusterDatabase, WalrusError } from "../../src/index.ts";
import { type Fact, readBooks } from "./book.ts";
import type { Member } from "./member.ts";
import { kindOf } from "./plan.ts";
import { Random } from "./random.ts";

/** Pushes at once, of one process. */
const LANES = 4;
/** Messages of one key are handled in order. */
const KEYS = 40;
/** Mean pause between two pushes of a lane, in milliseconds. */
const PAUSE = 250;

/**
 * Push until told to stop, several at a time. A push whose fate is unknown is repeated with its idempotency key until it
 * is acknowledged; one that a crash has interrupted is repeated in the next life: the book is the outbox.
 */
export async function produce(member: Member): Promise<void> {
  const { directory, name } = member.orders;
  const before = readBooks(directory, `${name}.`);
  await Promise.all(Array.from({ length: LANES }, (_, lane) => new Lane(member, lane, before).run()));
}

class Lane {
  readonly #member: Member;
  readonly #lane: number;
  readonly #random: Random;
  readonly #producers;
  readonly #nodes = new Map<string, Redis>();
  #next = 0;
  readonly #stored = new Set<string>();

  constructor(member: Member, lane: number, before: readonly Fact[]) {
    const { db, orders } = member;
    this.#member = member;
    this.#lane = lane;
    this.#random = new Random(orders.seed + 31 * lane + 1009 * Number(orders.name.split("-")[1]));
    this.#producers = new Map(orders.streams.map((key) => [key, db.producer(key)]));
    const mine = before.filter((fact) => "n" in fact && fact.n.startsWith(`${this.#prefix}.`));
    for (const fact of mine) if (fact.what === "stored") this.#stored.add(fact.n);
  }

  get #prefix(): string {
    return `${this.#member.orders.name.split("-")[1]}.${this.#lane}`;
  }

  async run(): Promise<void> {
    const { over, orders, book, count } = this.#member;
    while (!over.aborted) {
      const number = this.#next++;
      const n = `${this.#prefix}.${number}`;
      // The same for the same number in every life.
      const kind = kindOf(this.#random, number, orders.hasKillers);
      const stream = this.#random.of(orders.streams);
      const key = `key-${this.#random.integer(0, KEYS - 1)}`;
      if (this.#stored.has(n)) continue;
      book.write({ what: "push", n, stream, kind });
      const id = await this.#push(stream, n, { n, key, kind });
      book.write({ what: "stored", n, stream, id });
      count();
      await sleep(Math.random() * 2 * PAUSE);
    }
    for (const node of this.#nodes.values()) node.disconnect();
    for (const producer of this.#producers.values()) await producer.close();
  }

  async #push(stream: string, n: string, data: Record<string, string>): Promise<string> {
    const { orders } = this.#member;
    const options = orders.sabotage === "no-idempotency" ? {} : { idempotencyKey: n };
    for (;;) {
      try {
        const id = await this.#producers.get(stream)!.push(data, options);
        if (!orders.isCluster || (await this.#isReplicated(stream, n, id))) return id;
      } catch (error) {
        if (!(error instanceof WalrusError && error.retriable)) throw error;
      }
      await sleep(100);
    }
  }

  /**
   * Whether the stream's master has the push, and a replica has all that it has: a failover then keeps it. Where not, the
   * push is repeated: its key was lost with it, or neither was.
   */
  async #isReplicated(stream: string, n: string, id: string): Promise<boolean> {
    const db = this.#member.db as ClusterDatabase;
    const [address] = db.slots[calculateSlot(stream)] ?? [];
    if (address === undefined) return false;
    let redis = this.#nodes.get(address);
    if (redis === undefined) {
      const [host, port] = address.split(":");
      redis = new Redis({ host: host!, port: Number(port), retryStrategy: () => 100, commandTimeout: 3000 });
      redis.on("error", () => {});
      this.#nodes.set(address, redis);
    }
    try {
      // One that was the master a moment ago has the push, too, but no replica.
      const asking = redis.pipeline().get(`{${stream}}:once:${n}`).set(`{${stream}}:mark`, "1");
      const replies = (await asking.call("WAIT", 1, 500).exec())!;
      const [known, , copies] = replies.map(([error, reply]) => (error === null ? reply : null));
      return known === id && Number(copies) >= 1;
    } catch {
      return false;
    }
  }
}
