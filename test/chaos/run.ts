import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { type Server, startProxy, startServer, type TcpProxy, waitFor } from "../../src/testing/index.ts";
import { Ledger } from "./ledger.ts";
import { GROUP, Member, open, type Sabotage, STREAMS } from "./member.ts";
import { Random } from "./random.ts";

/** How a soak is run. */
export interface SoakOptions {
  /** How long faults are injected. */
  readonly seconds: number;
  /** What determines the faults; their interleaving with the traffic is the machine's. */
  readonly seed: number;
  /** Break the members, to see that the checks notice. @defaultValue `"none"` */
  readonly sabotage?: Sabotage;
}

/** What a soak found. */
export interface Report {
  readonly seed: number;
  readonly seconds: number;
  readonly counts: Readonly<Record<string, number>>;
  /** Faults by kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** Checks that failed, with the evidence; empty is good. */
  readonly failures: readonly string[];
}

const MEMBERS = 3;
const PRODUCERS = 2;
/** How long members have for what is left when the faults are over, in milliseconds. */
const DRAIN = 20_000;

/** Run producers and members under faults, then check. */
export async function soak(options: SoakOptions): Promise<Report> {
  await using server = await startServer({
    appendOnly: true,
    args: ["--appendfsync", "always", "--hz", "50"],
  });
  await using proxy = await startProxy(server);
  const run = new Soak(server, proxy, options);
  try {
    return await run.run();
  } finally {
    run.end();
  }
}

class Soak {
  readonly #server: Server;
  readonly #proxy: TcpProxy;
  readonly #options: SoakOptions;
  readonly #random: Random;
  readonly #ledger = new Ledger();
  readonly #faults: Record<string, number> = {};
  readonly #failures: string[] = [];
  readonly #members: Member[] = [];
  /** Past the proxy, so that no fault but the server's own touches it. */
  readonly #watch: Redis;
  #isProducing = true;
  #next = 0;
  #names = 0;

  constructor(server: Server, proxy: TcpProxy, options: SoakOptions) {
    this.#server = server;
    this.#proxy = proxy;
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#watch = new Redis({ path: server.socketPath!, connectionName: "watch", retryStrategy: () => 20 });
    this.#watch.on("error", () => {});
  }

  async run(): Promise<Report> {
    const { seconds, seed } = this.#options;
    for (const stream of STREAMS) await this.#watch.xgroup("CREATE", stream, GROUP, "0", "MKSTREAM");
    for (let i = 0; i < MEMBERS; i++) this.#members.push(this.#member(`member-${this.#names++}`));
    const producers = Array.from({ length: PRODUCERS }, () => this.#produce());
    const end = performance.now() + seconds * 1000;
    while (performance.now() < end) {
      await pause(this.#random.integer(50, 700));
      await this.#inject();
    }
    this.#isProducing = false;
    await this.#bounded("producers to end", Promise.all(producers), 15_000);
    await this.#drain();
    await this.#claimOfDead();
    await this.#check();
    await this.#closeAll();
    const counts = this.#ledger.counts;
    return { seed, seconds, counts, faults: this.#faults, failures: this.#failures };
  }

  get #isSabotaged(): boolean {
    return (this.#options.sabotage ?? "none") !== "none";
  }

  end(): void {
    this.#isProducing = false;
    this.#watch.disconnect();
  }

  #member(name: string): Member {
    return new Member(name, this.#proxy, this.#ledger, this.#options.sabotage ?? "none");
  }

  async #produce(): Promise<void> {
    const db = open(this.#proxy, "producer");
    try {
      while (this.#isProducing) {
        const number = this.#next++;
        const stream = STREAMS[number % STREAMS.length]!;
        const name = `${stream} ${number}`;
        this.#ledger.uncertain.add(name);
        try {
          await db.Stream(stream).add({ n: number });
          this.#ledger.sure.add(name);
          this.#ledger.uncertain.delete(name);
          await pause(1);
        } catch {
          await pause(20);
        }
      }
    } finally {
      await db.close();
    }
  }

  /** One fault, from its beginning to its end. */
  async #inject(): Promise<void> {
    const faults: Record<string, () => Promise<void>> = {
      kill: async () => {
        await this.#server.kill();
        await pause(this.#random.integer(0, 500));
        await this.#server.restart();
      },
      freeze: async () => {
        await this.#server.freeze();
        await pause(this.#random.integer(100, this.#options.seconds < 30 ? 1000 : 3000));
        await this.#server.thaw();
      },
      cut: async () => this.#proxy.cut(),
      swallow: async () => {
        this.#proxy.swallow();
        await waitFor(() => this.#proxy.heldBytes > 0, { timeout: 1000 }).catch(() => {});
        await pause(this.#random.integer(0, 300));
        this.#proxy.cut();
        this.#proxy.pass();
      },
      "cut in a reply": async () => {
        const cut = this.#proxy.cutAfter(this.#random.integer(1, 600));
        await Promise.race([cut, pause(500)]);
      },
      "member restarted": () => this.#replace((member) => member.close(), true),
      "member crashed": () => this.#replace((member) => member.crash(), true),
      "member lost": () => this.#replace((member) => member.crash(), false),
    };
    const kind = this.#isSabotaged ? "member crashed" : this.#random.of(Object.keys(faults));
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    await faults[kind]!();
  }

  /** End a member and begin another: its next life, or a new one that knows nothing of it. */
  async #replace(end: (member: Member) => Promise<void>, isSame: boolean): Promise<void> {
    const at = this.#random.integer(0, this.#members.length - 1);
    const old = this.#members[at]!;
    if (old.failure !== null) this.#failures.push(`${old.name} ended by itself: ${old.failure}`);
    await end(old).catch((error) => this.#failures.push(String(error)));
    // The server could still give entries to a read that nobody reads: a next life would look too early.
    const isGone = async () =>
      !String(await this.#watch.client("LIST")).includes(` name=${old.connectionName} `);
    await waitFor(isGone, { what: `the server to forget ${old.connectionName}` }).catch((error) =>
      this.#failures.push(String(error)),
    );
    this.#members[at] = this.#member(isSame ? old.name : `member-${this.#names++}`);
  }

  /** The members that live give all that is new or pending for them. */
  async #drain(): Promise<void> {
    const isDrained = async (): Promise<boolean> => {
      for (const member of this.#members) await member.acknowledge();
      for (const stream of STREAMS) {
        const [group] = (await this.#watch.xinfo("GROUPS", stream)) as unknown[][];
        if (group![group!.indexOf("lag") + 1] !== 0) return false;
        for (const { name } of this.#members)
          if ((await this.#pendingOf(stream, name)).length > 0) return false;
      }
      return true;
    };
    const begin = performance.now();
    while (!(await isDrained().catch(() => false))) {
      // Nothing has come for long: what is left will not come by itself.
      const isStuck =
        performance.now() - Math.max(this.#ledger.lastSeen, begin) > (this.#isSabotaged ? 2000 : 8000);
      if (isStuck || performance.now() - begin > DRAIN) break;
      await pause(50);
    }
    for (const stream of STREAMS) {
      for (const { name, unacknowledged } of this.#members) {
        const ids = await this.#pendingOf(stream, name);
        if (ids.length === 0) continue;
        this.#failures.push(
          `${name} lives and never gave or acknowledged ${ids.length} entries of ${stream}, such as ${ids[0]} (it knows of ${unacknowledged})`,
        );
      }
    }
  }

  async #pendingOf(stream: string, name: string): Promise<string[]> {
    const entries = (await this.#watch.xpending(stream, GROUP, "-", "+", 1000, name)) as [string][];
    return entries.map(([id]) => id);
  }

  /** What members held that are gone for good. */
  async #claimOfDead(): Promise<void> {
    const db = open(this.#proxy, "claimer");
    const group = db.consumerGroup(GROUP, STREAMS, { consumer: "claimer" });
    for (const key of STREAMS) {
      const stream = group.streams[key]!;
      let start = "0-0";
      do {
        const { next, messages } = await stream.autoclaim({ minIdle: 0, start });
        for (const message of messages) this.#ledger.record(`${key} ${message.data.n}`);
        if (messages.length > 0) await stream.ack(...messages);
        start = next;
      } while (start !== "0-0");
    }
    await db.close();
  }

  async #check(): Promise<void> {
    const { missing, foreign } = this.#ledger;
    if (missing.length > 0)
      this.#failures.push(
        `${missing.length} acknowledged adds were never seen: ${missing.slice(0, 5).join(", ")}`,
      );
    if (foreign.length > 0)
      this.#failures.push(`${foreign.length} seen that nobody added: ${foreign.slice(0, 5).join(", ")}`);
    for (const stream of STREAMS) {
      const [pending] = (await this.#watch.xpending(stream, GROUP)) as [number];
      if (pending !== 0) this.#failures.push(`${pending} entries of ${stream} are still pending`);
      const numbers = (await this.#watch.xrange(stream, "-", "+")).map(([, fields]) => fields[1]!);
      const twice = numbers.filter((number, i) => numbers.indexOf(number) !== i);
      if (twice.length > 0)
        this.#failures.push(`${stream} holds ${twice.length} adds twice: ${twice.slice(0, 5)}`);
    }
  }

  async #closeAll(): Promise<void> {
    for (const member of this.#members) {
      if (member.failure !== null) this.#failures.push(`${member.name} ended by itself: ${member.failure}`);
      await member.close().catch((error) => this.#failures.push(String(error)));
    }
    await waitFor(() => this.#proxy.connections === 0, { what: "all connections to be closed" }).catch(
      (error) => this.#failures.push(String(error)),
    );
  }

  async #bounded(what: string, promise: Promise<unknown>, ms: number): Promise<void> {
    const over = new AbortController();
    const late = pause(ms, "late", { signal: over.signal }).catch(() => "late");
    if ((await Promise.race([promise, late])) === "late") this.#failures.push(`waited ${ms} ms for ${what}`);
    over.abort();
  }
}
