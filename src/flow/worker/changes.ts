/** Lets those who wait for something look again whenever anything has changed. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  /** Something has changed: who waits may look again. */
  tell(): void {
    if (this.#waiting.size === 0) return;
    for (const look of this.#waiting) look();
    this.#waiting.clear();
  }

  /** Wait until something holds. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }
}
