import { setTimeout as wait } from "node:timers/promises";
import type { BenchServer } from "./server.ts";

/** What the server did for a while. */
export interface Watch {
  /** CPU seconds a second. */
  readonly cpu: number;
  /** Commands a second that it has processed, those of scripts among them; without those of the bench itself. */
  readonly commands: number;
}

/** Looks on for so many seconds. */
export async function watch(server: BenchServer, seconds: number): Promise<Watch> {
  const [cpu, commands] = [await server.cpu(), await server.commands()];
  const started = performance.now();
  await wait(seconds * 1_000);
  const elapsed = (performance.now() - started) / 1_000;
  return {
    cpu: ((await server.cpu()) - cpu) / elapsed / 1e6,
    commands: ((await server.commands()) - commands) / elapsed,
  };
}
