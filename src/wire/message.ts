import { assertName, assertOptions } from "../ground/assert.ts";
import { printable, tabular } from "../ground/display.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import { DecodeError, SettledError } from "../ground/errors.ts";
import { legible } from "../ground/table.ts";
import {
  decodeHeaders,
  HEADERS_FIELD,
  issuesOf,
  NO_HEADERS,
  type Payload,
  type RawField,
  setOwn,
  TOO_LARGE,
  withoutHeaders,
} from "./codec.ts";
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

/** Makes one kind of message from what was read of an entry; a method's type, so that lists of any payload mix. */
export type MessageMaker<T, M> = {
  make(id: string, data: T, headers: Readonly<Record<string, string>>): M;
}["make"];

/**
 * Collects the messages of one stream from one reply: decoded ones in order, and what would not decode.
 * Entries come in by {@link MessageList.text} from the fast path or by {@link MessageList.fields}.
 */
export class MessageList<T, M> {
  /** Whether the reader may give text records. */
  readonly takesText: boolean;
  /** How many entries came in, decoded or not, the deleted ones too. */
  count = 0;
  /** Id of the last entry that came in. */
  lastId: string | null = null;
  /** Key of the stream, without `keyPrefix`. */
  readonly stream: string;
  readonly #payload: Payload<T, never>;
  readonly #make: MessageMaker<T, M>;
  readonly #messages: M[] = [];
  #waiting: Promise<void>[] | null = null;
  #holes: { index: number; error: DecodeError }[] | null = null;

  /** Collect for a stream, by its payload and its kind of message. */
  constructor(stream: string, payload: Payload<T, never>, make: MessageMaker<T, M>) {
    this.stream = stream;
    this.#payload = payload;
    this.#make = make;
    this.takesText = payload.isPlainText;
  }

  /**
   * Take an entry whose fields are a text record already; `headers` is the reserved field's text.
   * False, and nothing taken, where the headers do not decode: then {@link MessageList.fields} is to refuse the entry,
   * with its bytes as they are stored.
   */
  text(id: string, data: Record<string, string>, headers: string | null): boolean {
    let read = NO_HEADERS;
    try {
      if (headers !== null) read = decodeHeaders(headers);
    } catch {
      return false;
    }
    this.count++;
    this.lastId = id;
    this.#messages.push(this.#make(id, data as T, read));
    return true;
  }

  /** Take an entry that is pending but deleted from the stream: there is nothing left to give. */
  deleted(id: string): void {
    this.count++;
    this.lastId = id;
  }

  /** Take an entry that is larger than a reader may hold: all that is known of it is its id. */
  tooLarge(id: string): void {
    this.deleted(id);
    this.#refuse(id, [], TOO_LARGE);
  }

  /** Take an entry's raw fields; views into a buffer that may change after the call. */
  fields(id: string, fields: readonly RawField[]): void {
    this.count++;
    this.lastId = id;
    try {
      const at = fields.findLastIndex((field) => field.name === HEADERS_FIELD);
      const headers = at < 0 ? NO_HEADERS : decodeHeaders(fields[at]!.value.toString());
      const data = this.#payload.decode(at < 0 ? fields : withoutHeaders(fields, at), headers);
      if (data instanceof Promise) this.#await(id, fields, headers, data);
      else this.#messages.push(this.#make(id, data, headers));
    } catch (error) {
      this.#refuse(id, fields, error);
    }
  }

  /**
   * All messages, in order.
   *
   * @throws DecodeError for the first entry that was refused; its `decoded` holds the others.
   */
  messages(): M[] | Promise<M[]> {
    if (this.#waiting === null) return this.#settled();
    return Promise.all(this.#waiting).then(() => this.#settled());
  }

  /** All messages, in order, with what was refused in its place. */
  outcomes(): (M | DecodeError)[] | Promise<(M | DecodeError)[]> {
    if (this.#waiting === null) return this.#mixed();
    return Promise.all(this.#waiting).then(() => this.#mixed());
  }

  #mixed(): (M | DecodeError)[] {
    if (this.#holes === null) return this.#messages;
    const mixed: (M | DecodeError)[] = [...this.#messages];
    for (const { index, error } of this.#holes) mixed[index] = error;
    return mixed;
  }

  #settled(): M[] {
    if (this.#holes === null) return this.#messages;
    const holes = this.#holes.sort((a, b) => a.index - b.index);
    const refused = new Set(holes.map((hole) => hole.index));
    const { stream, id, fields, issues } = holes[0]!.error;
    const decoded = this.#messages.filter((_, index) => !refused.has(index));
    throw new DecodeError({ stream, id, fields }, issues, { decoded });
  }

  #await(
    id: string,
    fields: readonly RawField[],
    headers: Readonly<Record<string, string>>,
    data: Promise<T>,
  ): void {
    const index = this.#messages.push(undefined as M) - 1;
    const kept = fields.map(({ name, value }) => ({ name, value: Buffer.from(value) }));
    this.#waiting ??= [];
    this.#waiting.push(
      data.then(
        (value) => {
          this.#messages[index] = this.#make(id, value, headers);
        },
        (error) => this.#refuse(id, kept, error, index),
      ),
    );
  }

  #refuse(id: string, fields: readonly RawField[], error: unknown, index?: number): void {
    const raw: Record<string, Buffer> = {};
    for (const { name, value } of fields) setOwn(raw, name, Buffer.from(value));
    this.#holes ??= [];
    this.#holes.push({
      index: index ?? this.#messages.push(undefined as M) - 1,
      error: new DecodeError({ stream: this.stream, id, fields: raw }, issuesOf(error)),
    });
  }
}
