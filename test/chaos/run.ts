import { setMaxListeners } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { compareIds, deadLetterKey } from "../../src/index.ts";
// What must not outlive this process, however it ends.
import { guardDirectory, releaseDirectory } from "../../src/testing/guard.ts";
import { waitFor } from "../../src/testing/index.ts";
import { transpile } from "../bench/build.ts";
import { Book, now, readBooks } from "./book.ts";
import { type Breach, check, historyOf } from "./checker.ts";
import { ClusterStage } from "./cluster.ts";
import { Actor } from "./company.ts";
import { evidenceOf, type Remains } from "./evidence.ts";
import type { Orders } from "./member.ts";
import { type Fault, LEASE, memberNames, planOf, type Sabotage, type Topology } from "./plan.ts";
import { READERS } from "./reading.ts";
import { SingleStage } from "./single.ts";
import type { Stage } from "./stage.ts";
import { WORKERS } from "./working.ts";

/** How chaos is run. */
export interface ChaosOptions {
  /** How long faults strike. */
  readonly seconds: number;
  /** What determines the faults and what is pushed; their interleaving is the machine's. */
  readonly seed: number;
  /** @defaultValue `"single"` */
  readonly topology?: Topology;
  /** Break the members, to see that the checker notices. @defaultValue `null` */
  readonly sabotage?: Sabotage | null;
  /** Told each few seconds how far it is. */
  readonly tell?: (line: string) => void;
}

/** What a run came to. */
export interface Report {
  readonly counts: Readonly<Record<string, number>>;
  /** Faults by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** How often two handlers had one entry after its lease had run out, by the cause. */
  readonly expiries: Readonly<Record<string, number>>;
  /** Broken promises, each with the history of its entry; empty is good. */
  readonly breaches: readonly (Breach & { readonly history: readonly string[] })[];
  /** What else went wrong: processes that ended by themselves or would not end. */
  readonly failures: readonly string[];
}

/** How long the members may take to begin on a busy machine, in milliseconds. */
const START = 120_000;
/** How long what is left may take when the faults are over, in milliseconds. */
const DRAIN = 120_000;
/** Nothing at all happens for so long: what is left will not come by itself. */
const STUCK = 30_000;
/** Runs of this length have entries that kill their handler's process: each takes a lease for each of its deliveries. */
const KILLERS = 120;
/** This process holds the links: when it, or the server, stood still for so long, all were hindered. */
const STILL = 400;
/** Broken promises whose histories are told, of each kind. */
const TOLD = 3;

let compiled: Promise<string> | null = null;

/** The members' program, compiled: processes begin often, and so they begin five times as fast. */
async function compile(): Promise<string> {
  // Inside the project, so that imports resolve; in a folder that git and the tools leave out.
  const dist = join(import.meta.dirname, "dist");
  mkdirSync(dist, { recursive: true });
  const folder = mkdtempSync(join(dist, "run-"));
  guardDirectory(folder);
  await transpile("src", join(folder, "src"));
  await transpile("test/chaos", join(folder, "test/chaos"));
  return join(folder, "test/chaos/member.js");
}

/** Run members under faults, then check. */
export async function chaos(options: ChaosOptions): Promise<Report> {
  compiled ??= compile();
  const program = await compiled;
  const directory = mkdtempSync(join(tmpdir(), "walrus-chaos-"));
  guardDirectory(directory);
  const book = new Book(directory, "stage");
  try {
    const stage = await (options.topology === "cluster" ? ClusterStage : SingleStage).open(book);
    const run = new ChaosRun(stage, directory, program, book, options);
    try {
      return await run.run();
    } finally {
      await run.end();
      await stage.close();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
    releaseDirectory(directory);
  }
}

class ChaosRun {
  readonly #stage: Stage;
  readonly #directory: string;
  readonly #book: Book;
  readonly #options: ChaosOptions;
  readonly #actors: ReadonlyMap<string, Actor>;
  readonly #faults: Record<string, number> = {};
  readonly #failures: string[] = [];
  readonly #over = new AbortController();
  #latest = "none yet";

  constructor(stage: Stage, directory: string, program: string, book: Book, options: ChaosOptions) {
    setMaxListeners(0, this.#over.signal);
    this.#stage = stage;
    this.#directory = directory;
    this.#book = book;
    this.#options = options;
    const isForgotten = async (life: string): Promise<boolean> => !(await stage.knows(life));
    const { streams, isCluster } = stage;
    const { seed, sabotage = null, seconds } = options;
    this.#actors = new Map(
      memberNames().map((name) => {
        const role = name.replace(/-\d+$/, "") as Orders["role"];
        const addresses = stage.addressesFor(name).map(({ host, port }) => ({ host, port }));
        const orders = { role, name, directory, addresses, isCluster, streams, seed, sabotage };
        return [name, new Actor(program, { ...orders, hasKillers: seconds >= KILLERS }, book, isForgotten)];
      }),
    );
  }

  async run(): Promise<Report> {
    const { seconds, seed, topology = "single", sabotage = null } = this.#options;
    for (const stream of this.#stage.streams)
      for (const group of [WORKERS, READERS])
        await (await this.#stage.watch(stream)).xgroup("CREATE", stream, group, "0", "MKSTREAM");
    for (const actor of this.#actors.values()) actor.start();
    await waitFor(() => [...this.#actors.values()].every(({ isReady }) => isReady), {
      ...{ timeout: START, interval: 50, what: "all members to begin" },
    });
    const begun = now();
    const progress = setInterval(() => this.#progress(begun), 5000);
    const probing = this.#probe();
    const plan = planOf(seed, seconds, topology, sabotage);
    const lanes = new Set(plan.map(({ lane }) => lane));
    const striking = [...lanes].map((lane) =>
      this.#strike(
        plan.filter((fault) => fault.lane === lane),
        begun + seconds * 1000,
      ),
    );
    await Promise.all([...striking, sleep(seconds * 1000)]);
    this.#latest = "over";
    await this.#dismiss("producer");
    await this.#drain();
    const left = await this.#left();
    await this.#dismiss("worker");
    await this.#dismiss("reader");
    this.#over.abort();
    await probing;
    clearInterval(progress);
    return this.#judge({ ...(await this.#contents()), left });
  }

  /** End all processes that still run, whatever has happened. */
  async end(): Promise<void> {
    this.#over.abort();
    await Promise.allSettled([...this.#actors.values()].map((actor) => actor.kill()));
  }

  /** Carry out the faults of one lane, one after another; where one takes long, the pause to the next stays as it is planned. */
  async #strike(faults: readonly Fault[], end: number): Promise<void> {
    let last = 0;
    for (const fault of faults) {
      const pause = Math.min(fault.at - last, end - now());
      last = fault.at + fault.ms;
      await sleep(Math.max(0, pause), undefined, { signal: this.#over.signal }).catch(() => {});
      if (this.#over.signal.aborted || now() >= end) return;
      this.#faults[fault.kind] = (this.#faults[fault.kind] ?? 0) + 1;
      this.#latest = `${fault.lane} ${fault.kind}`;
      await (this.#actors.get(fault.lane)?.strike(fault) ?? this.#stage.strike(fault)).catch((error) =>
        this.#failures.push(`${fault.lane}: ${fault.kind}: ${error}`),
      );
    }
  }

  /** Write down when this process, or a server, stood still. */
  async #probe(): Promise<void> {
    let last = now();
    while (!this.#over.signal.aborted) {
      for (const stream of this.#stage.streams) {
        const watch = await this.#stage.watch(stream).catch(() => null);
        await watch?.ping().catch(() => {});
      }
      if (now() - last > STILL)
        this.#book.write({
          what: "trouble",
          whom: "server",
          why: "servers or links stood still",
          from: last,
        });
      last = now();
      await sleep(100);
    }
  }

  async #dismiss(role: string): Promise<void> {
    const actors = [...this.#actors.values()].filter(({ name }) => name.startsWith(role));
    await Promise.all(actors.map((actor) => actor.dismiss()));
  }

  #done(role: string): number {
    return [...this.#actors.values()]
      .filter(({ name }) => name.startsWith(role))
      .reduce((sum, { done }) => sum + done, 0);
  }

  #progress(begun: number): void {
    const struck = Object.values(this.#faults).reduce((sum, count) => sum + count, 0);
    this.#options.tell?.(
      `${Math.round((now() - begun) / 1000)} s: ${this.#done("producer")} pushed, ${this.#done("worker")} handled, ` +
        `${this.#done("reader")} seen, ${struck} faults (latest: ${this.#latest})`,
    );
  }

  /** Wait until the groups have been given all and have settled all. */
  async #drain(): Promise<void> {
    const begun = now();
    let [moved, mark] = [now(), ""];
    for (;;) {
      const states = await this.#states().catch(() => null);
      if (states?.every(({ isRead, pending }) => isRead && pending === 0)) return;
      const latest = JSON.stringify([states, this.#done("worker"), this.#done("reader")]);
      if (latest !== mark) [moved, mark] = [now(), latest];
      const stuck = (this.#options.sabotage ?? null) === null ? STUCK : 8000;
      if (now() - moved > stuck || now() - begun > DRAIN) return;
      await sleep(100);
    }
  }

  async #states(): Promise<{ isRead: boolean; pending: number }[]> {
    const states: { isRead: boolean; pending: number }[] = [];
    for (const stream of this.#stage.streams) {
      const watch = await this.#stage.watch(stream);
      const [newest] = await watch.xrevrange(stream, "+", "-", "COUNT", 1);
      for (const row of (await watch.xinfo("GROUPS", stream)) as unknown[][]) {
        const fact = (name: string): unknown => row[row.indexOf(name) + 1];
        const isRead = newest === undefined || fact("last-delivered-id") === newest[0];
        states.push({ isRead, pending: Number(fact("pending")) });
      }
    }
    return states;
  }

  /** What is pending, or was never given to a group. */
  async #left(): Promise<Remains["left"]> {
    const left: { stream: string; id: string; group: string; holder: string }[] = [];
    for (const stream of this.#stage.streams) {
      const watch = await this.#stage.watch(stream);
      const newest = (await watch.xrange(stream, "-", "+")).map(([id]) => id);
      for (const row of (await watch.xinfo("GROUPS", stream)) as unknown[][]) {
        const group = String(row[row.indexOf("name") + 1]);
        const last = String(row[row.indexOf("last-delivered-id") + 1]);
        for (const id of newest)
          if (compareIds(id, last) > 0) left.push({ stream, id, group, holder: "never read" });
        const pending = (await watch.xpending(stream, group, "-", "+", 10_000)) as [
          string,
          string,
          number,
          number,
        ][];
        for (const [id, holder, idle, count] of pending)
          left.push({
            stream,
            id,
            group,
            holder: `pending under ${holder}, idle ${idle} ms, delivery ${count}`,
          });
      }
    }
    return left;
  }

  async #contents(): Promise<Omit<Remains, "left">> {
    const entries: { stream: string; id: string; n: string }[] = [];
    const dead: { stream: string; id: string; n: string; at: number }[] = [];
    // The server's clock is this machine's: the difference to ours is the same for all.
    const offset = Date.now() - now();
    for (const stream of this.#stage.streams) {
      const watch = await this.#stage.watch(stream);
      for (const [id, parts] of await watch.xrange(stream, "-", "+"))
        entries.push({ stream, id, n: fieldOf(parts, "n") });
      for (const [, parts] of await watch.xrange(deadLetterKey(stream), "-", "+")) {
        const note = JSON.parse(fieldOf(parts, "@dead")) as { id: string; time: number };
        dead.push({ stream, id: note.id, n: fieldOf(parts, "n"), at: note.time - offset });
      }
    }
    return { entries, dead };
  }

  #judge(remains: Remains): Report {
    const evidence = evidenceOf(readBooks(this.#directory), remains, LEASE);
    const { breaches, expiries } = check(evidence);
    const told: Record<string, number> = {};
    const withHistory = breaches.map((breach) => {
      told[breach.promise] = (told[breach.promise] ?? 0) + 1;
      const isTold = breach.n !== null && told[breach.promise]! <= TOLD;
      return { ...breach, history: isTold ? historyOf(evidence, breach.n!) : [] };
    });
    const ended = (how: string): number => evidence.runs.filter((run) => run.how === how).length;
    const ids = new Set(evidence.runs.map(({ stream, id }) => `${stream} ${id}`));
    const actors = [...this.#actors.values()];
    const counts = {
      acknowledged: [...evidence.pushes.values()].filter(({ id }) => id !== null).length,
      "pushes repeated after a crash":
        evidence.lines.filter(({ what }) => what === "push").length - evidence.pushes.size,
      "entries in the streams": remains.entries.length,
      "handlers called": evidence.runs.length,
      done: ended("done"),
      failed: ended("failed"),
      "cut short by a death": ended("cut short"),
      aborted: ended("aborted"),
      "called again": evidence.runs.length - ids.size,
      "seen by readers": evidence.lines.filter(({ what }) => what === "seen").length,
      "leases renewed": [...evidence.renewals.values()].reduce((sum, { length }) => sum + length, 0),
      "dead letters": remains.dead.length,
      processes: evidence.lines.filter(({ what }) => what === "born").length,
      "killed by their handlers": actors.reduce((sum, { suicides }) => sum + suicides, 0),
    };
    const failures = [...this.#failures, ...actors.flatMap((actor) => actor.failures)];
    for (const what of ["acknowledged", "done", "seen by readers"] as const)
      if (counts[what] === 0) failures.push(`nothing was ${what}: the run proves nothing`);
    return { counts, faults: this.#faults, expiries, breaches: withHistory, failures };
  }
}

function fieldOf(parts: readonly string[], name: string): string {
  const at = parts.findIndex((part, i) => i % 2 === 0 && part === name);
  return at < 0 ? "" : parts[at + 1]!;
}
