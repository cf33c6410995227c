import { Client } from "../connection/client.ts";
import type { RedisLike } from "../connection/driver.ts";
import { assertName } from "../ground/assert.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import type { Argument } from "../wire/resp.ts";

/** One key of a database. */
export abstract class Container {
  /** The key, without `keyPrefix`. */
  readonly key: string;
  /** The connection's commands and wires. */
  protected readonly client: Client;

  /** Name a key of a database; nothing is sent. */
  constructor(redis: RedisLike, key: string) {
    assertName("key", key);
    this.client = Client.of(redis);
    this.key = key;
  }

  /** Whether the key is there. Sends `EXISTS`. */
  async exists(): Promise<boolean> {
    return this.#did("exists", [this.key]);
  }

  /** Delete the key and all in it, whatever its type. Sends `DEL`; false where it was not there. */
  async clear(): Promise<boolean> {
    return this.#did("del", [this.key]);
  }

  /**
   * Have the key deleted after a time, or at a moment. Sends `PEXPIRE` or `PEXPIREAT`.
   *
   * @param when - Milliseconds or a `Duration` from now, or the moment as a `Date`.
   * @returns false where the key is not there.
   */
  async expire(when: Time | Date): Promise<boolean> {
    if (when instanceof Date) {
      if (Number.isNaN(when.getTime())) throw new InvalidArgumentError("when", "a valid Date", when);
      return this.#did("pexpireat", [this.key, when.getTime()]);
    }
    return this.#did("pexpire", [this.key, toMilliseconds("when", when)]);
  }

  /** Send a command that says 1 where it did something; as a text where ioredis's `stringNumbers` is set. */
  async #did(command: string, args: Argument[]): Promise<boolean> {
    return Number(await this.client.command(command, args, { stream: this.key })) === 1;
  }
}
