import { mkdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { WaitStrategy } from "testcontainers";
import { configText, type Settings } from "./config.ts";
import { answersPing } from "./probe.ts";
import { type Engine, StartError } from "./server.ts";

const image = "redis:7.4-alpine";
const home = "/etc/walrus";
const containerPort = 6379;
const answerTimeout = 15_000;

type Testcontainers = typeof import("testcontainers");
type Runtime = Awaited<ReturnType<Testcontainers["getContainerRuntimeClient"]>>;
type Container = ReturnType<Runtime["container"]["getById"]>;

/** The `testcontainers` package, and the container runtime it has found. */
export interface Containers {
  readonly testcontainers: Testcontainers;
  readonly runtime: Runtime;
}

/**
 * Looks for the optional package `testcontainers` and a container runtime that answers.
 *
 * @throws Error when there is no such package or no such runtime
 */
export async function findContainers(): Promise<Containers> {
  const testcontainers = await import("testcontainers");
  return { testcontainers, runtime: await testcontainers.getContainerRuntimeClient() };
}

/** A server in a container, its port published on the same loopback port each time it starts. */
export class ServerContainer implements Engine {
  readonly host: string;
  readonly port: number;
  readonly socketPath: null = null;
  readonly pid: null = null;
  readonly #containers: Containers;
  readonly #settings: Settings;
  #container: Container | null = null;
  #isRunning = false;
  #isPaused = false;

  constructor(containers: Containers, settings: Settings, port: number) {
    const { host } = containers.runtime.info.containerRuntime;
    this.host = host === "localhost" ? "127.0.0.1" : host;
    this.port = port;
    this.#containers = containers;
    this.#settings = settings;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  async start(signal: AbortSignal | null): Promise<void> {
    signal?.throwIfAborted();
    try {
      if (this.#container === null) await this.#create();
      else await this.#container.start();
    } catch (cause) {
      const isPortTaken = /port is already allocated|address already in use/i.test(String(cause));
      throw new StartError(`the container of ${image} did not start: ${String(cause)}`, {
        cause,
        isPortTaken,
      });
    }
    this.#isRunning = true;
    const fault = await this.#untilReady(signal);
    if (fault === null) return;
    const log = (await this.log()).trim();
    await this.kill();
    signal?.throwIfAborted();
    throw new StartError(`the container of ${image} ${fault}; its log:\n${log === "" ? "(empty)" : log}`);
  }

  async end(): Promise<void> {
    await this.#finish((container) => container.stop({ t: 5 }));
  }

  async kill(): Promise<void> {
    await this.#finish((container) => container.kill({ signal: "SIGKILL" }));
  }

  async freeze(): Promise<void> {
    await this.#container?.pause();
    this.#isPaused = true;
  }

  async thaw(): Promise<void> {
    if (this.#isPaused) await this.#container?.unpause();
    this.#isPaused = false;
  }

  async remove(): Promise<void> {
    await this.#container?.remove({ force: true, v: true });
    this.#container = null;
  }

  async log(): Promise<string> {
    if (this.#container === null) return "";
    // Without a terminal, each piece of the log comes behind a header of eight bytes.
    const framed = Buffer.from(await this.#container.logs({ stdout: true, stderr: true }));
    let text = "";
    for (let at = 0; at + 8 <= framed.length; ) {
      const end = at + 8 + framed.readUInt32BE(at + 4);
      text += framed.toString("utf8", at + 8, end);
      at = end;
    }
    return text;
  }

  async #create(): Promise<void> {
    const { testcontainers, runtime } = this.#containers;
    const { tls, dir, args } = this.#settings;
    const place = { bind: "0.0.0.0", port: containerPort, socketPath: null, dataDir: "/data", tlsDir: home };
    const files = { "redis.conf": configText(this.#settings, place) };
    const pems = tls === null ? {} : { "key.pem": tls.key, "cert.pem": tls.cert, "ca.pem": tls.ca };
    const binding = {
      ...(this.host === "127.0.0.1" ? { HostIp: this.host } : {}),
      HostPort: String(this.port),
    };
    const created = (id: string): void => {
      this.#container = runtime.container.getById(id);
    };
    class LoopbackContainer extends testcontainers.GenericContainer {
      protected override async beforeContainerCreated(): Promise<void> {
        this.hostConfig.PortBindings = { [`${containerPort}/tcp`]: [binding] };
      }

      protected override async containerCreated(id: string): Promise<void> {
        created(id);
      }
    }
    const container = new LoopbackContainer(image)
      .withExposedPorts({ container: containerPort, host: this.port })
      .withCommand(["redis-server", `${home}/redis.conf`, ...args])
      .withCopyContentToContainer(
        Object.entries({ ...files, ...pems }).map(([name, content]) => ({
          content,
          target: `${home}/${name}`,
          // The image's own user must be able to read it.
          mode: 0o644,
        })),
      )
      .withWaitStrategy(noWait);
    if (dir !== null) {
      await mkdir(dir, { recursive: true });
      container.withBindMounts([{ source: dir, target: "/data" }]);
      // So that the files in it are the user's own.
      if (process.getuid && process.getgid) container.withUser(`${process.getuid()}:${process.getgid()}`);
    }
    await container.start();
  }

  /** Waits for an answer to `PING` on the published port; or says what is wrong. */
  async #untilReady(signal: AbortSignal | null): Promise<string | null> {
    const { tls, password } = this.#settings;
    const target = { address: { host: this.host, port: this.port }, isTls: tls !== null, password };
    const until = performance.now() + answerTimeout;
    while (performance.now() < until) {
      if (signal?.aborted) return "was aborted";
      if (await answersPing(target)) return null;
      if (!(await this.#container!.inspect()).State.Running) return "exited before it was ready";
      await sleep(20);
    }
    return `did not answer PING within ${answerTimeout} ms`;
  }

  async #finish(how: (container: Container) => Promise<unknown>): Promise<void> {
    const container = this.#container;
    if (container === null || !this.#isRunning) return;
    await this.thaw();
    const gone = container.wait();
    await how(container).catch((error) => {
      // It has ended by itself.
      if (error.statusCode !== 304 && error.statusCode !== 409) throw error;
    });
    await gone;
    this.#isRunning = false;
  }
}

/** Leaves the waiting to `#untilReady`, which keeps the container's log for the error. */
const noWait: WaitStrategy = {
  waitUntilReady: async () => {},
  withStartupTimeout: () => noWait,
  isStartupTimeoutSet: () => true,
  getStartupTimeout: () => answerTimeout,
};
