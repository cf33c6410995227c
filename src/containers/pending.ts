import type { Client } from "../connection/client.ts";
import { assertInteger, assertName, assertOptions } from "../ground/assert.ts";
import { printable, tabular } from "../ground/display.ts";
import { type Time, toMilliseconds } from "../ground/duration.ts";
import type { ReplyErrorOptions } from "../ground/errors.ts";
import { legible } from "../ground/table.ts";
import { type IdLike, millisecondsOf, sequenceOf, toId } from "../wire/id.ts";
import { LazyList, PAGE } from "./range.ts";

/** An entry that was delivered to a consumer and not acknowledged yet. */
export class PendingEntry {
  /** Id of the entry. */
  readonly id: string;
  /** The consumer that has it. */
  readonly consumer: string;
  /** Milliseconds since it was delivered last, by the server. */
  readonly idle: number;
  /** How often it was delivered. */
  readonly deliveries: number;

  /** Readers make these. */
  constructor(id: string, consumer: string, idle: number, deliveries: number) {
    this.id = id;
    this.consumer = consumer;
    this.idle = idle;
    this.deliveries = deliveries;
  }

  /** The millisecond part of the id, UTC. */
  get timestamp(): Date {
    return new Date(millisecondsOf(this.id));
  }

  /** The sequence part of the id. */
  get sequence(): number {
    return sequenceOf(this.id);
  }
}

/** What a group has pending on one stream, in short. */
export interface PendingSummary {
  /** Number of pending entries. */
  readonly count: number;
  /** The smallest pending id; `null` where nothing is pending. */
  readonly first: string | null;
  /** The greatest pending id; `null` where nothing is pending. */
  readonly last: string | null;
  /** The consumers that hold some. */
  readonly consumers: readonly PendingConsumer[];
}

/** A consumer that holds pending entries. */
export interface PendingConsumer {
  /** Name of the consumer. */
  readonly name: string;
  /** How many it holds. */
  readonly pending: number;
}

/** Options of {@link GroupStream.pending}. */
export interface PendingOptions {
  /** First id. @defaultValue the first pending one */
  readonly start?: IdLike | undefined;
  /** Last id, included. @defaultValue the last pending one */
  readonly stop?: IdLike | undefined;
  /** Most entries. @defaultValue all */
  readonly count?: number | undefined;
  /** Only this consumer's. @defaultValue everybody's */
  readonly consumer?: string | undefined;
  /** Only what was delivered at least so long ago. */
  readonly idle?: Time | undefined;
}

/** The pending entries of a group on one stream, page by page. */
export function pendingEntries(
  client: Client,
  key: string,
  group: string,
  options: PendingOptions,
): LazyList<PendingEntry> {
  assertOptions("pending", options, ["start", "stop", "count", "consumer", "idle"]);
  const { start, stop, count, consumer, idle } = options;
  if (count !== undefined) assertInteger("count", count);
  if (consumer !== undefined) assertName("consumer", consumer);
  const facts: ReplyErrorOptions = { stream: key, group };
  const age = idle === undefined ? [] : ["IDLE", toMilliseconds("idle", idle)];
  const first = start === undefined ? "-" : toId(start, "start");
  const last = stop === undefined ? "+" : toId(stop, "stop");
  const who = consumer === undefined ? [] : [consumer];
  return new LazyList(async function* (most) {
    let from = first;
    for (let left = Math.min(count ?? most, most); left > 0; ) {
      const size = Math.min(PAGE, left);
      const reply = await client.command("xpending", [key, group, ...age, from, last, size, ...who], facts);
      const entries = (reply as [string, string, number, number][]).map(
        ([id, owner, idle, deliveries]) => new PendingEntry(id, owner, Number(idle), Number(deliveries)),
      );
      if (entries.length > 0) yield entries;
      if (entries.length < size) return;
      left -= entries.length;
      from = `(${entries.at(-1)!.id}`;
    }
  }, `Pending entries of ${group} on ${key}`);
}

/** What is pending of a group on one stream, in short. */
export async function pendingSummary(client: Client, key: string, group: string): Promise<PendingSummary> {
  type Reply = [
    count: number,
    first: string | null,
    last: string | null,
    consumers: [string, string][] | null,
  ];
  const reply = (await client.command("xpending", [key, group], { stream: key, group })) as Reply;
  const [count, first, last, consumers] = reply;
  return {
    count: Number(count),
    first,
    last,
    consumers: (consumers ?? []).map(([name, pending]) => ({ name, pending: Number(pending) })),
  };
}

printable(
  PendingEntry,
  ({ id, consumer, idle, deliveries }) =>
    `<PendingEntry ${id} ${legible(consumer)} idle ${idle} ms, deliveries ${deliveries}>`,
);
tabular(
  PendingEntry,
  (entries) => ({
    heads: ["id", "time", "consumer", "idle ms", "deliveries"],
    rows: entries.map(({ id, timestamp, consumer, idle, deliveries }) => [
      id,
      timestamp,
      consumer,
      idle,
      deliveries,
    ]),
  }),
  ({ id }) => `Pending entry ${id}`,
);
