import { setMaxListeners } from "node:events";
import {
  ConnectionLostError,
  DecodeError,
  describe,
  ProtocolError,
  ReplyError,
  type ReplyErrorOptions,
  replyError,
} from "../ground/errors.ts";
import type { MessageList } from "../wire/message-list.ts";
import { EntriesDecoder, StreamsDecoder } from "../wire/reply.ts";
import { Request } from "../wire/request.ts";
import { ErrorReply, SequenceDecoder } from "../wire/resp.ts";
import { type Value, ValuesDecoder } from "../wire/values.ts";
import type { Client } from "./client.ts";
import { isUntrusted } from "./untrusted.ts";

/** The longest a read blocks on the server at a time, in milliseconds. */
export const SLICE = 5000;
/** How much longer than its block a read may take before its connection counts as lost, in milliseconds. */
const MARGIN = 2000;
const PAGE = 1000;

/** The group side of a read. */
export interface ReadingGroup {
  /** Name of the group. */
  readonly name: string;
  /** Name of the consumer. */
  readonly consumer: string;
  /**
   * Last id this consumer was given since the cursor was set, by key: what is pending beyond it came in a reply that
   * was lost.
   */
  readonly seen: Map<string, string>;
  /** When a read was sent whose reply never came, by key, until what it may have brought is looked for. */
  doubts?: Map<string, number>;
}

/** One read of `XREAD` or `XREADGROUP`, checked already. */
export interface ReadPlan<T, M> {
  /** Where to go on, by key: an id, `$`, or `>`. */
  readonly after: ReadonlyMap<string, string>;
  /** Most entries a stream. */
  readonly count: number | undefined;
  /** Milliseconds to wait for an entry; 0 is for ever, absent is not at all. */
  readonly block: number | undefined;
  /** Read through this group. */
  readonly group?: ReadingGroup;
  /** Read without pending entries. */
  readonly noAck?: boolean | undefined;
  /** Ends the wait. */
  readonly signal: AbortSignal | undefined;
  /** Makes the list for a stream's messages. */
  readonly list: (key: string) => MessageList<T, M>;
  /** Told of each lost connection before the next try. */
  readonly onLost?: ((error: ConnectionLostError) => void) | undefined;
  /** False where the caller itself tries again after a lost connection. @defaultValue true */
  readonly isPatient?: boolean | undefined;
}

/**
 * Read streams, blocking as long as the plan says.
 *
 * A long block is cut into slices of {@link SLICE}; `$` is pinned to a real id before the first, so that nothing
 * added between two slices is missed. In a cluster there is one read for each slot, and what one brings ends the
 * wait of the others; what those had received by then is in the result too.
 *
 * @returns the messages by key, only keys that have some.
 */
export async function read<T, M>(client: Client, plan: ReadPlan<T, M>): Promise<Map<string, M[]>> {
  const slots = client.groupBySlot([...plan.after.keys()]);
  if (slots.length === 1) return collect(await readSlot(client, plan, plan.after, plan.signal));
  const enough = new AbortController();
  const signal = plan.signal ? AbortSignal.any([plan.signal, enough.signal]) : enough.signal;
  setMaxListeners(0, signal); // One listener for each slot.
  const outcomes = await Promise.allSettled(
    slots.map(async (keys) => {
      let lists: MessageList<T, M>[] = [];
      try {
        lists = await readSlot(client, plan, new Map(keys.map((key) => [key, plan.after.get(key)!])), signal);
        if (lists.length > 0) enough.abort(enough);
      } catch (error) {
        if (error === enough) return [];
        enough.abort(enough);
        throw error;
      }
      return lists;
    }),
  );
  const lists = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  // What a group was given must not be dropped for another slot's failure; the next read meets that again.
  if (failure !== undefined && lists.length === 0) throw failure.reason;
  return collect(lists);
}

async function collect<T, M>(lists: readonly MessageList<T, M>[]): Promise<Map<string, M[]>> {
  const messages = new Map<string, M[]>();
  const keep = (key: string, more: M[]): void => {
    const some = messages.get(key);
    if (some) some.push(...more);
    else if (more.length > 0) messages.set(key, more);
  };
  let refusal: DecodeError | null = null;
  for (const list of lists) {
    try {
      keep(list.stream, await list.messages());
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      refusal ??= error;
      keep(list.stream, error.decoded as M[]);
    }
  }
  if (refusal !== null)
    throw new DecodeError(refusal, refusal.issues, { decoded: [...messages.values()].flat() });
  return messages;
}

/** Read keys of one slot: the lists that have entries, deleted ones among them. */
export async function readSlot<T, M>(
  client: Client,
  plan: ReadPlan<T, M>,
  after: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): Promise<MessageList<T, M>[]> {
  signal?.throwIfAborted();
  const { block, group, noAck, isPatient = true } = plan;
  const positions = await pin(client, after, signal);
  const news = group === undefined ? [] : [...positions.keys()].filter((key) => positions.get(key) === ">");
  const isGuarded = news.length > 0 && !noAck;
  const start = performance.now();
  for (let losses = 0; ; ) {
    const left = block === undefined ? 0 : block === 0 ? SLICE : Math.ceil(start + block - performance.now());
    const slice = block === undefined ? undefined : Math.max(1, Math.min(SLICE, left));
    const sent = performance.now();
    let lists: MessageList<T, M>[];
    let isRecovery = false;
    try {
      if (isGuarded) {
        const doubted = news.filter((key) => group!.doubts?.has(key));
        isRecovery = doubted.length > 0;
        lists = isRecovery ? await recover(client, plan, doubted, signal) : [];
      } else lists = [];
      if (!isRecovery) {
        lists = await exchange(client, plan, positions, slice, isPatient && news.length === 0, signal);
        losses = 0;
      }
    } catch (error) {
      // Whoever reads next with this group looks for what the reply may have brought.
      if (isGuarded && !isRecovery && isInDoubt(error)) doubt(group!, news, sent);
      if (!(error instanceof ConnectionLostError) || !isGuarded || isUntrusted(error.cause)) throw error;
      if (!isPatient || losses++ >= MAX_RECOVERIES) throw error;
      plan.onLost?.(error);
      continue;
    }
    if (group !== undefined) {
      for (const list of lists)
        if (positions.get(list.stream) === ">") group.seen.set(list.stream, list.lastId!);
    }
    if (lists.length > 0) return lists;
    if (isRecovery) continue;
    if (block === undefined || (block > 0 && performance.now() >= start + block)) return [];
    signal?.throwIfAborted();
  }
}

/** Whether a read may have been carried out that failed so: the server did not refuse it. */
function isInDoubt(error: unknown): boolean {
  if (error instanceof ReplyError) return false;
  return !(error instanceof ConnectionLostError) || error.isSent;
}

/** Remember that a read's reply never came; the earliest such time counts. */
function doubt(group: ReadingGroup, keys: readonly string[], sent: number): void {
  group.doubts ??= new Map();
  for (const key of keys) if (!group.doubts.has(key)) group.doubts.set(key, sent);
}

/** How often in a row one read recovers from a lost connection. */
const MAX_RECOVERIES = 20;

async function exchange<T, M>(
  client: Client,
  plan: ReadPlan<T, M>,
  after: ReadonlyMap<string, string>,
  slice: number | undefined,
  isRepeatable: boolean,
  signal: AbortSignal | undefined,
): Promise<MessageList<T, M>[]> {
  const { group, count, noAck } = plan;
  const keys = [...after.keys()];
  const listOf = (prefixed: string): MessageList<T, M> => {
    const key = prefixed.slice(client.keyPrefix.length);
    if (!after.has(key))
      throw new ProtocolError(`the server sent a stream that was not read, ${describe(key)}`);
    return plan.list(key);
  };
  const request = new Request().command([
    ...(group === undefined ? ["XREAD"] : ["XREADGROUP", "GROUP", group.name, group.consumer]),
    ...(count === undefined ? [] : ["COUNT", count]),
    ...(slice === undefined ? [] : ["BLOCK", slice]),
    ...(noAck ? ["NOACK"] : []),
    "STREAMS",
    ...keys.map((key) => client.keyPrefix + key),
    ...after.values(),
  ]);
  const lists = await client.exchange({
    key: keys[0]!,
    request,
    decoder: () => new StreamsDecoder(listOf, keys.length, count),
    isRepeatable,
    silence: slice === undefined ? undefined : slice + MARGIN,
    signal: slice === undefined ? undefined : signal,
    facts: factsOf(plan, keys),
    onLost: plan.onLost,
  });
  return lists.filter((list) => list.count > 0);
}

/** Replace `$` by the last id that the stream gave out, `0-0` where there is no stream yet. */
export async function pin(
  client: Client,
  after: ReadonlyMap<string, string>,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, string>> {
  const keys = [...after].filter(([, id]) => id === "$").map(([key]) => key);
  if (keys.length === 0) return after;
  const request = new Request();
  for (const key of keys) request.command(["XINFO", "STREAM", client.keyPrefix + key]);
  const replies = await client.exchange({
    key: keys[0]!,
    request,
    decoder: () => new ValuesDecoder(keys.length),
    isRepeatable: true,
    signal,
    facts: { command: "XINFO", streams: keys },
  });
  signal?.throwIfAborted();
  const pinned = new Map(after);
  for (const [i, key] of keys.entries()) pinned.set(key, lastGenerated(replies[i]!, key));
  return pinned;
}

function lastGenerated(reply: Value, stream: string): string {
  if (reply instanceof ErrorReply) {
    const error = replyError(reply.text, { command: "XINFO", stream });
    if (error.code === "NO_SUCH_STREAM") return "0-0";
    throw error;
  }
  const parts: readonly Value[] = Array.isArray(reply) ? reply : [];
  const at = parts.indexOf("last-generated-id");
  const id = at < 0 ? null : parts[at + 1];
  if (typeof id !== "string") throw new ProtocolError("the server did not say which id is a stream's last");
  return id;
}

/**
 * After a group read whose reply was lost: the entries that the server had put into it.
 *
 * They are pending for this consumer, delivered once, after the last id that it was given, and no longer ago than
 * the read was sent; the time is the server's own idle time, so no clock is compared. They are fetched by `XRANGE`,
 * which leaves the delivery count alone.
 */
async function recover<T, M>(
  client: Client,
  plan: ReadPlan<T, M>,
  keys: readonly string[],
  signal: AbortSignal | undefined,
): Promise<MessageList<T, M>[]> {
  const { name, consumer, seen, doubts } = plan.group!;
  const lists: MessageList<T, M>[] = [];
  for (const key of keys) {
    const sent = doubts!.get(key)!;
    const facts: ReplyErrorOptions = { command: "XPENDING", stream: key, group: name };
    const lost: string[] = [];
    let start = seen.has(key) ? `(${seen.get(key)}` : "-";
    for (;;) {
      const request = new Request().command([
        "XPENDING",
        client.keyPrefix + key,
        name,
        start,
        "+",
        PAGE,
        consumer,
      ]);
      const [page] = await client.exchange({
        key,
        request,
        decoder: () => new ValuesDecoder(1),
        isRepeatable: true,
        signal,
        facts,
      });
      if (page instanceof ErrorReply) throw replyError(page.text, facts);
      const elapsed = performance.now() - sent;
      const entries = pendingOf(page);
      // The server's idle time is a difference of whole milliseconds, so it may be one too long.
      for (const [entry, , idle, deliveries] of entries)
        if (deliveries === 1 && idle <= elapsed + 1) lost.push(entry);
      if (entries.length < PAGE) break;
      start = `(${entries.at(-1)![0]}`;
    }
    signal?.throwIfAborted();
    for (let from = 0; from < lost.length; from += PAGE) {
      const ids = lost.slice(from, from + PAGE);
      const request = new Request();
      for (const lostId of ids) request.command(["XRANGE", client.keyPrefix + key, lostId, lostId]);
      let list = plan.list(key);
      const decoder = () => {
        list = plan.list(key);
        return new SequenceDecoder(ids.map(() => new EntriesDecoder(list, 1)));
      };
      await client.exchange({ key, request, decoder, isRepeatable: true, signal, facts });
      if (list.count > 0) lists.push(list);
    }
  }
  for (const key of keys) doubts!.delete(key);
  return lists;
}

/** What `XPENDING` says of entries: id, consumer, idle time, deliveries. */
function pendingOf(page: Value | undefined): [string, string, number, number][] {
  const isEntry = (entry: Value) =>
    Array.isArray(entry) && typeof entry[0] === "string" && entry.slice(2).every(Number.isFinite);
  if (!Array.isArray(page) || page.length > PAGE || !page.every(isEntry))
    throw new ProtocolError("the server did not say what is pending");
  return page as [string, string, number, number][];
}

function factsOf<T, M>(plan: ReadPlan<T, M>, streams: readonly string[]): ReplyErrorOptions {
  return { command: plan.group ? "XREADGROUP" : "XREAD", streams, group: plan.group?.name };
}
