import type { Socket } from "node:net";
import type { Cluster, Redis } from "ioredis";
import { nodeAt } from "./driver.ts";

/**
 * Wait for an answer over a shared connection, and end the connection where it is silent.
 *
 * ioredis never notices by itself that a link is half open. Where not one byte has come for `silence` milliseconds
 * while the answer is due, the socket is destroyed: ioredis connects anew, and sends again what had no answer.
 *
 * @param redis - The connection, looked up each time; `null` where there is none now.
 */
export async function vigil<R>(answer: Promise<R>, silence: number, redis: () => Redis | null): Promise<R> {
  const socketNow = (): Socket | undefined => redis()?.stream as Socket | undefined;
  let socket = socketNow();
  let seen = socket?.bytesRead;
  let isOver = false;
  const timer = setInterval(() => {
    // Bytes that wait in this process, behind a busy event loop, are looked at first.
    setImmediate(() => {
      if (isOver) return;
      const current = socketNow();
      if (current !== undefined && current === socket && current.bytesRead === seen) current.destroy();
      socket = current;
      seen = current?.bytesRead;
    });
  }, silence).unref();
  try {
    return await answer;
  } finally {
    isOver = true;
    clearInterval(timer);
  }
}

/** The connection over which a cluster is sent what belongs to a slot. */
export function nodeOf(cluster: Cluster, slot: number): Redis | null {
  const owner = cluster.slots[slot]?.[0];
  return owner === undefined ? null : nodeAt(cluster, owner);
}
