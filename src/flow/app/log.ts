/** Where an app tells what happens to it; pino's loggers and `console` both fit. */
export interface Logger {
  /** What helps to follow a message. */
  debug(facts: object, text: string): void;
  /** What is good to know. */
  info(facts: object, text: string): void;
  /** What passes: a failed delivery that is retried, a lost connection. */
  warn(facts: object, text: string): void;
  /** What does not: a dead letter, a subscriber that has ended. */
  error(facts: object, text: string): void;
}

const nothing = (): void => {};

/** Tells nothing. */
export const SILENT: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** The same log, which may fail without harm: what an app does does not depend on what it tells. */
export function harmless(log: Logger): Logger {
  const levelOf =
    (level: keyof Logger) =>
    (facts: object, text: string): void => {
      try {
        log[level](facts, text);
      } catch {
        // There is nobody else to tell.
      }
    };
  return { debug: levelOf("debug"), info: levelOf("info"), warn: levelOf("warn"), error: levelOf("error") };
}

/** Tells failures on standard error, the default. */
export const FAILURES: Logger = {
  ...SILENT,
  warn: (facts, text) => console.error(text, facts),
  error: (facts, text) => console.error(text, facts),
};
