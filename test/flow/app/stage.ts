import { App } from "../../../src/flow/app/app.ts";
import type { Logger } from "../../../src/flow/app/log.ts";
import type { AppOptions } from "../../../src/flow/app/options.ts";
import { Ground } from "../harness.ts";

/** One line of a log. */
export interface Line {
  readonly level: keyof Logger;
  readonly text: string;
  readonly facts: Record<string, unknown>;
}

/** A log that is kept. */
export class Lines implements Logger {
  readonly lines: Line[] = [];

  debug(facts: object, text: string): void {
    this.lines.push({ level: "debug", text, facts: { ...facts } });
  }

  info(facts: object, text: string): void {
    this.lines.push({ level: "info", text, facts: { ...facts } });
  }

  warn(facts: object, text: string): void {
    this.lines.push({ level: "warn", text, facts: { ...facts } });
  }

  error(facts: object, text: string): void {
    this.lines.push({ level: "error", text, facts: { ...facts } });
  }

  /** Errors that were told with that text. */
  errors(text: string): unknown[] {
    return this.lines.filter((line) => line.text === text).map(({ facts }) => facts["error"]);
  }
}

/** What the tests of one file share: {@link Ground}, and apps on it. */
export class Stage extends Ground {
  /** An app that says nothing, and retries soon. */
  app<Streams extends object = object>(options: Partial<AppOptions> = {}): App<Streams> {
    return new App<Streams>(this.db, { name: "app", log: false, retry: { delay: 1, jitter: 0 }, ...options });
  }

  /** How many entries of a stream are pending in a group. */
  async pending(key: string, group = "g"): Promise<number> {
    const [count] = (await this.watch.redis.xpending(key, group)) as [number];
    return count;
  }

  /** Names of a group's consumers on a stream. */
  async consumers(key: string, group = "g"): Promise<string[]> {
    const all = (await this.watch.redis.xinfo("CONSUMERS", key, group)) as unknown[][];
    return all.map((facts) => String(facts[facts.indexOf("name") + 1]));
  }
}

/** A promise, and what settles it. */
export function gate<T = void>(): { readonly passed: Promise<T>; readonly pass: (value: T) => void } {
  let pass = (_: T): void => {};
  const passed = new Promise<T>((resolve) => {
    pass = resolve;
  });
  return { passed, pass };
}
