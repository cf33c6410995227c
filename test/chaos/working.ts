import { setTimeout as sleep } from "node:timers/promises";
// The one place where a worker tells the server of its leases; no part of what the package exports.
import { Deliveries } from "../../src/containers/deliveries.ts";
import type { GroupMessage, HandlerContext } from "../../src/index.ts";
import { type Book, now } from "./book.ts";
import type { Member } from "./member.ts";
import { DELIVERIES, LEASE } from "./plan.ts";

type Text = Record<string, string>;

/** The group of the workers. */
export const WORKERS = "workers";

/** Entries of the kind `garbled` do not decode. */
const schema = {
  "~standard": {
    version: 1 as const,
    vendor: "chaos",
    validate: (value: unknown) =>
      (value as Text)["kind"] === "garbled"
        ? { issues: [{ message: "it is garbled" }] }
        : { value: value as Text },
    types: undefined as unknown as { input: Text; output: Text },
  },
};

/** Handle entries until told to stop; the book says when each handler began and ended. */
export async function work({ orders, db, book, over, count }: Member): Promise<void> {
  const { sabotage, streams, name } = orders;
  if (sabotage === "no-lease") Deliveries.prototype.renew = async (held) => held.map(() => "kept" as const);
  else recordRenewals(book);
  const group = db.consumerGroup(WORKERS, streams, { consumer: name, schema });
  const handler = async (message: GroupMessage<Text>, context: HandlerContext): Promise<void> => {
    await handle(message, context, book);
    count();
  };
  const worker = db.worker(group, handler, {
    concurrency: 8,
    prefetch: 16,
    orderBy: ({ data }) => data["key"],
    lease: LEASE,
    block: 1000,
    drain: 10_000,
    retry: { maxDeliveries: DELIVERIES, delay: 200, maxDelay: 1000 },
    ack: sabotage === "ack-first" ? "first" : "success",
    signal: over,
  });
  const events = worker.status();
  const watching = (async () => {
    for await (const event of events)
      if (event.type === "reclaimed")
        book.write({ what: "reclaimed", stream: event.stream, ids: [...event.ids] });
  })();
  await worker.run();
  await worker.stop();
  await watching;
}

async function handle(
  { stream, id, deliveries, data }: GroupMessage<Text>,
  { signal }: HandlerContext,
  book: Book,
): Promise<void> {
  const { n, key, kind } = data as { n: string; key: string; kind: string };
  book.write({ what: "begin", n, stream, id, key, deliveries });
  if (kind === "killer") process.kill(process.pid, "SIGKILL");
  try {
    const ms = kind === "slow" ? LEASE * (1 + Math.random() / 2) : Math.random() * 40;
    await sleep(ms, undefined, { signal });
  } catch {
    book.write({ what: "end", stream, id, how: "aborted" });
    throw signal.reason;
  }
  const isFailure = kind === "poison" || (kind === "flaky" && deliveries === 1);
  book.write({ what: "end", stream, id, how: isFailure ? "failed" : "done" });
  if (isFailure) throw new Error(`${kind} ${n}`);
}

/** Write down which leases the server has begun again, and when it was asked. */
function recordRenewals(book: Book): void {
  const { renew } = Deliveries.prototype;
  Deliveries.prototype.renew = async function (this: Deliveries, held) {
    const sent = now();
    const verdicts = await renew.call(this, held);
    const ids = held.filter((_, i) => verdicts[i] === "kept").map(({ id }) => id);
    const stream = (held[0] as GroupMessage<Text> | undefined)?.stream;
    if (stream !== undefined && ids.length > 0) book.write({ what: "renewed", stream, ids, sent });
    return verdicts;
  };
}
