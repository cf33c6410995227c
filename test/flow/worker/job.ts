import {
  type BatchHandler,
  type Database,
  deadLetterKey,
  type Handler,
  type Worker,
  type WorkerEvent,
  type WorkerOptions,
} from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";
import type { Watch } from "../../connection/harness.ts";
import type { Ground } from "../harness.ts";

/** A worker that runs, and what it tells; disposed of it stops, and what it failed with fails the test. */
export class Job {
  readonly worker: Worker<never>;
  readonly events: WorkerEvent[] = [];
  readonly running: Promise<void>;

  constructor(worker: unknown) {
    this.worker = worker as Worker<never>;
    const status = this.worker.status();
    void (async () => {
      for await (const event of status) this.events.push(event);
    })();
    this.running = this.worker.run();
    this.running.catch(() => {});
  }

  /** Those of its events that are of a kind. */
  of<K extends WorkerEvent["type"]>(type: K): Extract<WorkerEvent, { type: K }>[] {
    return this.events.filter((one): one is Extract<WorkerEvent, { type: K }> => one.type === type);
  }

  /** Waits for an event of a kind. */
  async had<K extends WorkerEvent["type"]>(type: K): Promise<Extract<WorkerEvent, { type: K }>> {
    return waitFor(() => this.of(type)[0], { what: type });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker.stop();
    await this.running;
  }
}

type Text = Record<string, string>;

/** Retries that come soon. */
export const SOON = { delay: 20, jitter: 0, factor: 1 } as const;

/** Run a worker of the group "g" on a test's stream, or on other streams. */
export function work(
  at: Ground,
  handler: Handler<Text> | BatchHandler<Text>,
  options: WorkerOptions<Text> = {},
  keys: string | readonly string[] = at.key,
): Job {
  const group = at.db.consumerGroup("g", keys);
  return new Job(at.db.worker(group, handler as Handler<Text>, { retry: SOON, ...options } as object));
}

/** A pending entry. */
export interface Held {
  readonly id: string;
  readonly consumer: string;
  readonly deliveries: number;
}

/** What is pending in the group "g", in order. */
export async function heldIn(watch: Watch, key: string): Promise<Held[]> {
  const rows = await watch.redis.xpending(key, "g", "-", "+", 10_000);
  return (rows as [string, string, number, number][]).map(([id, consumer, , deliveries]) => ({
    ...{ id, consumer, deliveries },
  }));
}

/** Waits until all of a stream was read by the group "g", and so much of it is pending. */
export async function pendingIs(watch: Watch, key: string, count: number): Promise<void> {
  await waitFor(
    async () => {
      const [group] = (await watch.redis.xinfo("GROUPS", key)) as unknown[][];
      return group?.[group.indexOf("lag") + 1] === 0 && group[group.indexOf("pending") + 1] === count;
    },
    { what: `${count} pending in ${key}, and nothing to read` },
  );
}

/** A dead letter: the numbered entry, and what is said of it. */
export interface Dead {
  readonly fields: Readonly<Record<string, string>>;
  readonly note: {
    readonly stream: string;
    readonly group: string;
    readonly id: string;
    readonly consumer: string;
    readonly deliveries: number;
    readonly time: number;
    readonly error: { readonly name: string; readonly message: string; readonly stack: string };
  };
}

/** The dead letters of a stream, or those under another key. */
export async function deadOf(
  db: Pick<Database, "xrange">,
  key: string,
  at: string = deadLetterKey(key),
): Promise<Dead[]> {
  const entries = (await db.xrange(at, "-", "+")) as [string, string[]][];
  return entries.map(([, parts]) => {
    const fields: Record<string, string> = {};
    for (let i = 0; i < parts.length; i += 2) fields[parts[i]!] = parts[i + 1]!;
    const { "@dead": note, ...rest } = fields;
    return { fields: rest, note: JSON.parse(note!) };
  });
}
