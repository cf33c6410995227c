import { join } from "node:path";
import { command, startAll, stopAll } from "./admin.ts";
import type { Directive, Settings } from "./config.ts";
import { launch } from "./launch.ts";
import type { Address, Server, ServerConnection, ServerTrust } from "./server.ts";
import { waitFor } from "./wait.ts";

/** How a master, its replicas and their sentinel are laid out. */
export interface SentinelShape {
  /**
   * For how long the master may be silent before the sentinel takes it for down, in milliseconds.
   * @defaultValue 1000
   */
  readonly downAfter?: number | undefined;
  /**
   * How many replicas the master has.
   * @defaultValue 1
   */
  readonly replicas?: number | undefined;
}

/** What `new Redis(...)` needs to find a master through its sentinels. */
export interface SentinelConnection extends Pick<ServerConnection, "password" | "tls"> {
  /** Where the sentinels listen. */
  sentinels: Address[];
  /** The name under which they know the master. */
  name: string;
  /** Whether the sentinels speak TLS too. */
  enableTLSForSentinelMode?: boolean;
  /** The authority to trust when talking to the sentinels. */
  sentinelTLS?: ServerTrust;
}

const readyTimeout = 30_000;

/**
 * A master, its replicas and a sentinel that watches them, on 127.0.0.1. One sentinel decides alone (quorum 1).
 *
 * @see {@link startServer}, which makes it
 */
export class SentinelServer {
  /** The name under which the sentinel knows the master. */
  readonly name: string = "walrus";
  /** The server that was made the master; `currentMaster()` knows who is it now. */
  readonly master: Server;
  /** The servers that were made replicas. */
  readonly replicas: readonly Server[];
  /** The sentinel's own server. */
  readonly sentinel: Server;

  /** @internal */
  constructor(master: Server, replicas: readonly Server[], sentinel: Server) {
    this.master = master;
    this.replicas = replicas;
    this.sentinel = sentinel;
  }

  /** Host and port of the sentinels: of the one there is. */
  get sentinels(): Address[] {
    return [{ host: this.sentinel.host, port: this.sentinel.port }];
  }

  /** For `new Redis(server.options)`: the sentinels, the master's name, password and TLS. */
  get options(): SentinelConnection {
    const { password, tls } = this.master.options;
    return {
      sentinels: this.sentinels.map((sentinel) => ({ ...sentinel })),
      name: this.name,
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls, sentinelTLS: tls, enableTLSForSentinelMode: true }),
    };
  }

  /** Asks the sentinel for the master, with `SENTINEL GET-MASTER-ADDR-BY-NAME`. */
  async currentMaster(): Promise<Server> {
    const address = await command(this.sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", this.name);
    const port = Number((address as string[] | null)?.[1]);
    const master = [this.master, ...this.replicas].find((server) => server.port === port);
    if (master === undefined)
      throw new Error(`SentinelServer.currentMaster: no server of mine has port ${port}`);
    return master;
  }

  /**
   * Makes a replica the master with `SENTINEL FAILOVER`, though nothing has failed, and waits until that is done.
   *
   * @returns the new master
   * @throws Error when no replica is fit for it, or after 30 s
   */
  async failover(): Promise<Server> {
    const old = await this.currentMaster();
    await command(this.sentinel, "SENTINEL", "FAILOVER", this.name);
    return await waitFor(
      async () => {
        const master = await this.currentMaster();
        if (master === old) return null;
        const [role] = (await command(master, "ROLE")) as [string];
        const { flags } = fields(await command(this.sentinel, "SENTINEL", "MASTER", this.name));
        return role === "master" && flags === "master" ? master : null;
      },
      { timeout: readyTimeout, interval: 20, what: "the sentinel to finish the failover" },
    );
  }

  /** Shuts the sentinel and the servers down and removes their files. Does nothing the second time. */
  async stop(): Promise<void> {
    await stopAll([this.sentinel, this.master, ...this.replicas]);
  }

  /** The same as `stop()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** @internal */
  async settled(signal: AbortSignal | null): Promise<void> {
    await waitFor(async () => signal?.aborted || (await this.#isSettled()), {
      timeout: readyTimeout,
      interval: 20,
      what: "the sentinel to see the master and its replicas in step",
    });
    signal?.throwIfAborted();
  }

  async #isSettled(): Promise<boolean> {
    if (fields(await command(this.sentinel, "SENTINEL", "MASTER", this.name)).flags !== "master")
      return false;
    const replicas = (await command(this.sentinel, "SENTINEL", "REPLICAS", this.name)) as unknown[];
    const inStep = replicas.map(fields).filter((replica) => {
      return replica.flags === "slave" && replica["master-link-status"] === "ok";
    });
    return inStep.length === this.replicas.length;
  }
}

/** Starts the master, then its replicas, then the sentinel, each when the ones before are ready. */
export async function startSentinel(settings: Settings, shape: SentinelShape): Promise<SentinelServer> {
  const { downAfter = 1000, replicas = 1 } = shape;
  const { password, tls, signal } = settings;
  const inFolder = (name: string): string | null => (settings.dir === null ? null : join(settings.dir, name));
  const started: Server[] = [];
  try {
    const [master] = await startAll([launch({ ...settings, dir: inFolder("node-0") })]);
    started.push(master!);
    const at = [master!.host, String(master!.port)] as const;
    const followers = await startAll(
      Array.from({ length: replicas }, (_, i) =>
        launch({ ...settings, dir: inFolder(`node-${i + 1}`), directives: [["replicaof", ...at]] }),
      ),
    );
    started.push(...followers);
    // The sentinel looks at its servers every 10 s: what it is to see at once must be there before it.
    await waitFor(
      async () => signal?.aborted || (await Promise.all(followers.map(isInStep))).every(Boolean),
      {
        timeout: readyTimeout,
        what: "master_link_status:up on every replica",
      },
    );
    const name = "walrus";
    const directives: Directive[] = [
      ["sentinel", "monitor", name, ...at, "1"],
      ["sentinel", "down-after-milliseconds", name, String(downAfter)],
      ["sentinel", "failover-timeout", name, String(Math.max(3 * downAfter, 3000))],
    ];
    if (password !== null) directives.push(["sentinel", "auth-pass", name, password]);
    const role = { role: "sentinel", dir: null, appendOnly: false, args: [], password: null } as const;
    const sentinel = await launch({ ...settings, ...role, tls, directives });
    started.push(sentinel);
    const group = new SentinelServer(master!, followers, sentinel);
    await group.settled(signal);
    return group;
  } catch (error) {
    await stopAll(started);
    throw error;
  }
}

async function isInStep(replica: Server): Promise<boolean> {
  return /master_link_status:up/.test(String(await command(replica, "INFO", "replication")));
}

/** A flat list of names and values as an object. */
function fields(flat: unknown): Record<string, string> {
  const words = flat as string[];
  return Object.fromEntries(words.flatMap((word, i) => (i % 2 === 0 ? [[word, words[i + 1]!]] : [])));
}
