import { assertInteger, assertOptions } from "../../ground/assert.ts";
import { printable } from "../../ground/display.ts";
import { type Time, toMilliseconds } from "../../ground/duration.ts";
import { ClosedError } from "../../ground/errors.ts";
import type { Message } from "../../wire/message.ts";
import type { Published } from "./outlet.ts";

/** What a test may say of what it waits for. */
export interface WitnessOptions {
  /** Only of this stream. @defaultValue any */
  readonly stream?: string | undefined;
  /** How long to wait. @defaultValue 10 seconds */
  readonly timeout?: Time | undefined;
}

/** Things that happen, kept for who waits for them. */
class Witness<S extends { readonly stream: string }> {
  readonly #what: string;
  readonly #seen: S[] = [];
  readonly #looks = new Set<() => void>();
  #isOver = false;

  constructor(what: string) {
    this.#what = what;
  }

  readonly tell = (one: S): void => {
    this.#seen.push(one);
    this.#look();
  };

  end(): void {
    this.#isOver = true;
    this.#look();
  }

  first(count: number, { stream, timeout = 10_000 }: WitnessOptions): Promise<S[]> {
    assertInteger("count", count, 1);
    const ms = toMilliseconds("timeout", timeout);
    return new Promise((resolve, reject) => {
      const look = (isLate: boolean): void => {
        const some = this.#seen.filter((one) => stream === undefined || one.stream === stream);
        if (some.length < count && !this.#isOver && !isLate) return;
        this.#looks.delete(onChange);
        clearTimeout(timer);
        if (some.length >= count) {
          resolve(some.slice(0, count));
          return;
        }
        const where = stream === undefined ? "" : ` of ${JSON.stringify(stream)}`;
        const what = `${some.length} of ${count} messages${where} were ${this.#what}`;
        reject(
          isLate ? new Error(`${what} within ${ms} ms`) : new ClosedError(`the app stopped when ${what}`),
        );
      };
      const onChange = (): void => look(false);
      const timer = setTimeout(() => look(true), ms);
      this.#looks.add(onChange);
      onChange();
    });
  }

  #look(): void {
    for (const look of this.#looks) look();
  }
}

/** What an app tells its test. */
export class Witnesses {
  /** Messages that were handled. */
  readonly handled: Witness<Message<unknown>> = new Witness("handled");
  /** What was published. */
  readonly published: Witness<Published> = new Witness("published");

  /** The app has stopped. */
  end(): void {
    this.handled.end();
    this.published.end();
  }
}

/**
 * An app under test, by {@link App.test}: on a real server, without sleeps.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { startServer } from "walrus-streams/testing";
 *
 * await using server = await startServer();
 * await using db = new Database(server.url);
 * const app = db.app({ name: "shop" });
 * app.subscriber("orders", { group: "billing", publishTo: "payments" }, () => ({ paid: 7 }));
 * await using t = await app.test();
 * await app.publish({ total: 7 }, { stream: "orders" });
 * const [order] = await t.handled(1);
 * const [, payment] = await t.published(2);
 * console.log(order?.data, payment?.value); // { total: 7 } { paid: 7 }
 * ```
 */
export class TestApp {
  readonly #witnesses: Witnesses;
  readonly #stop: () => Promise<void>;

  /** Made by {@link App.test}. @internal */
  constructor(witnesses: Witnesses, stop: () => Promise<void>) {
    this.#witnesses = witnesses;
    this.#stop = stop;
  }

  /**
   * The first messages that were handled since the test began: their handlers have succeeded, and what those returned is
   * published. Their acknowledgements are on the way.
   *
   * @returns so many messages, in the order in which they were done.
   * @throws Error where there are not so many in time; ClosedError where the app stops before; InvalidArgumentError for a
   * count below 1.
   */
  async handled(count: number, options: WitnessOptions = {}): Promise<Message<unknown>[]> {
    assertOptions("handled", options, ["stream", "timeout"]);
    return this.#witnesses.handled.first(count, options);
  }

  /**
   * The first values that the app has published since the test began, replies among them.
   *
   * @returns so many, in the order in which the server has confirmed them.
   * @throws Error where there are not so many in time; ClosedError where the app stops before; InvalidArgumentError for a
   * count below 1.
   */
  async published(count: number, options: WitnessOptions = {}): Promise<Published[]> {
    assertOptions("published", options, ["stream", "timeout"]);
    return this.#witnesses.published.first(count, options);
  }

  /** Stop the app. */
  stop(): Promise<void> {
    return this.#stop();
  }

  /** The same as {@link TestApp.stop}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#stop();
  }
}

printable(TestApp, () => "<TestApp>");
