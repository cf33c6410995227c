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

/** How to read a source. */
export function readingOf<T, M>(
  source: Stream<T, never> | readonly Stream<T, never>[] | GroupSource<T>,
): Reading<M> {
  if (source instanceof Group) return groupReading(source) as unknown as Reading<M>;
  if (source instanceof GroupStream) return groupStreamReading(source) as unknown as Reading<M>;
  const streams: readonly Stream<T, never>[] = Array.isArray(source) ? source : [source];
  const readings = streams.map((stream) => {
    if (stream instanceof Stream) return streamReading(stream) as unknown as Reading<M>;
    throw new InvalidArgumentError(
      "source",
      "a key, keys, a Stream, a ConsumerGroup or a TimeSeries",
      stream,
    );
  });
  const [first] = readings;
  if (first === undefined) throw new InvalidArgumentError("source", "at least one stream", source);
  return { ...first, keys: [...new Set(readings.flatMap(({ keys }) => keys))] };
}
