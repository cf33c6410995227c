import { setTimeout as wait } from "node:timers/promises";
import type { BenchServer } from "./server.ts";
import { decimal } from "./works/work.ts";

/** What the server did for a while. */
export interface Watch {
  readonly sockets: number;
  /** CPU seconds a second, in percent. */
  readonly cpu: number;
  /** Commands a second that it has processed, those of scripts among them; without those of the bench itself. */
  readonly processed: number;
  /** Commands a second, by name; without those of the bench itself. */
  readonly commands: ReadonlyMap<string, number>;
}

/** Looks on for so many seconds. */
export async function watch(server: BenchServer, seconds: number): Promise<Watch> {
  const [cpu, { processed, commands }] = [await server.cpu(), await server.commands()];
  const started = performance.now();
  await wait(seconds * 1_000);
  const { connected } = await server.clients();
  const [cpuNow, now] = [await server.cpu(), await server.commands()];
  const elapsed = (performance.now() - started) / 1_000;
  const rates = [...now.commands].map(
    ([name, calls]) => [name, (calls - (commands.get(name) ?? 0)) / elapsed] as const,
  );
  return {
    sockets: connected,
    cpu: (cpuNow - cpu) / elapsed / 1e4,
    processed: (now.processed - processed) / elapsed,
    commands: new Map(rates.filter(([, rate]) => rate > 0)),
  };
}

/** The sum of the commands a second, and each of them by name. */
export function commandsOf({ commands }: Watch): [sum: string, each: string] {
  return [
    decimal([...commands.values()].reduce((sum, rate) => sum + rate, 0)),
    [...commands].map(([name, rate]) => `${name} ${decimal(rate)}`).join(", ") || "-",
  ];
}
