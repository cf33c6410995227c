// One process of a chaos run: a producer, a worker or a reader, as its one argument says in JSON.
import type { Database } from "../../src/index.ts";
import { ClusterDatabase, Database as SingleDatabase } from "../../src/index.ts";
import type { Address } from "../../src/testing/index.ts";
import { Book, now } from "./book.ts";
import type { Sabotage } from "./plan.ts";
import { produce } from "./producing.ts";
import { read } from "./reading.ts";
import { work } from "./working.ts";

/** What a member's process is told. */
export interface Orders {
  readonly role: "producer" | "worker" | "reader";
  /** Its name, the same in each of its lives. */
  readonly name: string;
  /** `<name>.<number>`: what its book and its connections are called. */
  readonly life: string;
  /** Where the books are. */
  readonly directory: string;
  /** The server, through a proxy; or the nodes of a cluster. */
  readonly addresses: readonly Address[];
  readonly isCluster: boolean;
  readonly streams: readonly string[];
  readonly seed: number;
  /** Whether some entries kill the process that handles them. */
  readonly hasKillers: boolean;
  readonly sabotage: Sabotage | null;
}

/** What a member works with. */
export interface Member {
  readonly orders: Orders;
  readonly db: Database | ClusterDatabase;
  readonly book: Book;
  /** Aborted when it is to end in order. */
  readonly over: AbortSignal;
  /** Count something done, for the line of progress. */
  count(): void;
}

/** How often a process notes that it runs, and from when on it counts as having stood still, in milliseconds. */
const BEAT = 100;
const STILL = 400;

function open({ addresses, isCluster, life }: Orders): Database | ClusterDatabase {
  const options = { connectionName: life, maxRetriesPerRequest: 3, connectTimeout: 2000 };
  const db = isCluster
    ? new ClusterDatabase([...addresses], { redisOptions: options, clusterRetryStrategy: () => 100 })
    : new SingleDatabase({ ...addresses[0]!, ...options, retryStrategy: () => 100 });
  db.on("error", () => {});
  return db;
}

async function live(orders: Orders): Promise<void> {
  const book = new Book(orders.directory, orders.life);
  const over = new AbortController();
  process.once("SIGTERM", () => over.abort());
  // Whoever started this process is gone.
  process.stdin.on("end", () => process.exit(1)).resume();
  let last = now();
  const beat = setInterval(() => {
    const from = last;
    last = now();
    if (last - from > STILL)
      book.write({ what: "trouble", whom: orders.life, why: "its event loop stood still", from });
  }, BEAT);
  let done = 0;
  const progress = setInterval(() => process.stdout.write(`${done}\n`), 1000);
  process.stdout.write("0\n");
  const db = open(orders);
  const member: Member = { orders, db, book, over: over.signal, count: () => done++ };
  await { producer: produce, worker: work, reader: read }[orders.role](member);
  await db.close();
  clearInterval(beat);
  clearInterval(progress);
  process.stdout.write(`${done}\n`, () => process.exit(0));
}

await live(JSON.parse(process.argv[2]!) as Orders);
