import type { Client } from "../connection/client.ts";
import { pin } from "../connection/reader.ts";
import { Group, groupReading } from "../containers/group.ts";
import { GroupStream, groupStreamReading } from "../containers/group-stream.ts";
import { afterId, type Reading } from "../containers/read.ts";
import { Stream, streamReading } from "../containers/stream.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import type { IdLike } from "../wire/id.ts";

/** What a consumer reads through a group. */
export type GroupSource<T> = Group<string, GroupStream<T, never>> | GroupStream<T, never>;

/** Where a consumer of streams begins: with the first entry, with what comes from now on, or after an id or `Date`. */
export type From = "earliest" | "latest" | IdLike;

/** The id after which to begin; `$` where it is still to be pinned. */
export function positionOf(from: From): string {
  if (from === "latest") return "$";
  return from === "earliest" ? "0-0" : afterId(from);
}

/** The ids after which streams begin: one for all, or by key and the latest entry for the rest. */
export function positionsOf(
  keys: readonly string[],
  from: From | Readonly<Record<string, From>> = "latest",
): Map<string, string> {
  const byKey: Readonly<Record<string, From>> | null = isMap(from) ? from : null;
  for (const key of byKey === null ? [] : Object.keys(byKey)) {
    if (!keys.includes(key)) throw new InvalidArgumentError("from", "by keys that are read", key);
  }
  return new Map(
    keys.map((key) => {
      if (byKey === null) return [key, positionOf(from as From)];
      return [key, Object.hasOwn(byKey, key) ? positionOf(byKey[key]!) : "$"];
    }),
  );
}

/** The ids after which streams begin, the latest ones found out. */
export async function pinned(
  client: Client,
  starts: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const positions = new Map<string, string>();
  for (const keys of client.groupBySlot([...starts.keys()])) {
    const some = new Map(keys.map((key) => [key, starts.get(key)!]));
    for (const [key, id] of await pin(client, some, signal)) positions.set(key, id);
  }
  return positions;
}

function isMap(from: unknown): from is Readonly<Record<string, From>> {
  if (typeof from !== "object" || from === null || from instanceof Date) return false;
  return !("id" in from || "timestamp" in from);
}

/** How to read a source. */
export function readingOf<T, M>(
  source: Stream<T, never> | readonly Stream<T, never>[] | GroupSource<T>,
): Reading<M> {
  if (source instanceof Group) return groupReading(source) as unknown as Reading<M>;
  if (source instanceof GroupStream) return groupStreamReading(source) as unknown as Reading<M>;
  const streams: readonly Stream<T, never>[] = Array.isArray(source) ? source : [source];
  const readings = new Map<string, Reading<M>>();
  for (const stream of streams) {
    if (!(stream instanceof Stream)) {
      throw new InvalidArgumentError(
        "source",
        "a key, keys, a Stream, Streams, a ConsumerGroup or a TimeSeries",
        stream,
      );
    }
    if (stream instanceof GroupStream)
      throw new InvalidArgumentError("source", "the group itself rather than a list of its streams", stream);
    if (!readings.has(stream.key)) readings.set(stream.key, streamReading(stream) as unknown as Reading<M>);
  }
  const [first] = readings.values();
  if (first === undefined) throw new InvalidArgumentError("source", "at least one stream", source);
  if ([...readings.values()].some(({ client }) => client !== first.client))
    throw new InvalidArgumentError("source", "streams of one database", source);
  // Each is decoded as its own stream says; what is added later, as the first.
  return { ...first, keys: [...readings.keys()], list: (key) => (readings.get(key) ?? first).list(key) };
}
