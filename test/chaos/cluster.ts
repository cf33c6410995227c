import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import {
  type Address,
  type ClusterServer,
  type Server,
  startServer,
  waitFor,
} from "../../src/testing/index.ts";
import { keysOf, Nodes, slotOf } from "../flow/cluster.ts";
import { type Book, now } from "./book.ts";
import type { Fault } from "./plan.ts";
import { type Stage, trouble } from "./stage.ts";

/** What may not have reached the replica when its master is lost, in milliseconds; replication takes some of one. */
const LAG = 1000;
const PATIENCE = 30_000;

/** Three masters with a replica each; a stream on each master. */
export class ClusterStage implements Stage {
  readonly isCluster = true;
  readonly streams: readonly string[] = keysOf("chaos", 3);
  readonly #server: ClusterServer;
  readonly #nodes: Nodes;
  readonly #book: Book;

  private constructor(server: ClusterServer, book: Book) {
    this.#server = server;
    this.#nodes = new Nodes(server);
    this.#book = book;
  }

  /** Start the nodes. */
  static async open(book: Book): Promise<ClusterStage> {
    const server = await startServer({
      cluster: { replicas: 1, nodeTimeout: 1500 },
      appendOnly: true,
      args: ["--hz", "50", "--repl-diskless-sync-delay", "0"],
    });
    return new ClusterStage(server, book);
  }

  addressesFor(): Address[] {
    return this.#server.startupNodes;
  }

  async watch(stream: string): Promise<Redis> {
    return this.#nodes.of(stream);
  }

  async knows(connectionName: string): Promise<boolean> {
    const lists = await Promise.all(this.#server.nodes.map((node) => this.#nodes.clients(node)));
    return lists.flat().some((line) => line.includes(` name=${connectionName} `));
  }

  async strike(fault: Fault): Promise<void> {
    await trouble(this.#book, "server", fault.kind, now(), () => this.#act(fault));
  }

  async close(): Promise<void> {
    await this.#nodes[Symbol.asyncDispose]();
    await this.#server.stop();
  }

  async #act({ kind, ms, part }: Fault): Promise<void> {
    const stream = this.streams[Math.floor(part * this.streams.length)]!;
    const owner = await this.#server.masterOf(slotOf(stream));
    const acts: Readonly<Record<string, () => Promise<void>>> = {
      "master killed": async () => {
        const from = now() - LAG;
        await owner.kill();
        await this.#succeeded(stream, owner);
        this.#book.write({ what: "loss", from });
        await sleep(ms);
        await owner.restart();
        await this.#server.ready();
      },
      "master frozen": async () => {
        const from = now() - LAG;
        await owner.freeze();
        await sleep(ms);
        await owner.thaw();
        // Until it knows that it is none any more, it answers as a master.
        await this.#server.ready();
        if ((await this.#server.masterOf(slotOf(stream))) !== owner) this.#book.write({ what: "loss", from });
      },
      "failover asked for": async () => {
        const replica = await this.#replicaOf(owner);
        await this.#nodes.at(replica).cluster("FAILOVER");
        await this.#succeeded(stream, owner);
        await this.#server.ready();
      },
      "slot moved": () => this.#move(stream, owner),
      "connections of a node cut": async () => {
        // It may be killed at the moment.
        const killing = this.#nodes.at(owner).call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await killing.catch(() => {});
      },
    };
    await acts[kind]!();
  }

  /** Wait until another node owns a stream's slot. */
  async #succeeded(stream: string, owner: Server): Promise<void> {
    await waitFor(async () => (await this.#server.masterOf(slotOf(stream))) !== owner, {
      ...{ timeout: PATIENCE, interval: 20, what: "a replica to take over" },
    });
  }

  async #replicaOf(master: Server): Promise<Server> {
    const id = String(await this.#nodes.at(master).cluster("MYID"));
    const lines = (await this.#nodes.at(master).cluster("REPLICAS", id)) as string[];
    const port = Number(/:(\d+)@/.exec(lines[0]!)![1]);
    return this.#server.nodes.find((node) => node.port === port)!;
  }

  /** Move a stream's slot to another master, its keys a hundred at a time, while all goes on. */
  async #move(stream: string, from: Server): Promise<void> {
    const owners = await Promise.all(this.streams.map((key) => this.#server.masterOf(slotOf(key))));
    const masters: Server[] = [];
    for (const node of this.#server.nodes)
      if (((await this.#nodes.at(node).role())[0] as string) === "master") masters.push(node);
    const others = masters.filter((node) => node !== from);
    const to = others.find((node) => !owners.includes(node)) ?? others[0]!;
    const slot = slotOf(stream);
    const [source, target] = [this.#nodes.at(from), this.#nodes.at(to)];
    const [sourceId, targetId] = [String(await source.cluster("MYID")), String(await target.cluster("MYID"))];
    await target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId);
    await source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", targetId);
    for (;;) {
      const keys = (await source.cluster("GETKEYSINSLOT", slot, 100)) as string[];
      if (keys.length === 0) break;
      await source.call("MIGRATE", to.host, to.port, "", 0, 10_000, "KEYS", ...keys);
    }
    for (const node of [to, from, ...others.filter((one) => one !== to)])
      await this.#nodes.at(node).call("CLUSTER", "SETSLOT", slot, "NODE", targetId);
    await this.#server.ready();
  }
}
