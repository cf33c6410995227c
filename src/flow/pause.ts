import { setTimeout as wait } from "node:timers/promises";
import { ConnectionLostError, ReplyError } from "../ground/errors.ts";

/** Whether a failure may be over later without anybody's doing. */
export function isPassing(error: unknown): error is ConnectionLostError | ReplyError {
  return error instanceof ConnectionLostError || (error instanceof ReplyError && error.retriable);
}

/** Wait 100 ms doubling to 2 s, with a random half; an abort ends it early. */
export async function pause(failures: number, signal: AbortSignal): Promise<void> {
  const most = Math.min(100 * 2 ** failures, 2000);
  await wait(most / 2 + (Math.random() * most) / 2, undefined, { signal }).catch(() => {});
}

/** Wait until a signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Wait for a promise, whatever becomes of it, but no longer than so many milliseconds. */
export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const timer = new AbortController();
  const patience = wait(ms, undefined, { signal: timer.signal }).catch(() => {});
  await Promise.race([promise.catch(() => {}), patience]);
  timer.abort();
}
