import type { Redis } from "ioredis";
import type { Address } from "../../src/testing/index.ts";
import type { Book } from "./book.ts";
import { type Fault, memberNames } from "./plan.ts";

/** Servers, what lies between them and the members, and the faults that strike them. */
export interface Stage {
  readonly isCluster: boolean;
  readonly streams: readonly string[];
  /** Where a member connects to. */
  addressesFor(member: string): readonly Address[];
  /** The connection to the server of a stream that no fault but the server's own touches. */
  watch(stream: string): Promise<Redis>;
  /** Carry out a fault of the lanes `server` and `network`, and write it down; resolves when it is over. */
  strike(fault: Fault): Promise<void>;
  /** Whether a server still has a connection of that name. */
  knows(connectionName: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Do something, and write down whom it hindered meanwhile. */
export async function trouble(
  book: Book,
  whom: string,
  why: string,
  from: number,
  act: () => Promise<void>,
): Promise<void> {
  try {
    await act();
  } finally {
    book.write({ what: "trouble", whom, why, from });
  }
}

/** The member that a fault of the network strikes. */
export function struck({ part }: Fault): string {
  const names = memberNames();
  return names[Math.floor(part * names.length)]!;
}
