import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { command, startAll, stopAll } from "./admin.ts";
import type { Settings } from "./config.ts";
import { launch } from "./launch.ts";
import { busOffset } from "./port.ts";
import type { Address, Server, ServerConnection } from "./server.ts";
import { waitFor } from "./wait.ts";

/** How a cluster is laid out. */
export interface ClusterShape {
  /**
   * How many masters share the 16384 slots evenly, in their order; a failover needs a majority of them, so 3 or more.
   * @defaultValue 3
   */
  readonly masters?: number | undefined;
  /**
   * How many replicas each master has.
   * @defaultValue 0
   */
  readonly replicas?: number | undefined;
  /**
   * `cluster-node-timeout`: for how long a node may be silent before it counts as failed, in milliseconds.
   * @defaultValue 2000
   */
  readonly nodeTimeout?: number | undefined;
}

const slots = 16_384;
const readyTimeout = 30_000;

/**
 * A Redis Cluster of one's own: one process a node, on 127.0.0.1.
 *
 * @see {@link startServer}, which makes it
 */
export class ClusterServer {
  /** All nodes: first the masters, in the order of their slots, then the replicas. */
  readonly nodes: readonly Server[];
  /** The nodes that were made masters; `masterOf()` knows who is one now. */
  readonly masters: readonly Server[];
  /** The nodes that were made replicas: number i is one of master number i modulo the number of masters. */
  readonly replicas: readonly Server[];

  /** @internal */
  constructor(nodes: readonly Server[], masters: number) {
    this.nodes = nodes;
    this.masters = nodes.slice(0, masters);
    this.replicas = nodes.slice(masters);
  }

  /** The first node's URL. */
  get url(): string {
    return this.nodes[0]!.url;
  }

  /** Host and port of every node, for `new Cluster(cluster.startupNodes, { redisOptions: cluster.redisOptions })`. */
  get startupNodes(): Address[] {
    return this.nodes.map(({ host, port }) => ({ host, port }));
  }

  /** Password and TLS, as ioredis wants them for each node; empty when there are neither. */
  get redisOptions(): Pick<ServerConnection, "password" | "tls"> {
    const { password, tls } = this.nodes[0]!.options;
    return { ...(password === undefined ? {} : { password }), ...(tls === undefined ? {} : { tls }) };
  }

  /**
   * Asks the running nodes who owns a slot, with `CLUSTER NODES`; the claim of the latest epoch counts.
   * A master that has failed is the owner until a replica has taken over.
   *
   * @param slot - 0 to 16383
   * @throws RangeError when it is not a slot
   * @throws Error when no running node knows an owner
   */
  async masterOf(slot: number): Promise<Server> {
    if (!Number.isInteger(slot) || slot < 0 || slot >= slots) {
      throw new RangeError(
        `ClusterServer.masterOf: slot must be an integer from 0 to ${slots - 1}, got ${slot}`,
      );
    }
    const asked = this.nodes.filter((node) => node.isRunning && !node.isFrozen);
    const answers = await Promise.allSettled(asked.map(viewOf));
    const views = answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
    const claims = views
      .flat()
      .filter(({ ranges }) => ranges.some(([from, to]) => from <= slot && slot <= to));
    const latest = claims.sort((a, b) => b.epoch - a.epoch)[0];
    const owner = this.nodes.find(({ port }) => port === latest?.port);
    if (owner === undefined)
      throw new Error(`ClusterServer.masterOf: no running node knows who owns slot ${slot}`);
    return owner;
  }

  /**
   * Waits until the running nodes are one cluster again: they own all slots, see the same, call it `cluster_state:ok`,
   * and every replica's link is up. To call after `kill()` or `restart()` of a node.
   *
   * @throws Error after 30 s
   */
  async ready(): Promise<void> {
    await this.#settled(null);
  }

  /** Shuts all nodes down and removes their files. Does nothing the second time. */
  async stop(): Promise<void> {
    await stopAll(this.nodes);
  }

  /** The same as `stop()`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** @internal */
  async form(signal: AbortSignal | null): Promise<void> {
    const { nodes, masters, replicas } = this;
    const ids = await Promise.all(nodes.map(async (node) => String(await command(node, "CLUSTER", "MYID"))));
    await Promise.all(nodes.map((node, i) => command(node, "CLUSTER", "SET-CONFIG-EPOCH", String(i + 1))));
    const borders = [...masters.keys(), masters.length].map((i) => Math.round((i * slots) / masters.length));
    await Promise.all(
      masters.map((master, i) =>
        command(master, "CLUSTER", "ADDSLOTSRANGE", String(borders[i]!), String(borders[i + 1]! - 1)),
      ),
    );
    const [first, ...others] = nodes;
    for (const node of others) await command(node, "CLUSTER", "MEET", first!.host, String(first!.port));
    await Promise.all(
      replicas.map((replica, i) =>
        waitFor(
          () => (signal?.aborted ? true : command(replica, "CLUSTER", "REPLICATE", ids[i % masters.length]!)),
          { timeout: readyTimeout, interval: 20, what: "a replica to know its master" },
        ),
      ),
    );
    await this.#settled(signal);
  }

  async #settled(signal: AbortSignal | null): Promise<void> {
    await waitFor(async () => signal?.aborted || (await this.#isSettled()), {
      timeout: readyTimeout,
      interval: 20,
      what: "cluster_state:ok, the same view and replicas in step on every node",
    });
    signal?.throwIfAborted();
  }

  async #isSettled(): Promise<boolean> {
    const running = this.nodes.filter((node) => node.isRunning);
    const ports = new Set(running.map(({ port }) => port));
    const views = await Promise.all(running.map(viewOf));
    const seen = views.map((view) => view.filter(({ port }) => ports.has(port)));
    const texts = new Set(
      seen.map((view) =>
        view
          .map(({ text }) => text)
          .sort()
          .join("\n"),
      ),
    );
    if (texts.size !== 1 || seen[0]!.length !== running.length) return false;
    if (seen.flat().some(({ isSound }) => !isSound)) return false;
    // What a dead master owned counts again when a running one has taken it over.
    const owned = seen[0]!.flatMap(({ ranges }) => ranges.map(([from, to]) => to - from + 1));
    if (owned.reduce((sum, count) => sum + count, 0) !== slots) return false;
    const infos = await Promise.all(running.map((node) => command(node, "CLUSTER", "INFO")));
    if (!infos.every((info) => /cluster_state:ok/.test(String(info)))) return false;
    const links = await Promise.all(running.map((node) => command(node, "INFO", "replication")));
    return links.every(
      (info) => !/role:slave/.test(String(info)) || /master_link_status:up/.test(String(info)),
    );
  }
}

/** Starts the nodes and makes them a cluster, without `redis-cli`. */
export async function startCluster(settings: Settings, shape: ClusterShape): Promise<ClusterServer> {
  const { masters = 3, replicas = 0, nodeTimeout = 2000 } = shape;
  if (settings.dir !== null && (await readdir(settings.dir).catch(() => [])).length > 0) {
    throw new TypeError(`startServer: dir must be empty for a cluster, got ${JSON.stringify(settings.dir)}`);
  }
  const nodes = await startAll(
    Array.from({ length: masters * (1 + replicas) }, (_, i) =>
      launch({
        ...settings,
        role: "cluster node",
        dir: settings.dir === null ? null : join(settings.dir, `node-${i}`),
        directives: [
          ["cluster-enabled", "yes"],
          ["cluster-config-file", "nodes.conf"],
          ["cluster-node-timeout", String(nodeTimeout)],
          // A node that is alone would not know its own address.
          ["cluster-announce-ip", "127.0.0.1"],
          ...(settings.tls === null ? [] : [["tls-cluster", "yes"] as const]),
        ],
      }),
    ),
  );
  const cluster = new ClusterServer(nodes, masters);
  try {
    await cluster.form(settings.signal);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** One line of `CLUSTER NODES`. */
interface NodeView {
  readonly port: number;
  readonly epoch: number;
  readonly ranges: readonly (readonly [from: number, to: number])[];
  /** Whether the node is known, reachable and not suspected. */
  readonly isSound: boolean;
  /** What all nodes must agree on. */
  readonly text: string;
}

/** Layout of a line: `id host:port@bus[,name] flags master ping pong epoch link slot...`. */
async function viewOf(node: Server): Promise<NodeView[]> {
  const lines = String(await command(node, "CLUSTER", "NODES"))
    .trim()
    .split("\n");
  return lines.map((line) => {
    const [id, address = "", flags = "", master, , , epoch, link, ...owned] = line.trim().split(" ");
    // In brackets: a slot on its way in or out.
    const ranges = owned
      .filter((range) => !range.startsWith("["))
      .map((range) => {
        const [from, to = from] = range.split("-").map(Number);
        return [from!, to!] as const;
      });
    const role = flags.includes("slave") ? "replica" : "master";
    return {
      // By its bus: Valkey gives the port for connections of the asker's kind, which with TLS alone is 0 on a Unix socket.
      port: Number(/@(\d+)/.exec(address)?.[1]) - busOffset,
      epoch: Number(epoch),
      ranges,
      isSound: link === "connected" && !/fail|handshake|noaddr/.test(flags),
      text: [id, role, master, ...owned].join(" "),
    };
  });
}
