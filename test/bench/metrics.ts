/** A kind of figure. */
export interface Metric {
  /** In the first column of the table. */
  readonly label: string;
  /** Which direction is good; a metric without one is shown and never compared. */
  readonly better?: "more" | "less";
  /** Whether it is given as it is, and not as a multiple of another peer's: it may well be zero. */
  readonly isAbsolute?: true;
  /** Writes a figure. */
  format(value: number): string;
}

const groups: Intl.NumberFormat = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A number with its thousands set apart. */
export function grouped(value: number): string {
  return groups.format(value);
}

/** A number with two digits. */
export function decimal(value: number): string {
  return value.toFixed(2);
}

/** A share of one, in percent. */
export function percent(value: number): string {
  return `${(value * 100).toFixed(0)} %`;
}

/** The name of a metric. */
export type MetricName =
  | "rate"
  | "p50"
  | "p99"
  | "held"
  | "peak"
  | "commands"
  | "heap"
  | "cpu"
  | "serverShare"
  | "serverCpu";

/** Every kind of figure that the bench prints. */
export const METRICS: Readonly<Record<MetricName, Metric>> = {
  rate: { label: "msg/s", better: "more", format: grouped },
  p50: { label: "p50, us", better: "less", format: grouped },
  p99: { label: "p99, us", better: "less", format: grouped },
  held: { label: "bytes/msg", better: "less", format: grouped },
  peak: { label: "peak, MB", better: "less", format: decimal },
  commands: { label: "commands/s", better: "less", isAbsolute: true, format: decimal },
  heap: { label: "heap each, KB", better: "less", isAbsolute: true, format: decimal },
  cpu: { label: "client CPU, us/msg", format: decimal },
  serverShare: { label: "server's share", format: percent },
  serverCpu: { label: "server CPU", format: percent },
};
