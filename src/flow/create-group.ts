import type { Client } from "../connection/client.ts";
import type { ReadingGroup } from "../connection/reader.ts";
import { GroupExistsError, type ReplyErrorOptions, replyError } from "../ground/errors.ts";
import { Request } from "../wire/request.ts";
import { ErrorReply } from "../wire/resp.ts";
import { ValuesDecoder } from "../wire/values.ts";

/**
 * Make a group on streams, and the streams that are not there. Sends `XGROUP CREATE ... MKSTREAM` over a wire, which
 * notices a silent server and can be aborted.
 *
 * @param starts - By key, the id after which the group begins.
 * @returns the keys on which it was not there.
 */
export async function createGroup(
  client: Client,
  name: string,
  starts: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<string[]> {
  const made: string[] = [];
  for (const keys of client.groupBySlot([...starts.keys()])) {
    if (keys.length === 0) continue;
    const facts: ReplyErrorOptions = { command: "XGROUP", streams: keys, group: name };
    const request = new Request();
    for (const key of keys) {
      request.command(["XGROUP", "CREATE", client.keyPrefix + key, name, starts.get(key)!, "MKSTREAM"]);
    }
    const decoder = () => new ValuesDecoder(keys.length);
    const replies = await client.exchange({
      ...{ key: keys[0]!, request, decoder, facts, signal },
      isRepeatable: true,
    });
    for (const [i, key] of keys.entries()) {
      const reply = replies[i]!;
      if (!(reply instanceof ErrorReply)) {
        made.push(key);
        continue;
      }
      const error = replyError(reply.text, { ...facts, streams: [key] });
      if (!(error instanceof GroupExistsError)) throw error;
    }
  }
  return made;
}

/**
 * Make a group again that is gone, and forget what the old one has given: the new one may begin below it.
 *
 * @param starts - By key, the id after which the group begins.
 * @returns the keys on which it was not there.
 */
export async function recreateGroup(
  client: Client,
  { name, seen, doubts }: Pick<ReadingGroup, "name" | "seen" | "doubts">,
  starts: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<string[]> {
  const streams = await createGroup(client, name, starts, signal);
  for (const key of streams) {
    seen.delete(key);
    doubts?.delete(key);
  }
  // One that somebody else has made again first; of several, it is not known which was gone.
  if (starts.size === 1) for (const key of starts.keys()) seen.delete(key);
  return streams;
}
