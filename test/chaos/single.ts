import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { type Server, startProxy, startServer, type TcpProxy, waitFor } from "../../src/testing/index.ts";
import { type Book, now } from "./book.ts";
import { type Fault, memberNames } from "./plan.ts";
import { type Stage, struck, trouble } from "./stage.ts";

/** How long a slow link holds what it forwards, in milliseconds. */
const HELD = 120;

/** One server that writes each change to disk before it answers, and a proxy for each member. */
export class SingleStage implements Stage {
  readonly isCluster = false;
  readonly streams: readonly string[] = ["chaos-a", "chaos-b", "chaos-c"];
  readonly #server: Server;
  readonly #links: ReadonlyMap<string, TcpProxy>;
  readonly #watch: Redis;
  readonly #book: Book;

  private constructor(server: Server, links: ReadonlyMap<string, TcpProxy>, book: Book) {
    this.#server = server;
    this.#links = links;
    this.#book = book;
    this.#watch = new Redis({ path: server.socketPath!, connectionName: "watch", retryStrategy: () => 20 });
    this.#watch.on("error", () => {});
  }

  /** Start the server and the proxies. */
  static async open(book: Book): Promise<SingleStage> {
    const args = ["--appendfsync", "always", "--hz", "50", "--auto-aof-rewrite-percentage", "0"];
    const server = await startServer({ appendOnly: true, args });
    const links = new Map<string, TcpProxy>();
    try {
      for (const name of memberNames()) links.set(name, await startProxy(server));
    } catch (error) {
      for (const link of links.values()) await link.close();
      await server.stop();
      throw error;
    }
    return new SingleStage(server, links, book);
  }

  addressesFor(member: string): TcpProxy[] {
    return [this.#links.get(member)!];
  }

  async watch(): Promise<Redis> {
    return this.#watch;
  }

  async knows(connectionName: string): Promise<boolean> {
    return String(await this.#watch.client("LIST")).includes(` name=${connectionName} `);
  }

  async strike(fault: Fault): Promise<void> {
    const isAll = fault.lane === "server" || fault.kind === "all links cut";
    const whom = isAll ? "server" : struck(fault);
    await trouble(this.#book, whom, fault.kind, now(), () => this.#act(fault));
  }

  async close(): Promise<void> {
    this.#watch.disconnect();
    for (const link of this.#links.values()) await link.close();
    await this.#server.stop();
  }

  async #act(fault: Fault): Promise<void> {
    const { kind, ms, part } = fault;
    const link = this.#links.get(struck(fault))!;
    const acts: Readonly<Record<string, () => Promise<void> | void>> = {
      "server killed": async () => {
        await this.#server.kill();
        await sleep(ms);
        await this.#server.restart();
      },
      "server frozen": async () => {
        await this.#server.freeze();
        await sleep(ms);
        await this.#server.thaw();
      },
      "link cut": () => link.cut(),
      "all links cut": () => {
        for (const one of this.#links.values()) one.cut();
      },
      "link cut in a reply": async () => {
        // Where nothing is said within the time, the cut waits for the next reply, and the next fault may replace it.
        await Promise.race([link.cutAfter(Math.floor(part * 600)), sleep(ms)]);
      },
      "replies swallowed": async () => {
        link.swallow();
        await waitFor(() => link.heldBytes > 0, { timeout: ms }).catch(() => {});
        await sleep(Math.min(ms, 300));
        link.cut();
        link.pass();
      },
      "link held": async () => {
        link.swallow("both");
        await sleep(ms);
        link.pass();
      },
      "link slow": async () => {
        for (const end = now() + ms; now() < end; ) {
          link.swallow("both");
          await sleep(HELD);
          link.pass();
          await sleep(1);
        }
      },
      "link down": async () => {
        link.refuse();
        link.cut();
        await sleep(ms);
        await link.accept();
      },
    };
    await acts[kind]!();
  }
}
