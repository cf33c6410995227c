import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What a pushed entry does to its handler; see {@link kindOf}. */
export type Kind = "plain" | "slow" | "flaky" | "poison" | "garbled" | "killer";

/** How a handler ended. */
export type Ending = "done" | "failed" | "aborted";

/** What is written down, by whoever does it or sees it. */
export type Fact =
  | {
      /** A producer is about to push; again under the same number where it does not know whether it has. */
      readonly what: "push";
      readonly n: string;
      readonly stream: string;
      readonly kind: Kind;
    }
  | {
      /** The push is acknowledged. */
      readonly what: "stored";
      readonly n: string;
      readonly stream: string;
      readonly id: string;
    }
  | {
      /** A handler begins. */
      readonly what: "begin";
      readonly n: string;
      readonly stream: string;
      readonly id: string;
      readonly key: string;
      readonly deliveries: number;
    }
  | {
      /** A handler ends, before the worker is told. */
      readonly what: "end";
      readonly stream: string;
      readonly id: string;
      readonly how: Ending;
    }
  | {
      /** The server has said that these leases were begun again, asked at `sent`. */
      readonly what: "renewed";
      readonly stream: string;
      readonly ids: readonly string[];
      readonly sent: number;
    }
  | {
      /** A worker has taken these up: they were due. */
      readonly what: "reclaimed";
      readonly stream: string;
      readonly ids: readonly string[];
    }
  | {
      /** A reader has been given an entry. */
      readonly what: "seen";
      readonly n: string;
      readonly stream: string;
      readonly id: string;
    }
  | {
      /** A process has begun. */
      readonly what: "born";
      readonly life: string;
    }
  | {
      /** A process has ended. */
      readonly what: "died";
      readonly life: string;
      readonly how: string;
    }
  | {
      /** Something stood in the way of a member, of one of its lives, or of all (`"server"`), from `from` until now. */
      readonly what: "trouble";
      readonly whom: string;
      readonly why: string;
      readonly from: number;
    }
  | {
      /** A failover may have lost what was written from `from` until now: replication is asynchronous. */
      readonly what: "loss";
      readonly from: number;
    };

/** A fact with its time, by {@link now}, and who wrote it: the life of a process, `<member>.<number>`, or `"stage"`. */
export type Line = Fact & { readonly at: number; readonly by: string };

/**
 * Milliseconds by a clock that all processes of this machine share and that nobody sets; on Deno and Bun, where
 * `hrtime` begins with the process, by one that agrees with the others' when the process begins.
 */
export function now(): number {
  return "Deno" in globalThis || "Bun" in globalThis
    ? performance.timeOrigin + performance.now()
    : Number(process.hrtime.bigint()) / 1e6;
}

/** The member of which this is a life. */
export function memberOf(life: string): string {
  return life.replace(/\.\d+$/, "");
}

/** One process's facts, in a file of its own. Each is with the kernel when `write` returns, whatever kills the process next. */
export class Book {
  readonly #file: string;

  constructor(directory: string, by: string) {
    this.#file = join(directory, `${by}.ndjson`);
  }

  /** Write a fact down. */
  write(fact: Fact): void {
    appendFileSync(this.#file, `${JSON.stringify({ at: now(), ...fact })}\n`);
  }
}

/** All facts of a folder's books, of those that begin so, in the order of time. */
export function readBooks(directory: string, prefix = ""): Line[] {
  const files = readdirSync(directory).filter((file) => file.startsWith(prefix) && file.endsWith(".ndjson"));
  const lines = files.flatMap((file) => {
    const by = file.slice(0, -".ndjson".length);
    const texts = readFileSync(join(directory, file), "utf8").split("\n");
    // What stands behind the last line feed was cut off by the death of its writer.
    return texts.slice(0, -1).map((text) => ({ by, ...JSON.parse(text) }) as Line);
  });
  return lines.sort((a, b) => a.at - b.at);
}
