import { Client } from "../connection/client.ts";
import type { RedisLike } from "../connection/driver.ts";
import { assertEntrySize } from "../connection/entry-size.ts";
import { addOnce } from "../connection/scripts.ts";
import { addMany, encodeAt, located, type Place } from "../containers/batch.ts";
import { beside } from "../containers/beside.ts";
import { afterId } from "../containers/read.ts";
import { type TrimOptions, trimArguments } from "../containers/trim.ts";
import { assertName, assertOptions } from "../ground/assert.ts";
import { figuresPicture, printable, showable, shown } from "../ground/display.ts";
import { ClosedError, InvalidArgumentError } from "../ground/errors.ts";
import { Rate } from "../ground/meter.ts";
import { Roll } from "../ground/roll.ts";
import { legible } from "../ground/table.ts";
import {
  type Codec,
  type FlatFields,
  type InputOf,
  Payload,
  type PayloadOptions,
  type SchemaOptions,
  type TextRecord,
} from "../wire/codec.ts";
import { type IdLike, toId } from "../wire/id.ts";
import type { Argument } from "../wire/resp.ts";
import { createGroup } from "./create-group.ts";
import { Encoded } from "./encoded.ts";
import { Outbox } from "./outbox.ts";
import {
  OPTIONS,
  type ProducerMetrics,
  type ProducerOptions,
  type PushManyOptions,
  type PushOptions,
  type StreamProducerMetrics,
  times,
  UNITS,
} from "./producer-options.ts";
import { Supply } from "./supply.ts";

/**
 * Adds entries to one stream, many callers at once: what is pushed while a write is under way shares the next one.
 *
 * Pushes are stored in the order in which they are made, those with an idempotency key and those without each among
 * themselves; between the two kinds there is no order.
 *
 * @typeParam T - The payload as others read it.
 * @typeParam I - The payload as it is pushed.
 * @example
 * ```ts
 * import { Database, Producer } from "walrus-streams";
 *
 * await using db = new Database();
 * await using orders = new Producer(db, "orders", { maxlen: 100_000 });
 * const ids = await Promise.all(["a-1", "a-2"].map((sku) => orders.push({ sku })));
 * const id = await orders.push({ sku: "b-1" }, { idempotencyKey: "order 7" });
 * console.log(ids, id === (await orders.push({ sku: "b-1" }, { idempotencyKey: "order 7" }))); // true
 * ```
 * @see https://redis.io/docs/latest/commands/xadd/
 */
export class Producer<T = TextRecord, I = InputOf<T>> {
  static readonly #roll = new Roll<{ readonly key: string; metrics(): ProducerMetrics }>();

  /** The stream's key, without `keyPrefix`. */
  readonly key: string;
  readonly #client: Client;
  readonly #payload: Payload<T, I>;
  readonly #trim: TrimOptions;
  readonly #bounds: readonly Argument[];
  readonly #window: number;
  readonly #plain: Outbox;
  readonly #keyed: Outbox;
  /** Calls of `pushMany` that have not ended. */
  readonly #running = new Map<Promise<unknown>, Supply<unknown>>();
  readonly #rate = new Rate();
  readonly #closing = new AbortController();
  #failed = 0;
  #closed: Promise<void> | null = null;

  /** A producer whose payloads a schema judges and types; nothing is sent. */
  constructor(redis: RedisLike, key: string, options: ProducerOptions & SchemaOptions<T, I>);
  /** A producer for a stream of a database, or of any `Redis` or `Cluster` of ioredis; nothing is sent. */
  constructor(redis: RedisLike, key: string, options?: ProducerOptions & PayloadOptions<T, I>);
  constructor(
    redis: RedisLike,
    key: string,
    options: ProducerOptions & (PayloadOptions<T, I> | SchemaOptions<T, I>) = {},
  ) {
    assertName("key", key);
    assertOptions("producer", options, OPTIONS);
    const { codec, schema, linger: _linger, window: _window, ...trim } = options;
    const { linger, window } = times(options);
    this.key = key;
    this.#client = Client.of(redis);
    this.#payload = new Payload<T, I>(codec as Codec<unknown, unknown> | undefined, schema);
    this.#trim = trim;
    this.#bounds = trimArguments(trim);
    this.#window = window;
    const stream = this.#client.keyPrefix + key;
    const host = { client: this.#client, key, linger, stored: (count: number) => this.#rate.add(count) };
    this.#plain = new Outbox({ ...host, head: new Encoded(["XADD", stream, ...this.#bounds]) });
    this.#keyed = new Outbox({
      ...host,
      head: new Encoded(["EVALSHA", addOnce.sha, 2, stream]),
      full: new Encoded(["EVAL", addOnce.lua, 2, stream]),
    });
    Producer.#roll.add(this);
  }

  /** What the producers of this process that are not closed have done, with their streams' keys. */
  static allMetrics(): StreamProducerMetrics[] {
    return Producer.#roll.all().map((producer) => ({ stream: producer.key, ...producer.metrics() }));
  }

  /**
   * Append an entry. Sends `XADD`, or a script where there is an `idempotencyKey`, over a wire.
   *
   * A push with a key is sent again by itself after a lost connection, and may be repeated by its caller: within the
   * window it is stored once. One without is never sent twice.
   *
   * @returns the id that the entry got.
   * @throws InvalidArgumentError for data that the codec or schema refuses, before anything is sent; for an
   * `idempotencyKey` in a cluster where the stream's slot cannot be told by a hash tag (a `keyPrefix`, a `}` in the key).
   * @throws WrongTypeError where the key holds something else; ReplyError where the id is not after the last one.
   * @throws ConnectionLostError where it is unknown whether the entry is there (`isSent`) or it is not (`isSent: false`).
   * @throws ClosedError where the producer or the database is closed.
   */
  push(data: I, options: PushOptions = {}): Promise<string> {
    // Not an async function: each costs a push a turn of the queue.
    return new Promise((resolve, reject) => {
      const refuse = (error: unknown): void => {
        this.#failed++;
        reject(error);
      };
      try {
        if (this.#isClosed) throw closed();
        assertOptions("push", options, ["id", "headers", "idempotencyKey"]);
        const { id = "*", headers, idempotencyKey } = options;
        const exact = toId(id, "add");
        const isKeyed = idempotencyKey !== undefined;
        const start = isKeyed ? this.#once(idempotencyKey, exact) : [exact];
        const fields = this.#payload.encode(data, headers);
        const entry =
          fields instanceof Promise
            ? fields.then((late) => this.#encoded(start, late))
            : this.#encoded(start, fields);
        (isKeyed ? this.#keyed : this.#plain).post(entry, resolve, refuse);
      } catch (error) {
        refuse(error);
      }
    });
  }

  /**
   * Append many entries, in order, 1,000 a round trip, after the pushes made before it; two calls run side by side.
   *
   * Where the producer is closed meanwhile, an array, `Set` or `Map` is stored to its end; from any other iterable
   * nothing more is taken, what was taken is stored, and the call rejects.
   *
   * @param values - Any iterable or async iterable; it is never held whole.
   * @returns the ids, in order; `[]` for no values.
   * @throws what {@link Stream.addMany} throws; with idempotency keys the first failure, and the call may be repeated.
   * @throws ClosedError where the producer is closed, before or meanwhile.
   */
  pushMany<V extends I>(
    values: Iterable<V> | AsyncIterable<V>,
    options: PushManyOptions<V> = {},
  ): Promise<string[]> {
    let pushing: Promise<string[]>;
    try {
      if (this.#isClosed) throw closed();
      assertOptions("pushMany", options, ["headers", "idempotencyKey"]);
      const { idempotencyKey } = options;
      if (idempotencyKey !== undefined && typeof idempotencyKey !== "function")
        throw new InvalidArgumentError("idempotencyKey", "a function that gives one", idempotencyKey);
      const supply = new Supply(values);
      pushing =
        idempotencyKey === undefined ? this.#addMany(supply, options) : this.#pushAll(supply, options);
      this.#running.set(pushing, supply);
    } catch (error) {
      pushing = Promise.reject(error);
    }
    const over = () => this.#running.delete(pushing);
    pushing.then(over, () => {
      this.#failed++;
      over();
    });
    return pushing;
  }

  /**
   * Make a group on the stream, and the stream where it is not there. Sends `XGROUP CREATE ... MKSTREAM`.
   *
   * @param from - The id after which the group begins.
   * @returns false where the group was there already; it is then left as it is.
   */
  async ensureGroup(name: string, from: IdLike = "0-0"): Promise<boolean> {
    assertName("group", name);
    const starts = new Map([[this.key, afterId(from)]]);
    this.#closing.signal.throwIfAborted();
    const made = await createGroup(this.#client, name, starts, this.#closing.signal);
    return made.length > 0;
  }

  /** When all calls made so far are settled, `pushMany` included; nothing lingers. Their failures are theirs. */
  async flush(): Promise<void> {
    await Promise.all([this.#plain.flush(), this.#keyed.flush(), Promise.allSettled(this.#running.keys())]);
  }

  /** Refuse new calls, and resolve when those made before are settled. Closing again waits for the same. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  /** The same as {@link Producer.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What it has done so far. */
  metrics(): ProducerMetrics {
    const { count: pushed, recent: rate, average: averageRate, uptime } = this.#rate;
    return shown({ pushed, failed: this.#failed, rate, averageRate, uptime }, (metrics) =>
      figuresPicture(`Producer ${this.key}`, metrics, UNITS),
    );
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #end(): Promise<void> {
    this.#closing.abort(closed());
    for (const supply of this.#running.values()) supply.cut();
    await this.flush();
    Producer.#roll.remove(this);
  }

  /** What stands before the fields where the script `addOnce` is told of an entry. */
  #once(idempotencyKey: string, id: string): readonly Argument[] {
    assertName("idempotencyKey", idempotencyKey);
    const memory = beside(this.key, `once:${idempotencyKey}`);
    if (this.#client.groupBySlot([this.key, memory]).length > 1) {
      const rule = "absent in a cluster where the key's slot cannot be told by a hash tag: give the key one";
      throw new InvalidArgumentError("idempotencyKey", rule, idempotencyKey);
    }
    return [this.#client.keyPrefix + memory, this.#window, ...this.#bounds, id];
  }

  #encoded(start: readonly Argument[], fields: FlatFields): Encoded {
    assertEntrySize(fields, this.#client.maxEntrySize);
    return new Encoded(start, fields);
  }

  #onceAt(idempotencyKey: string, place: Place): readonly Argument[] {
    try {
      return this.#once(idempotencyKey, "*");
    } catch (error) {
      throw located(error, place);
    }
  }

  /** Push values that have no keys, beside the outbox: none of them waits for an answer of its own. */
  async #addMany<V extends I>(supply: Supply<V>, { headers }: PushManyOptions<V>): Promise<string[]> {
    await this.#plain.flush();
    const options = { ...this.#trim, ...(headers === undefined ? {} : { headers }) };
    const caller = { name: "pushMany", stored: (count: number) => this.#rate.add(count) };
    const ids = await addMany(this.#client, this.key, this.#payload, supply, options, caller);
    if (supply.isCut) throw closed();
    return ids;
  }

  /** Push values that have keys, no more than two batches ahead of what is stored. */
  async #pushAll<V extends I>(supply: Supply<V>, options: PushManyOptions<V>): Promise<string[]> {
    const { headers, idempotencyKey } = options;
    const ids: string[] = [];
    const failures: unknown[] = [];
    let isExhausted = false;
    try {
      for (let index = 0; failures.length === 0; index++) {
        const next = supply.step();
        const { done, value } = next instanceof Promise ? await next : next;
        isExhausted = done === true;
        if (isExhausted) break;
        const place = { name: "pushMany", index, most: this.#client.maxEntrySize };
        const encoded = encodeAt(this.#payload, value, headers, place);
        const fields = encoded instanceof Promise ? await encoded : encoded;
        const start = this.#onceAt(idempotencyKey!(value, index), place);
        const stored = (id: string): void => {
          ids[index] = id;
        };
        this.#keyed.post(new Encoded(start, fields), stored, (error) => failures.push(error));
        while (this.#keyed.isBehind) await this.#keyed.progress();
      }
    } finally {
      if (!isExhausted) await supply.return();
      await this.#keyed.flush();
    }
    if (failures.length > 0) throw failures[0];
    if (supply.isCut) throw closed();
    return ids;
  }
}

printable(Producer, (producer) => `<Producer ${legible(producer.key)}>`);
showable(Producer, (producer) => figuresPicture(`Producer ${producer.key}`, producer.metrics(), UNITS));

function closed(): ClosedError {
  return new ClosedError("the producer is closed");
}
