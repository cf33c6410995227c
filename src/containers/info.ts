import type { Message } from "../wire/message.ts";

/** What `XINFO STREAM` says of a stream. */
export interface StreamInfo<T> {
  /** Number of entries. */
  readonly length: number;
  /** Keys of the radix tree. */
  readonly radixTreeKeys: number;
  /** Nodes of the radix tree. */
  readonly radixTreeNodes: number;
  /** Number of consumer groups. */
  readonly groups: number;
  /** The last id the stream gave out; `0-0` before the first. */
  readonly lastGeneratedId: string;
  /** The greatest id that was deleted; `0-0` where none was. */
  readonly maxDeletedEntryId: string;
  /** Entries added over its whole life. */
  readonly entriesAdded: number;
  /** The id of the first entry; `0-0` where it is empty. */
  readonly recordedFirstEntryId: string;
  /** The first entry; `null` where it is empty. */
  readonly firstEntry: Message<T> | null;
  /** The last entry; `null` where it is empty. */
  readonly lastEntry: Message<T> | null;
}

/** What `XINFO GROUPS` says of one group. */
export interface GroupInfo {
  /** Name of the group. */
  readonly name: string;
  /** Number of its consumers. */
  readonly consumers: number;
  /** Entries delivered and not acknowledged. */
  readonly pending: number;
  /** The last id delivered to the group. */
  readonly lastDeliveredId: string;
  /** Entries the group has read; `null` where the server cannot say (after `setId` into the middle, or deletions). */
  readonly entriesRead: number | null;
  /** Entries not delivered yet; `null` where the server cannot say. */
  readonly lag: number | null;
}

/** What `XINFO CONSUMERS` says of one consumer. */
export interface ConsumerInfo {
  /** Name of the consumer. */
  readonly name: string;
  /** Entries delivered to it and not acknowledged. */
  readonly pending: number;
  /** Milliseconds since it last tried to read, claim or acknowledge. */
  readonly idle: number;
  /** Milliseconds since it last got something; `null` before Redis 7.2. */
  readonly inactive: number | null;
}

/** One pending entry in `info({ full: true })`. */
export interface FullPending {
  /** Id of the entry. */
  readonly id: string;
  /** Consumer it was delivered to. */
  readonly consumer: string;
  /** When it was delivered last. */
  readonly deliveredAt: Date;
  /** How often it was delivered. */
  readonly deliveries: number;
}

/** One consumer in `info({ full: true })`. */
export interface FullConsumer {
  /** Name of the consumer. */
  readonly name: string;
  /** When it last tried to read, claim or acknowledge. */
  readonly seenAt: Date;
  /** When it last got something; `null` before Redis 7.2 or where it never did. */
  readonly activeAt: Date | null;
  /** Number of its pending entries. */
  readonly pendingCount: number;
  /** Its pending entries, as many as were asked for. */
  readonly pending: readonly FullPending[];
}

/** One group in `info({ full: true })`. */
export interface FullGroup {
  /** Name of the group. */
  readonly name: string;
  /** The last id delivered to the group. */
  readonly lastDeliveredId: string;
  /** Entries the group has read; `null` where the server cannot say. */
  readonly entriesRead: number | null;
  /** Entries not delivered yet; `null` where the server cannot say. */
  readonly lag: number | null;
  /** Number of pending entries. */
  readonly pendingCount: number;
  /** Its pending entries, as many as were asked for. */
  readonly pending: readonly FullPending[];
  /** Its consumers. */
  readonly consumers: readonly FullConsumer[];
}

/** What `XINFO STREAM FULL` says of a stream. */
export interface FullStreamInfo<T> extends Omit<StreamInfo<T>, "groups" | "firstEntry" | "lastEntry"> {
  /** The first entries, as many as were asked for. */
  readonly entries: readonly Message<T>[];
  /** The groups with their consumers and pending entries. */
  readonly groups: readonly FullGroup[];
}

/**
 * The facts of an XINFO reply by their names, whatever shape ioredis gives them: a flat list (RESP2 and its mapping),
 * an object or a Map (RESP3).
 */
export function factsOf(reply: unknown): Record<string, unknown> {
  if (reply instanceof Map)
    return Object.fromEntries([...reply].map(([name, value]) => [String(name), value]));
  if (!Array.isArray(reply)) return reply as Record<string, unknown>;
  const facts: Record<string, unknown> = {};
  for (let i = 0; i < reply.length; i += 2) facts[String(reply[i])] = reply[i + 1];
  return facts;
}

/** Read the part that both forms of `XINFO STREAM` share. */
export function parseStreamInfo(
  facts: Record<string, unknown>,
): Omit<StreamInfo<never>, "groups" | "firstEntry" | "lastEntry"> {
  return {
    length: Number(facts["length"]),
    radixTreeKeys: Number(facts["radix-tree-keys"]),
    radixTreeNodes: Number(facts["radix-tree-nodes"]),
    lastGeneratedId: String(facts["last-generated-id"]),
    maxDeletedEntryId: String(facts["max-deleted-entry-id"]),
    entriesAdded: Number(facts["entries-added"]),
    recordedFirstEntryId: String(facts["recorded-first-entry-id"]),
  };
}

/** Read one group of `XINFO GROUPS`. */
export function parseGroupInfo(reply: unknown): GroupInfo {
  const facts = factsOf(reply);
  return {
    name: String(facts["name"]),
    consumers: Number(facts["consumers"]),
    pending: Number(facts["pending"]),
    lastDeliveredId: String(facts["last-delivered-id"]),
    entriesRead: count(facts["entries-read"]),
    lag: count(facts["lag"]),
  };
}

/** Read one consumer of `XINFO CONSUMERS`. */
export function parseConsumerInfo(reply: unknown): ConsumerInfo {
  const facts = factsOf(reply);
  return {
    name: String(facts["name"]),
    pending: Number(facts["pending"]),
    idle: Number(facts["idle"]),
    inactive: count(facts["inactive"]),
  };
}

/** Read one group of `XINFO STREAM FULL`. */
export function parseFullGroup(reply: unknown): FullGroup {
  const facts = factsOf(reply);
  return {
    name: String(facts["name"]),
    lastDeliveredId: String(facts["last-delivered-id"]),
    entriesRead: count(facts["entries-read"]),
    lag: count(facts["lag"]),
    pendingCount: Number(facts["pel-count"]),
    pending: (facts["pending"] as [string, string, number, number][]).map(
      ([id, consumer, at, deliveries]) => ({
        id: String(id),
        consumer: String(consumer),
        deliveredAt: new Date(Number(at)),
        deliveries: Number(deliveries),
      }),
    ),
    consumers: (facts["consumers"] as unknown[]).map(parseFullConsumer),
  };
}

function parseFullConsumer(reply: unknown): FullConsumer {
  const facts = factsOf(reply);
  const name = String(facts["name"]);
  const active = count(facts["active-time"]);
  return {
    name,
    seenAt: new Date(Number(facts["seen-time"])),
    activeAt: active === null || active < 0 ? null : new Date(active),
    pendingCount: Number(facts["pel-count"]),
    pending: (facts["pending"] as [string, number, number][]).map(([id, at, deliveries]) => ({
      id: String(id),
      consumer: name,
      deliveredAt: new Date(Number(at)),
      deliveries: Number(deliveries),
    })),
  };
}

/** A count that the server may not know, or may be too old to have. */
function count(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
