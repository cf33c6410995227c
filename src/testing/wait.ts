import { setTimeout as sleep } from "node:timers/promises";

/** What `waitFor` counts as "not yet": the falsy values. */
export type Falsy = false | 0 | 0n | "" | null | undefined;

/** How long and how often `waitFor` asks, and what its error says. */
export interface WaitOptions {
  /**
   * How long to go on asking, in milliseconds.
   * @defaultValue 5000
   */
  readonly timeout?: number | undefined;
  /**
   * Pause between two questions, in milliseconds.
   * @defaultValue 5
   */
  readonly interval?: number | undefined;
  /**
   * What is waited for, in words: the error names it.
   * @defaultValue the beginning of the condition's text
   */
  readonly what?: string | undefined;
}

const late = Symbol("late");

/**
 * Asks until the condition gives a truthy value, in place of a sleep of guessed length.
 * A condition that throws or rejects counts as "not yet", and so does one that does not settle.
 *
 * @param condition - asked at once, then every `interval` milliseconds, never twice at a time
 * @returns the first truthy value
 * @throws Error after `timeout` milliseconds, saying what was waited for; its `cause` is what the condition threw last
 * @throws RangeError when `timeout` or `interval` is not a finite number of at least 0
 * @example
 * ```ts
 * import { waitFor } from "walrus-streams/testing";
 *
 * const started = Date.now();
 * await waitFor(() => Date.now() > started, { timeout: 1000, what: "the clock to tick" });
 * ```
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, Falsy>> {
  const { timeout = 5000, interval = 5, what = textOf(condition) } = options;
  for (const [name, value] of Object.entries({ timeout, interval })) {
    if (!Number.isFinite(value) || value < 0) {
      throw new RangeError(
        `waitFor: ${name} must be a number of milliseconds, at least 0, got ${String(value)}`,
      );
    }
  }
  const over = new AbortController();
  const deadline = sleep<typeof late>(timeout, late, { signal: over.signal }).catch((): typeof late => late);
  let isLate = false;
  void deadline.then(() => {
    isLate = true;
  });
  let failure: unknown;
  try {
    do {
      const answer = await Promise.race([deadline, ask(condition)]);
      if (answer === late) break;
      if ("value" in answer && answer.value) return answer.value as Exclude<T, Falsy>;
      failure = "error" in answer ? answer.error : undefined;
      await Promise.race([deadline, sleep(interval)]);
    } while (!isLate);
  } finally {
    over.abort();
  }
  const why = failure === undefined ? "" : `; it threw last: ${String(failure)}`;
  throw new Error(`waitFor: waited ${timeout} ms in vain for ${what}${why}`, { cause: failure });
}

function textOf(condition: () => unknown): string {
  const text = String(condition).replace(/\s+/g, " ");
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

async function ask<T>(condition: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await condition() };
  } catch (error) {
    return { error };
  }
}
