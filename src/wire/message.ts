import { assertName, assertOptions } from "../ground/assert.ts";
import { printable, tabular } from "../ground/display.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { SettledError } from "../ground/errors.ts";
import { legible } from "../ground/table.ts";
import { NO_HEADERS } from "./codec.ts";
import { millisecondsOf, sequenceOf } from "./id.ts";
import { messageColumns } from "./message-table.ts";

/** A message as a plain object. */
export interface MessageJson<T> {
  /** Key of the stream. */
  readonly stream: string;
  /** The entry id. */
  readonly id: string;
  /** The millisecond part of the id, UTC. */
  readonly timestamp: Date;
  /** The sequence part of the id. */
  readonly sequence: number;
  /** The payload. */
  readonly data: T;
  /** What travels beside the payload. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A group's message as a plain object. */
export interface GroupMessageJson<T> extends MessageJson<T> {
  /** Name of the group. */
  readonly group: string;
  /** Name of the consumer it was delivered to. */
  readonly consumer: string;
  /** How often it has been delivered. */
  readonly deliveries: number;
}

/**
 * One entry of a stream.
 *
 * @typeParam T - The payload, as the codec and schema give it.
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * for (const m of await db.Stream("orders").range()) console.log(m.id, m.timestamp, m.data);
 * ```
 */
export class Message<T> {
  /** Key of the stream it was read from, without `keyPrefix`. */
  readonly stream: string;
  /** The entry id, such as `"1514872800000-0"`. */
  readonly id: string;
  /** The payload, as the codec and schema give it. */
  readonly data: T;
  /** What travels beside the payload; frozen and empty where there is nothing. */
  readonly headers: Readonly<Record<string, string>>;

  /** Readers make messages; there is rarely a reason to make one by hand. */
  constructor(stream: string, id: string, data: T, headers: Readonly<Record<string, string>> = NO_HEADERS) {
    this.stream = stream;
    this.id = id;
    this.data = data;
    this.headers = headers;
  }

  /** The millisecond part of the id, UTC; made anew at each call. */
  get timestamp(): Date {
    return new Date(millisecondsOf(this.id));
  }

  /** The sequence part of the id; above 2^53 the nearest number. */
  get sequence(): number {
    return sequenceOf(this.id);
  }

  /** A plain object for `JSON.stringify`. */
  toJSON(): MessageJson<T> {
    const { stream, id, timestamp, sequence, data, headers } = this;
    return { stream, id, timestamp, sequence, data, headers };
  }
}

// `<Message s1 1514872800000-0 { temp: '7.1' }>`, with the headers where there are some.
printable(Message, (message, inspect) => {
  const { stream, id, data, headers } = message;
  const more = Object.keys(headers).length > 0 ? ` ${inspect(headers)}` : "";
  return `<${message.constructor.name} ${legible(stream)} ${id} ${inspect(data)}${more}>`;
});
const nameOf = ({ stream, id }: Message<unknown>): string => `Message ${id} of ${stream}`;
tabular(Message, messageColumns, nameOf);

/** One delivery of an entry, by which a settlement is known to be of it and not of a later one. */
export interface Delivered {
  /** Id of the entry. */
  readonly id: string;
  /** How often it had been delivered; every delivery has its own count. */
  readonly deliveries: number;
}

/** Whose a group message is and what becomes of it; the group's stream provides it, or the worker that runs it. */
export interface Delivery {
  /** Name of the group. */
  readonly group: string;
  /** Name of the consumer it was delivered to. */
  readonly consumer: string;
  /** Acknowledge it. */
  ack(message: GroupMessage<unknown>): Promise<void>;
  /** Have it delivered again after milliseconds; `null` is the default. False where it is not its consumer's. */
  retry(message: GroupMessage<unknown>, delay: number | null): Promise<boolean>;
  /** Move it to the dead letters. False where it is not its consumer's. */
  reject(message: GroupMessage<unknown>, reason: string): Promise<boolean>;
  /** Keep it for another lease. False where it is not its consumer's. */
  extend(message: GroupMessage<unknown>): Promise<boolean>;
}

let settled: (message: GroupMessage<unknown>) => boolean;
let mark: (message: GroupMessage<unknown>, isSettled: boolean) => void;

/** Whether a message was acknowledged, sent to be retried, or rejected. */
export function isSettled<T>(message: GroupMessage<T>): boolean {
  return settled(message);
}

/** Count a message as settled, or as open again where settling it failed. */
export function markSettled<T>(message: GroupMessage<T>, isSettled = true): void {
  mark(message, isSettled);
}

/**
 * A message that was delivered through a consumer group and waits to be settled: by {@link GroupMessage.ack},
 * {@link GroupMessage.retry} or {@link GroupMessage.reject}, once.
 *
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 *
 * await using db = new Database();
 * const cg = db.consumerGroup("billing", ["orders"]);
 * await cg.ensure();
 * for (const m of await cg.orders.read({ count: 10 })) {
 *   if (m.data.total === undefined) await m.reject("no total");
 *   else if (m.data.total === "0") await m.retry({ delay: { minutes: 1 } });
 *   else await m.ack();
 * }
 * ```
 */
export class GroupMessage<T> extends Message<T> {
  static {
    settled = (message) => message.#isSettled;
    mark = (message, isSettled) => {
      message.#isSettled = isSettled;
    };
  }

  /** How often it has been delivered, by the server's own count; 1 for a new one. */
  readonly deliveries: number;
  readonly #delivery: Delivery;
  #isSettled = false;

  /** Group reads make these. */
  constructor(
    stream: string,
    id: string,
    data: T,
    headers: Readonly<Record<string, string>>,
    deliveries: number,
    delivery: Delivery,
  ) {
    super(stream, id, data, headers);
    this.deliveries = deliveries;
    this.#delivery = delivery;
  }

  /** Name of the group. */
  get group(): string {
    return this.#delivery.group;
  }

  /** Name of the consumer it was delivered to. */
  get consumer(): string {
    return this.#delivery.consumer;
  }

  /**
   * Acknowledge it: it leaves the pending entries. Sends `XACK`, one for all messages of a stream that are
   * acknowledged in the same turn of the event loop.
   *
   * Resolves when the server has it; harmless where the entry is not pending any more.
   *
   * @throws SettledError where this message was settled already.
   */
  ack(): Promise<void> {
    return this.#settle() ?? this.#delivery.ack(this);
  }

  /**
   * Have it delivered again, to any worker of the group, when `delay` has passed by the server's own idle time.
   *
   * It waits among the pending entries of a consumer named `@retry:<milliseconds>`, so that the delay survives this
   * process; the delay is rounded up to two digits. A {@link Worker} of the group takes it up from there.
   *
   * @param options - `delay`, milliseconds or a `Duration`; default: the worker's schedule, or at once without one.
   * @returns false where it was not this consumer's any more, and nothing was done.
   * @throws SettledError where this message was settled already.
   */
  retry(options: { readonly delay?: Time | undefined } = {}): Promise<boolean> {
    assertOptions("retry", options, ["delay"]);
    const delay = options.delay === undefined ? null : toMilliseconds("delay", options.delay);
    return this.#settle() ?? this.#delivery.retry(this, delay);
  }

  /**
   * Move it to the dead letters, in one step: added there and acknowledged here, or neither.
   *
   * @param reason - Why, in words; kept with it.
   * @returns false where it was not this consumer's any more, and nothing was done.
   * @throws SettledError where this message was settled already; WrongTypeError where the dead letters' key holds
   * something else, and the entry stays pending.
   */
  reject(reason: string): Promise<boolean> {
    assertName("reason", reason);
    return this.#settle() ?? this.#delivery.reject(this, reason);
  }

  /**
   * Say that it is still being worked on: its idle time begins again. A worker does so by itself.
   *
   * @returns false where it was not this consumer's any more.
   * @throws SettledError where this message was settled already.
   */
  extend(): Promise<boolean> {
    if (this.#isSettled) return Promise.reject(new SettledError(this.id));
    return this.#delivery.extend(this);
  }

  /** A plain object for `JSON.stringify`. */
  override toJSON(): GroupMessageJson<T> {
    const { group, consumer, deliveries } = this;
    return { ...super.toJSON(), group, consumer, deliveries };
  }

  /** Count it as settled; a rejection where it is already. */
  #settle(): Promise<never> | null {
    if (this.#isSettled) return Promise.reject(new SettledError(this.id));
    this.#isSettled = true;
    return null;
  }
}

const DELIVERIES = { head: "deliveries", of: ({ deliveries }: GroupMessage<unknown>): number => deliveries };
tabular(GroupMessage, (messages) => messageColumns(messages, [DELIVERIES]), nameOf);
