import { randomBytes } from "node:crypto";
import type { Client } from "../../connection/client.ts";
import { claimName, dropName } from "../../connection/scripts.ts";
import { beside } from "../../containers/beside.ts";

/**
 * A consumer's name that no other living worker has.
 *
 * Two workers under one name could not be told apart: one that starts would take up what the other is running. So a
 * worker claims the name of its group's consumer on every stream, for a lease at a time; where it is taken, it gets a
 * name of its own, `<name>~<random>`.
 */
export class ConsumerName {
  readonly #client: Client;
  readonly #group: string;
  readonly #wanted: string;
  readonly #keys: readonly string[];
  readonly #lease: number;
  readonly #token = randomBytes(12).toString("hex");
  #renewedAt = 0;
  /** The name, as far as is known. */
  current: string;

  /** Nothing is sent before {@link ConsumerName.claim}. */
  constructor(client: Client, group: string, wanted: string, keys: readonly string[], lease: number) {
    this.#client = client;
    this.#group = group;
    this.#wanted = wanted;
    this.#keys = keys;
    this.#lease = lease;
    this.current = wanted;
  }

  /** Whether it is a name of its own, of no use to anybody later. */
  get isOwn(): boolean {
    return this.current !== this.#wanted;
  }

  /** With what the names begin that are made where the wanted one is taken. */
  get prefix(): string {
    return `${this.#wanted}~`;
  }

  /** Claim the name, or make one. */
  async claim(): Promise<void> {
    this.#renewedAt = performance.now();
    const claims = await Promise.all(this.#keys.map((key) => this.#run(claimName, key, [this.#lease])));
    if (claims.every((claim) => claim === 1)) {
      this.current = this.#wanted;
      return;
    }
    await this.drop();
    this.current = this.prefix + randomBytes(4).toString("hex");
  }

  /** Keep it, when a third of the lease has passed; false where another worker has it by now. */
  async keep(): Promise<boolean> {
    if (this.isOwn || performance.now() - this.#renewedAt < this.#lease / 3) return true;
    this.#renewedAt = performance.now();
    const claims = await Promise.all(this.#keys.map((key) => this.#run(claimName, key, [this.#lease])));
    return claims.every((claim) => claim === 1);
  }

  /** Give it back, and keep it no more: a look that is under way would claim it again. */
  async drop(): Promise<void> {
    if (this.isOwn) return;
    this.#renewedAt = Number.POSITIVE_INFINITY;
    await Promise.all(this.#keys.map((key) => this.#run(dropName, key, [])));
  }

  async #run(script: typeof claimName, key: string, args: number[]): Promise<number> {
    const lock = beside(key, `worker:${this.#group}:${this.#wanted}`);
    const facts = { stream: key, group: this.#group };
    return Number(await this.#client.script(script, [lock], [this.#token, ...args], facts));
  }
}

/**
 * Milliseconds after which an idle consumer that holds nothing, of a name that was made for one worker, is of no use.
 *
 * @param lease - Of its worker, in milliseconds.
 */
export function goneAfter(lease: number): number {
  return Math.max(lease, 60_000);
}
