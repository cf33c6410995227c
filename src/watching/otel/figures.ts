import type { Attributes } from "@opentelemetry/api";
import type { GroupStreamStats } from "../../containers/group-stats.ts";
import type { ProducerMetrics } from "../../flow/producer-options.ts";
import type { WorkerMetrics } from "../../flow/worker/counters.ts";
import { ERROR_TYPE, OPERATION_NAME, OPERATION_TYPE, OTHER } from "./conventions.ts";

/**
 * One figure that is reported of many objects: its instrument, and how it is read.
 *
 * A `counter` only grows. A `level` goes up and down, and the sum of many is the level of all. A `gauge` goes up and down, and
 * is the same whoever reports it.
 */
export interface Figure<M> {
  readonly name: string;
  readonly description: string;
  readonly unit: string;
  readonly kind: "counter" | "level" | "gauge";
  /** Beside those of the object it is read of. */
  readonly attributes?: Attributes | undefined;
  /** Its value; `null` where it is not known. */
  of(metrics: M): number | null;
}

const MESSAGES = "{message}";

/** What is reported of a worker. */
export const WORKER_FIGURES: readonly Figure<WorkerMetrics>[] = [
  {
    ...{ name: "messaging.client.consumed.messages", kind: "counter", unit: MESSAGES },
    description: "Messages that were delivered, new ones and those taken up again.",
    attributes: { [OPERATION_NAME]: "receive", [OPERATION_TYPE]: "receive" },
    of: ({ read }) => read,
  },
  counter("acked", "Messages that were acknowledged.", ({ acked }) => acked),
  counter("failed", "Deliveries that failed.", ({ failed }) => failed),
  counter("retried", "Messages sent to be delivered again.", ({ retried }) => retried),
  counter(
    "reclaimed",
    "Messages taken up: a retry was due or a lease was over.",
    ({ reclaimed }) => reclaimed,
  ),
  counter(
    "dead_lettered",
    "Messages moved to the dead letters, or dropped.",
    ({ deadLettered }) => deadLettered,
  ),
  counter("released", "Messages given back unstarted.", ({ released }) => released),
  {
    ...{ name: "walrus.worker.in_flight", kind: "level", unit: MESSAGES },
    description: "Messages that are being handled.",
    of: ({ inFlight }) => inFlight,
  },
];

/** What is reported of a producer. */
export const PRODUCER_FIGURES: readonly Figure<ProducerMetrics>[] = [
  {
    ...{ name: "messaging.client.sent.messages", kind: "counter", unit: MESSAGES },
    description: "Messages that were sent.",
    attributes: { [OPERATION_NAME]: "send", [OPERATION_TYPE]: "send" },
    of: ({ pushed }) => pushed,
  },
  {
    ...{ name: "messaging.client.sent.messages", kind: "counter", unit: MESSAGES },
    description: "Messages that were sent.",
    attributes: { [OPERATION_NAME]: "send", [OPERATION_TYPE]: "send", [ERROR_TYPE]: OTHER },
    of: ({ failed }) => failed,
  },
];

/** What is reported of a group on a stream, the same by whichever process. */
export const GROUP_FIGURES: readonly Figure<GroupStreamStats>[] = [
  gauge("lag", MESSAGES, "Entries not delivered to the group yet.", ({ lag }) => lag),
  gauge("pending", MESSAGES, "Entries delivered and not acknowledged.", ({ pending }) => pending),
  gauge("dead_letters", MESSAGES, "Entries among the dead letters.", ({ deadLetters }) => deadLetters),
  gauge("oldest_pending_age", "s", "Age of the oldest pending entry; 0 where none is.", (stats) => {
    return (stats.oldestPendingAge ?? 0) / 1000;
  }),
];

function counter(
  name: string,
  description: string,
  of: (metrics: WorkerMetrics) => number,
): Figure<WorkerMetrics> {
  return { name: `walrus.worker.${name}`, description, unit: MESSAGES, kind: "counter", of };
}

function gauge(
  name: string,
  unit: string,
  description: string,
  of: (stats: GroupStreamStats) => number | null,
): Figure<GroupStreamStats> {
  return { name: `walrus.group.${name}`, description, unit, kind: "gauge", of };
}
