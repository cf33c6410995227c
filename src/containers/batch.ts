import { setImmediate as nextTurn } from "node:timers/promises";
import type { Client } from "../connection/client.ts";
import { assertEntrySize } from "../connection/entry-size.ts";
import { assertOptions } from "../ground/assert.ts";
import { ConnectionLostError, InvalidArgumentError, replyError } from "../ground/errors.ts";
import type { FlatFields, Payload } from "../wire/codec.ts";
import { type IdLike, toId } from "../wire/id.ts";
import { type IdReply, IdsDecoder } from "../wire/reply.ts";
import { Request } from "../wire/request.ts";
import { ErrorReply } from "../wire/resp.ts";
import { PAGE } from "./range.ts";
import { TRIM, type TrimOptions, trimArguments } from "./trim.ts";

/** Options of {@link Stream.addMany}. */
export interface AddManyOptions<I> extends TrimOptions {
  /** Gives each value's id. @defaultValue `"*"` for each */
  readonly id?: ((value: I, index: number) => IdLike) | undefined;
  /** What travels beside every value. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Who asks for {@link addMany}. */
export interface AddManyCaller {
  /** Its name in error texts. */
  readonly name: string;
  /** Told of entries that are stored, a batch at a time. */
  readonly stored: (count: number) => void;
}

const STREAM: AddManyCaller = { name: "addMany", stored: () => {} };

/** Append many entries to one stream, a batch a round trip; the next is encoded while one is under way. */
export async function addMany<T, I, V extends I>(
  client: Client,
  key: string,
  payload: Payload<T, I>,
  values: Iterable<V> | AsyncIterable<V>,
  options: AddManyOptions<V>,
  caller: AddManyCaller = STREAM,
): Promise<string[]> {
  const { name } = caller;
  assertOptions(name, options, ["id", "headers", ...TRIM]);
  const { id, headers } = options;
  if (id !== undefined && typeof id !== "function") {
    throw new InvalidArgumentError("id", "a function that gives each value's id", id);
  }
  const head = ["XADD", client.keyPrefix + key, ...trimArguments(options)];
  const batches = new Batches(client, key, head, caller);
  const iterator = iterate(values);
  let isExhausted = false;
  try {
    for (let index = 0; ; index++) {
      // A plain iterable is not awaited value by value: that would cost more than all the rest.
      const next = iterator.next();
      const step = "then" in next ? await next : next;
      if (step.done) break;
      const encoded = encodeAt(payload, step.value, headers, { name, index, most: client.maxEntrySize });
      const fields = encoded instanceof Promise ? await encoded : encoded;
      batches.append(id === undefined ? "*" : idAt(id(step.value, index), { name, index }), fields);
      if (!batches.isFull) continue;
      await batches.send();
      // Where a wire is open it is written by then, and the server works on it while the next is encoded.
      await nextTurn();
    }
    isExhausted = true;
    await batches.send();
  } finally {
    if (!isExhausted) await iterator.return?.();
    await batches.settled();
  }
  return batches.ids;
}

/** Most characters and bytes of a batch, however few its entries are. */
export const MOST_VOLUME: number = 8 * 1024 * 1024;

/** The batch that is being encoded and the one that is under way. */
class Batches {
  /** Ids that the server has confirmed, in order. */
  readonly ids: string[] = [];
  readonly #client: Client;
  readonly #key: string;
  readonly #head = new Request();
  readonly #headLength: number;
  readonly #caller: AddManyCaller;
  #request = new Request();
  /** The memory of the batch before, which is free once that is stored. */
  #spare = new Request();
  #size = 0;
  #volume = 0;
  #underWay: Promise<void> = Promise.resolve();

  constructor(client: Client, key: string, head: readonly (string | number)[], caller: AddManyCaller) {
    this.#client = client;
    this.#key = key;
    this.#caller = caller;
    for (const arg of head) this.#head.arg(arg);
    this.#headLength = head.length;
  }

  get isFull(): boolean {
    return this.#size === PAGE || this.#volume >= MOST_VOLUME;
  }

  append(id: string, fields: FlatFields): void {
    const request = this.#request
      .open(this.#headLength + 1 + fields.length)
      .encoded(this.#head)
      .arg(id);
    for (const field of fields) {
      request.arg(field);
      this.#volume += field.length;
    }
    this.#size++;
  }

  /** Send what is encoded, once the batch before it is stored. */
  async send(): Promise<void> {
    await this.#underWay;
    const request = this.#request;
    const size = this.#size;
    if (size === 0) return;
    this.#request = this.#spare.clear();
    this.#spare = request;
    this.#size = 0;
    this.#volume = 0;
    this.#underWay = this.#store(request, size);
    this.#underWay.catch(() => {}); // Awaited before the next batch, or at the end.
  }

  /** When nothing is under way any more. */
  settled(): Promise<void> {
    return this.#underWay;
  }

  async #store(request: Request, count: number): Promise<void> {
    const facts = { command: "XADD", stream: this.#key };
    let replies: IdReply[];
    try {
      const decoder = () => new IdsDecoder(count);
      replies = await this.#client.exchange({ key: this.#key, request, decoder, isRepeatable: false, facts });
    } catch (error) {
      if (!(error instanceof ConnectionLostError)) throw error;
      throw new ConnectionLostError(error.message, { cause: error, ids: this.ids, isSent: error.isSent });
    }
    const known = this.ids.length;
    let refusal: ErrorReply | null = null;
    for (const reply of replies) {
      if (reply instanceof ErrorReply) refusal ??= reply;
      else this.ids.push(reply!);
    }
    this.#caller.stored(this.ids.length - known);
    if (refusal !== null) throw replyError(refusal.text, { ...facts, ids: this.ids });
  }
}

/** Where a value stands among those of a call. */
export interface Place {
  /** The call. */
  readonly name: string;
  /** How many are before it. */
  readonly index: number;
}

function fitting(fields: FlatFields, most: number): FlatFields {
  assertEntrySize(fields, most);
  return fields;
}

/** Encode one value, to at most so many bytes; a refusal says which one it was. */
export function encodeAt<T, I>(
  payload: Payload<T, I>,
  value: I,
  headers: Readonly<Record<string, string>> | undefined,
  place: Place & { readonly most: number },
): FlatFields | Promise<FlatFields> {
  try {
    const fields = payload.encode(value, headers);
    if (fields instanceof Promise)
      return fields
        .then((late) => fitting(late, place.most))
        .catch((error) => Promise.reject(located(error, place)));
    return fitting(fields, place.most);
  } catch (error) {
    throw located(error, place);
  }
}

/** The same refusal with the place of the value. */
export function located(error: unknown, { name, index }: Place): unknown {
  if (!(error instanceof InvalidArgumentError)) return error;
  const rule = `${error.rule} (value ${index} of ${name})`;
  return new InvalidArgumentError(error.argument, rule, error.value, { cause: error });
}

/** The id for one value; a refusal says which one it was. */
function idAt(id: IdLike, place: Place): string {
  try {
    return toId(id, "add");
  } catch (error) {
    throw located(error, place);
  }
}

/** Begin to iterate over values of either kind. */
export function iterate<I>(values: Iterable<I> | AsyncIterable<I>): Iterator<I> | AsyncIterator<I> {
  if (typeof values === "object" && values !== null) {
    if (Symbol.asyncIterator in values) return values[Symbol.asyncIterator]();
    if (Symbol.iterator in values) return values[Symbol.iterator]();
  }
  throw new InvalidArgumentError("values", "an iterable or async iterable", values);
}
