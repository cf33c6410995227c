import { setImmediate as nextTurn } from "node:timers/promises";
import type { Client } from "../connection/client.ts";
import type { ReplyErrorOptions } from "../ground/errors.ts";
import type { MessageList } from "../wire/message-list.ts";
import { type Page, PageDecoder } from "../wire/page.ts";
import { Request } from "../wire/request.ts";
import { PAGE, type RangeQuery } from "./range.ts";

/** The greatest id there can be. */
const LAST_ID = "18446744073709551615-18446744073709551615";

/**
 * A range of a stream, 1,000 entries at a time, over a wire: `XRANGE` or `XREVRANGE`, each page into a list of its own.
 *
 * From the second page on, the next one is under way while one is decoded and used.
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
  // One has the bytes of the page that is decoded, one takes those of the next.
  const inboxes = [client.inbox(), client.inbox()];
  const ask = (n: number): Promise<Page<T, M>> => {
    const most = Math.min(PAGE, left);
    const held = n > 0 && left > PAGE ? inboxes[n % 2]! : null;
    const bounds = isReverse ? [stop, start] : [start, stop];
    const command = isReverse ? "XREVRANGE" : "XRANGE";
    return client.exchange({
      key,
      request: new Request().command([command, client.keyPrefix + key, ...bounds, "COUNT", most]),
      decoder: () => new PageDecoder(list(), most, held),
      isRepeatable: true,
      facts: { ...facts, command },
    });
  };
  let ahead: Promise<Page<T, M>> | null = null;
  for (let n = 0; left > 0; n++) {
    const size = Math.min(PAGE, left);
    const page: Page<T, M> = await (ahead ?? ask(n));
    ahead = null;
    left -= page.count;
    if (page.count < size || page.lastId === (isReverse ? "0-0" : LAST_ID)) left = 0;
    if (isReverse) stop = `(${page.lastId}`;
    else start = `(${page.lastId}`;
    if (n > 0 && left > 0) {
      ahead = ask(n + 1);
      ahead.catch(() => {});
      // It is written by then, and the server works on it while this page is decoded.
      await nextTurn();
    }
    yield page.list();
  }
}
