import type { Client } from "../connection/client.ts";
import type { ReplyErrorOptions } from "../ground/errors.ts";
import type { MessageList } from "../wire/message-list.ts";
import { EntriesDecoder } from "../wire/reply.ts";
import { Request } from "../wire/request.ts";
import { PAGE, type RangeQuery } from "./range.ts";

/** The greatest id there can be. */
const LAST_ID = "18446744073709551615-18446744073709551615";

/**
 * A range of a stream, 1,000 entries at a time, over a wire: `XRANGE` or `XREVRANGE`, each page into a list of its own.
 *
 * From the second page on, the next one is under way while one is used.
 */
export async function* entryPages<T, M>(
  client: Client,
  key: string,
  query: RangeQuery,
  list: () => MessageList<T, M>,
  facts: ReplyErrorOptions,
): AsyncGenerator<MessageList<T, M>> {
  const { isReverse } = query;
  let { start, stop, count: left } = query;
  const page = (): Promise<MessageList<T, M>> => {
    const most = Math.min(PAGE, left);
    const bounds = isReverse ? [stop, start] : [start, stop];
    const command = isReverse ? "XREVRANGE" : "XRANGE";
    return client.exchange({
      key,
      request: new Request().command([command, client.keyPrefix + key, ...bounds, "COUNT", most]),
      decoder: () => new EntriesDecoder(list(), most),
      isRepeatable: true,
      facts: { ...facts, command },
    });
  };
  let ahead: Promise<MessageList<T, M>> | null = null;
  for (let pages = 0; left > 0; pages++) {
    const size = Math.min(PAGE, left);
    const entries: MessageList<T, M> = await (ahead ?? page());
    ahead = null;
    left -= entries.count;
    if (entries.count < size || entries.lastId === (isReverse ? "0-0" : LAST_ID)) left = 0;
    if (isReverse) stop = `(${entries.lastId}`;
    else start = `(${entries.lastId}`;
    if (pages > 0 && left > 0) {
      ahead = page();
      ahead.catch(() => {});
    }
    yield entries;
  }
}
