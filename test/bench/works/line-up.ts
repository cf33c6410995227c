import { add, addMany, addMany1Kb, producer } from "./adds.ts";
import { cluster } from "./cluster.ts";
import { consume } from "./consume.ts";
import { blockedRead, latency, tail } from "./delays.ts";
import { idle, idleWorker } from "./idle.ts";
import { memory, memoryScan } from "./memory.ts";
import { group, pages, scan, scan1Kb } from "./reads.ts";
import type { Work } from "./work.ts";
import { app, worker, worker1Ms } from "./workers.ts";

/** What is measured unless asked otherwise, in the order of the table. */
export const MAIN_WORKS: readonly Work[] = [
  ...[add, addMany, scan, pages, group],
  ...[consume, worker, latency, memory, cluster],
];

/** What else can be measured: `--works all`, or by name. */
export const FURTHER_WORKS: readonly Work[] = [
  ...[addMany1Kb, scan1Kb, producer, app, worker1Ms],
  ...[tail, blockedRead, memoryScan, idle, idleWorker],
];

/** All of them. */
export const WORKS: readonly Work[] = [...MAIN_WORKS, ...FURTHER_WORKS];
