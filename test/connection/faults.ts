import { afterAll, beforeAll, beforeEach } from "vitest";
import type { Database } from "../../src/index.ts";
import { type Server, startProxy, startServer, type TcpProxy } from "../../src/testing/index.ts";
import { open, Watch, within } from "./harness.ts";

/**
 * What the tests of one file share where the network fails: a server, a watch that no fault touches, a proxy, and for each
 * test a database behind the proxy and a key of its own.
 */
export class Faults {
  server!: Server;
  watch!: Watch;
  proxy!: TcpProxy;
  db!: Database;
  key!: string;
  #tests = 0;

  constructor() {
    beforeAll(async () => {
      this.server = await startServer({ args: ["--hz", "100"] });
      this.watch = new Watch(this.server);
      this.proxy = await startProxy(this.server);
    });
    afterAll(async () => {
      await this.proxy?.close();
      this.watch?.redis.disconnect();
      await this.server?.stop();
    });
    beforeEach(async () => {
      this.key = `s${this.#tests++}`;
      this.db = open({ host: this.proxy.host, port: this.proxy.port });
      await this.db.ping();
      return async () => {
        this.proxy.pass();
        await this.proxy.accept();
        await within(1500, this.db.close());
        await this.watch.gone();
      };
    });
  }
}
