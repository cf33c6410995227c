import calculateSlot from "cluster-key-slot";
import { Redis } from "ioredis";
import { ClusterDatabase } from "../../src/index.ts";
import { type ClusterServer, type Server, waitFor } from "../../src/testing/index.ts";

/** Options of {@link connect}. */
type ClusterOptions = NonNullable<ConstructorParameters<typeof ClusterDatabase>[1]>;

/** A database on a cluster that tries again soon and does not print. */
export async function connect(server: ClusterServer, options: ClusterOptions = {}): Promise<ClusterDatabase> {
  const db = new ClusterDatabase(server.startupNodes, { clusterRetryStrategy: () => 50, ...options });
  db.on("error", () => {});
  await db.cluster("KEYSLOT", "x");
  return db;
}

/** The slot of a key. */
export function slotOf(key: string): number {
  return calculateSlot(key);
}

/** So many keys, the same number for each third of the slots, all of different slots. */
export function keysOf(prefix: string, count: number): string[] {
  const keys: string[] = [];
  const slots = new Set<number>();
  for (let i = 0; keys.length < count; i++) {
    const key = `${prefix}-${i}`;
    const slot = slotOf(key);
    if (slots.has(slot) || Math.floor((slot * 3) / 16_384) !== keys.length % 3) continue;
    slots.add(slot);
    keys.push(key);
  }
  return keys;
}

/** Connections to the nodes themselves, by their Unix sockets, which no redirection touches. */
export class Nodes {
  readonly #server: ClusterServer;
  readonly #connections = new Map<Server, Redis>();

  constructor(server: ClusterServer) {
    this.#server = server;
  }

  /** The one to a node. */
  at(node: Server): Redis {
    let redis = this.#connections.get(node);
    if (redis === undefined) {
      redis = new Redis({
        path: node.socketPath!,
        connectionName: "watch",
        protocol: 2,
        enableReadyCheck: false,
        retryStrategy: () => 50,
        maxRetriesPerRequest: 0,
      });
      redis.on("error", () => {});
      this.#connections.set(node, redis);
    }
    return redis;
  }

  /** The one to the owner of a key's slot. */
  async of(key: string): Promise<Redis> {
    return this.at(await this.#server.masterOf(slotOf(key)));
  }

  /** What clients do on a node, this one, replicas and the source of a `MIGRATE` left out: the line of each in `CLIENT LIST`. */
  async clients(node: Server): Promise<string[]> {
    const list = (await this.at(node).client("LIST")) as string;
    return list
      .trim()
      .split("\n")
      .filter((line) => !/ name=watch | flags=[MS]| cmd=restore/.test(line));
  }

  /** How many clients are blocked on the running nodes together. */
  async blocked(): Promise<number> {
    const running = this.#server.nodes.filter((node) => node.isRunning && !node.isFrozen);
    const lists = await Promise.all(running.map((node) => this.clients(node)));
    return lists.flat().filter((line) => / flags=\w*b/.test(line)).length;
  }

  /** Waits until so many are. */
  async waitBlocked(count: number): Promise<void> {
    await waitFor(async () => (await this.blocked()) === count, {
      what: `${count} blocked clients`,
      timeout: 10_000,
    });
  }

  /** How often a node has carried out or refused a command. */
  async calls(node: Server, command: string): Promise<number> {
    const stats = await this.at(node).info("commandstats");
    const line = new RegExp(`cmdstat_${command}:calls=(\\d+).*rejected_calls=(\\d+)`).exec(stats);
    return line === null ? 0 : Number(line[1]) + Number(line[2]);
  }

  /** How many connections a node has accepted through TCP and its socket since it was started. */
  async accepted(node: Server): Promise<number> {
    const stats = await this.at(node).info("stats");
    return Number(/total_connections_received:(\d+)/.exec(stats)?.[1]);
  }

  /** Waits until no client of a test is left on any node. */
  async gone(): Promise<void> {
    let left: string[] = [];
    await waitFor(
      async () => {
        left = (await Promise.all(this.#server.nodes.map((node) => this.clients(node)))).flat();
        return left.length === 0;
      },
      { what: "all clients to be gone" },
    ).catch((cause) => {
      throw new Error(`left behind: ${left.join(" ")}`, { cause });
    });
  }

  /** A slot's way to another node, in steps. */
  async migration(slot: number, to: Server): Promise<Migration> {
    const from = await this.#server.masterOf(slot);
    const id = async (node: Server) => String(await this.at(node).cluster("MYID"));
    return new Migration(this, this.#server, { slot, from, to, fromId: await id(from), toId: await id(to) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const redis of this.#connections.values()) redis.disconnect();
  }
}

interface Way {
  readonly slot: number;
  readonly from: Server;
  readonly to: Server;
  readonly fromId: string;
  readonly toId: string;
}

/** `CLUSTER SETSLOT` as `redis-cli --cluster reshard` does it. */
export class Migration {
  readonly #nodes: Nodes;
  readonly #server: ClusterServer;
  readonly #way: Way;

  constructor(nodes: Nodes, server: ClusterServer, way: Way) {
    this.#nodes = nodes;
    this.#server = server;
    this.#way = way;
  }

  /** From now on a key that is not here is asked for there. */
  async begin(): Promise<void> {
    const { slot, from, to, fromId, toId } = this.#way;
    await this.#nodes.at(to).call("CLUSTER", "SETSLOT", slot, "IMPORTING", fromId);
    await this.#nodes.at(from).call("CLUSTER", "SETSLOT", slot, "MIGRATING", toId);
  }

  /** Move keys; all of the slot unless told which. */
  async move(...keys: string[]): Promise<void> {
    const { slot, from, to } = this.#way;
    const moving = keys.length > 0 ? keys : await this.#nodes.at(from).cluster("GETKEYSINSLOT", slot, 100);
    if (moving.length === 0) return;
    await this.#nodes.at(from).call("MIGRATE", to.host, to.port, "", 0, 5000, "KEYS", ...moving);
  }

  /** Tell one side only. */
  async tellSource(): Promise<void> {
    await this.#nodes.at(this.#way.from).call("CLUSTER", "SETSLOT", this.#way.slot, "NODE", this.#way.toId);
  }

  /** The slot is there: tell all masters, and wait until they agree. */
  async end(): Promise<void> {
    const { slot, from, to, toId } = this.#way;
    const others = this.#server.masters.filter((node) => node !== from && node !== to && node.isRunning);
    for (const node of [to, from, ...others])
      await this.#nodes.at(node).call("CLUSTER", "SETSLOT", slot, "NODE", toId);
    await this.#server.ready();
  }
}

/** Adds numbered entries, and says of which it is known that a replica has them too. */
export class Producer {
  /** What must be seen: `<key> <number>`. */
  readonly sure: Set<string> = new Set();
  /** How many may be there or not. */
  uncertain = 0;
  readonly #nodes: Nodes;
  readonly #keys: readonly string[];
  /** How many replicas must have an entry; none can where the only one has become the master. */
  replicas: number;
  readonly #owners = new Map<string, Redis>();
  #next = 0;
  #isOver = false;
  #running: Promise<void>[] = [];

  constructor(nodes: Nodes, keys: readonly string[], replicas: number) {
    this.#nodes = nodes;
    this.#keys = keys;
    this.replicas = replicas;
  }

  /** Add to the keys in turn, `lanes` at a time, until it is stopped. */
  start(lanes = 4): void {
    this.#running = Array.from({ length: lanes }, async () => {
      while (!this.#isOver) await this.add(this.#keys[this.#next % this.#keys.length]!);
    });
  }

  /** Add one entry; whether it is sure to stay. */
  async add(key: string): Promise<boolean> {
    const number = this.#next++;
    try {
      const redis = this.#owners.get(key) ?? (await this.#nodes.of(key));
      this.#owners.set(key, redis);
      const replies = await redis
        .pipeline()
        .xadd(key, "*", "n", number)
        .call("WAIT", this.replicas, 1000)
        .exec();
      const [[error], [, copies]] = replies as [[Error | null], [null, number]];
      if (error !== null || Number(copies) < this.replicas) throw error ?? new Error("no replica has it");
      this.sure.add(`${key} ${number}`);
      return true;
    } catch {
      this.#owners.delete(key);
      this.uncertain++;
      return false;
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }
}

/** How a message is named in {@link Producer.sure}. */
export function nameOf(message: { readonly stream: string; readonly data: Record<string, string> }): string {
  return `${message.stream} ${message.data.n}`;
}
