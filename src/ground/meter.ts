/** Seconds over which a rate looks back. */
const WINDOW = 60;

/**
 * Counts what happens, with its rate over the last 60 seconds and since it began.
 *
 * By a clock that only goes forward, so that a clock which is set does not show in it.
 */
export class Rate {
  /** How many there were. */
  count = 0;
  readonly #now: () => number;
  readonly #start: number;
  /** What happened in each second of the window, by the second modulo the window. */
  readonly #seconds = new Float64Array(WINDOW);
  #second = 0;

  /** @param now - Milliseconds of a clock that only goes forward. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#start = now();
  }

  /** Milliseconds since it began. */
  get uptime(): number {
    return Math.round(this.#now() - this.#start);
  }

  /** Count so many. */
  add(count: number): void {
    this.#turn();
    this.count += count;
    this.#seconds[this.#second % WINDOW]! += count;
  }

  /** How many a second over the last 60 seconds, or since it began where that is less; 0 in its first millisecond. */
  get recent(): number {
    this.#turn();
    const seconds = Math.min((this.#now() - this.#start) / 1000, WINDOW);
    return seconds < 0.001 ? 0 : this.#seconds.reduce((sum, count) => sum + count, 0) / seconds;
  }

  /** How many a second since it began; 0 in its first millisecond. */
  get average(): number {
    const seconds = (this.#now() - this.#start) / 1000;
    return seconds < 0.001 ? 0 : this.count / seconds;
  }

  /** Clear the seconds that have passed since the last look. */
  #turn(): void {
    const second = Math.floor((this.#now() - this.#start) / 1000);
    const passed = Math.min(second - this.#second, WINDOW);
    for (let i = 1; i <= passed; i++) this.#seconds[(this.#second + i) % WINDOW] = 0;
    this.#second = Math.max(second, this.#second);
  }
}

/** Buckets for each doubling of a time. */
const PARTS = 16;
/** The shortest time that is told apart, in milliseconds. */
const SHORTEST = 1 / 1024;
const BUCKETS = 40 * PARTS;

/** How times are distributed, in milliseconds. */
export interface TimesSummary {
  /** How many there were. */
  readonly count: number;
  /** Their mean; 0 where there were none. */
  readonly mean: number;
  /** Half of them were no longer; 0 where there were none. */
  readonly p50: number;
  /** All but one in a hundred were no longer; 0 where there were none. */
  readonly p99: number;
}

/**
 * A distribution of times in constant memory: 16 buckets for each doubling, so that a percentile is at most 4.5 % off.
 *
 * @see https://github.com/HdrHistogram/HdrHistogram
 */
export class Times {
  readonly #buckets = new Float64Array(BUCKETS);
  #count = 0;
  #sum = 0;

  /** Take a time in milliseconds, `count` times. */
  add(ms: number, count = 1): void {
    const bucket = Math.floor(Math.log2(Math.max(ms, SHORTEST) / SHORTEST) * PARTS);
    this.#buckets[Math.min(bucket, BUCKETS - 1)]! += count;
    this.#count += count;
    this.#sum += ms * count;
  }

  /** Count, mean and percentiles. */
  summary(): TimesSummary {
    const mean = this.#count === 0 ? 0 : this.#sum / this.#count;
    return { count: this.#count, mean, p50: this.#percentile(0.5), p99: this.#percentile(0.99) };
  }

  /** The middle of the bucket in which a part of all times is reached. */
  #percentile(part: number): number {
    if (this.#count === 0) return 0;
    let left = part * this.#count;
    let bucket = 0;
    while (bucket < BUCKETS - 1) {
      left -= this.#buckets[bucket]!;
      if (left <= 0) break;
      bucket++;
    }
    return SHORTEST * 2 ** ((bucket + 0.5) / PARTS);
  }
}
