// How the tour hears that it should stop: Ctrl-C, a closed terminal, or nobody reading its output.

/** The tour was told to stop. */
export class Interruption extends Error {
  /** What a shell shows for it: 128 and the number of the signal. */
  readonly exitCode: number;

  constructor(by: string, number: number) {
    super(`interrupted by ${by}`);
    this.exitCode = 128 + number;
  }
}

/** A signal that aborts with an {@link Interruption}; a second Ctrl-C changes nothing, the tour cleans up first. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };
  for (const [name, number] of Object.entries(numbers)) {
    process.on(name, () => controller.abort(new Interruption(name, number)));
  }
  process.stdout.on("error", () => controller.abort(new Interruption("a closed output", 13)));
  return controller.signal;
}
