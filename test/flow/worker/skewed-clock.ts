/** To be loaded before a program: its `Date` is hours ahead, then hours behind, and jumps between the two every 150 ms. */
const Real = Date;
const HOUR = 3_600_000;
let skew = 5 * HOUR;
setInterval(() => {
  skew = skew > 0 ? -7 * HOUR : 5 * HOUR;
}, 150).unref();

class Skewed extends Real {
  constructor(...args: unknown[]) {
    super(...((args.length === 0 ? [Skewed.now()] : args) as [number]));
  }

  static override now(): number {
    return Real.now() + skew;
  }
}
globalThis.Date = Skewed as DateConstructor;
