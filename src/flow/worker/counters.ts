import { Rate, Times, type TimesSummary } from "../../ground/meter.ts";

/** What {@link Worker.metrics} gives: counts since the worker was made, rates a second, times in milliseconds. */
export interface WorkerMetrics {
  /** Entries it was given, new ones and those taken up again. */
  readonly read: number;
  /** Entries it acknowledged. */
  readonly acked: number;
  /** Deliveries that failed: the handler threw or was too late, or the entry does not decode. */
  readonly failed: number;
  /** Entries it sent to be delivered again. */
  readonly retried: number;
  /** Entries it took up: their retry delay or another worker's lease was over. */
  readonly reclaimed: number;
  /** Entries it moved to the dead letters, or dropped. */
  readonly deadLettered: number;
  /** Entries it gave back unstarted. */
  readonly released: number;
  /** Messages that are being handled now. */
  readonly inFlight: number;
  /** Entries read a second, over the last 60 s. */
  readonly rateIn: number;
  /** Entries acknowledged a second, over the last 60 s. */
  readonly rateOut: number;
  /** Entries read a second, since it was made. */
  readonly averageRateIn: number;
  /** Entries acknowledged a second, since it was made. */
  readonly averageRateOut: number;
  /** How long handlers took, in milliseconds. */
  readonly handlerTime: TimesSummary;
  /** The last failure of a handler, an entry or the connection; `null` where there was none. */
  readonly lastError: Error | null;
  /** Milliseconds since it was made. */
  readonly uptime: number;
}

/** Units of those figures that are no counts, as a notebook shows them. */
export const UNITS: Readonly<Record<string, string>> = {
  rateIn: "entries/s, last 60 s",
  rateOut: "entries/s, last 60 s",
  averageRateIn: "entries/s",
  averageRateOut: "entries/s",
  "handlerTime.mean": "ms",
  "handlerTime.p50": "ms",
  "handlerTime.p99": "ms",
  uptime: "ms",
};

/** What a worker counts. */
export class Counters {
  readonly in: Rate = new Rate();
  readonly out: Rate = new Rate();
  readonly times: Times = new Times();
  failed = 0;
  retried = 0;
  reclaimed = 0;
  deadLettered = 0;
  released = 0;
  inFlight = 0;
  lastError: Error | null = null;

  /** All of it as it is now. */
  snapshot(): WorkerMetrics {
    const { failed, retried, reclaimed, deadLettered, released, inFlight, lastError } = this;
    return {
      ...{ read: this.in.count, acked: this.out.count, failed, retried, reclaimed, deadLettered, released },
      inFlight,
      rateIn: this.in.recent,
      rateOut: this.out.recent,
      averageRateIn: this.in.average,
      averageRateOut: this.out.average,
      handlerTime: this.times.summary(),
      lastError,
      uptime: this.in.uptime,
    };
  }
}
