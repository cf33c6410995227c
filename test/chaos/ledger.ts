/** What producers have added and members have seen. */
export class Ledger {
  /** Adds that the server has confirmed: `<stream> <number>`. */
  readonly sure: Set<string> = new Set();
  /** Adds of which nobody knows: the connection was lost before the reply. */
  readonly uncertain: Set<string> = new Set();
  readonly #seen = new Map<string, number>();
  /** When something was seen last. */
  lastSeen: number = performance.now();

  /** A member has it. */
  record(name: string): void {
    this.#seen.set(name, (this.#seen.get(name) ?? 0) + 1);
    this.lastSeen = performance.now();
  }

  /** Confirmed and never seen. */
  get missing(): string[] {
    return [...this.sure].filter((name) => !this.#seen.has(name));
  }

  /** Seen and never added, as far as producers know. */
  get foreign(): string[] {
    return [...this.#seen.keys()].filter((name) => !this.sure.has(name) && !this.uncertain.has(name));
  }

  /** How many were seen, and how often again. */
  get counts(): { adds: number; uncertain: number; seen: number; duplicates: number } {
    let duplicates = 0;
    for (const times of this.#seen.values()) duplicates += times - 1;
    return { adds: this.sure.size, uncertain: this.uncertain.size, seen: this.#seen.size, duplicates };
  }
}
