import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { configText, type Settings } from "./config.ts";
import { guardDirectory, guardProcess, releaseDirectory, releaseProcess } from "./guard.ts";
import { answersPing } from "./probe.ts";
import { type Engine, StartError } from "./server.ts";
import { waitFor } from "./wait.ts";

const startTimeout = 15_000;
const stopTimeout = 5000;

/** A server as a child process, with its configuration, log and socket in a private directory. */
export class ServerProcess implements Engine {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly socketPath: string;
  readonly #binary: string;
  readonly #settings: Settings;
  readonly #home: string;
  #child: ChildProcess | null = null;

  private constructor(binary: string, settings: Settings, port: number, home: string) {
    this.port = port;
    this.socketPath = join(home, "redis.sock");
    this.#binary = binary;
    this.#settings = settings;
    this.#home = home;
  }

  /** Makes the private directory; starts nothing yet. */
  static async create(binary: string, settings: Settings, port: number): Promise<ServerProcess> {
    // The path of a socket has at most 103 bytes.
    const root = Buffer.byteLength(tmpdir()) > 70 ? "/tmp" : tmpdir();
    return new ServerProcess(binary, settings, port, await mkdtemp(join(root, "walrus-")));
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  async start(signal: AbortSignal | null): Promise<void> {
    signal?.throwIfAborted();
    await this.#writeFiles();
    const logBefore = (await this.log()).length;
    await this.#spawn();
    const fault = await this.#untilReady(signal);
    if (fault === null) return;
    await this.kill();
    signal?.throwIfAborted();
    const text = (await this.log()).slice(logBefore).trim();
    throw new StartError(`${this.#binary} ${fault}; its log:\n${text === "" ? "(empty)" : text}`, {
      isPortTaken: /Address already in use/i.test(text),
    });
  }

  async end(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#signal("SIGCONT");
    this.#signal("SIGTERM");
    const over = new AbortController();
    const patience = sleep(stopTimeout, undefined, { signal: over.signal }).catch(() => {});
    await Promise.race([this.#exit(child), patience]);
    over.abort();
    await this.kill();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#signal("SIGKILL");
    await this.#exit(child);
  }

  async freeze(): Promise<void> {
    this.#signal("SIGSTOP");
    // The signal has been sent, but the server may still be answering on another core.
    if (process.platform === "linux")
      await waitFor(() => this.#isStopped(), { what: "the server to freeze" });
  }

  async thaw(): Promise<void> {
    this.#signal("SIGCONT");
  }

  async remove(): Promise<void> {
    await rm(this.#home, { recursive: true, force: true, maxRetries: 3 });
    releaseDirectory(this.#home);
  }

  async log(): Promise<string> {
    return await readFile(this.#logFile, "utf8").catch(() => "");
  }

  get #logFile(): string {
    return join(this.#home, "redis.log");
  }

  async #writeFiles(): Promise<void> {
    const { dir, tls } = this.#settings;
    guardDirectory(this.#home);
    await mkdir(this.#home, { recursive: true, mode: 0o700 });
    const dataDir = dir ?? join(this.#home, "data");
    await mkdir(dataDir, { recursive: true });
    const place = {
      bind: this.host,
      port: this.port,
      socketPath: this.socketPath,
      dataDir,
      tlsDir: this.#home,
    };
    const files = { "redis.conf": configText(this.#settings, place) };
    const pems = tls === null ? {} : { "key.pem": tls.key, "cert.pem": tls.cert, "ca.pem": tls.ca };
    for (const [name, text] of Object.entries({ ...files, ...pems })) {
      // A file that is there stays: the server may have rewritten its configuration.
      await writeFile(join(this.#home, name), text, { flag: "wx", mode: 0o600 }).catch((error) => {
        if (error.code !== "EEXIST") throw error;
      });
    }
  }

  async #spawn(): Promise<void> {
    const { role, args } = this.#settings;
    const words = [join(this.#home, "redis.conf"), ...(role === "sentinel" ? ["--sentinel"] : []), ...args];
    const log = await open(this.#logFile, "a");
    try {
      const child = spawn(this.#binary, words, { stdio: ["ignore", log.fd, log.fd], detached: true });
      const { pid } = child;
      if (pid !== undefined) {
        // At once: the process may end before anything is awaited.
        guardProcess(pid);
        this.#child = child;
        child.once("exit", () => {
          releaseProcess(pid);
          if (this.#child === child) this.#child = null;
        });
      }
      await once(child, "spawn");
      child.on("error", () => {});
      child.unref();
    } catch (cause) {
      throw new StartError(`${this.#binary} cannot be executed: ${String(cause)}`, { cause });
    } finally {
      await log.close();
    }
  }

  /** Waits for an answer to `PING` on the private socket, which no other server can give; or says what is wrong. */
  async #untilReady(signal: AbortSignal | null): Promise<string | null> {
    const target = { address: { path: this.socketPath }, isTls: false, password: this.#settings.password };
    const until = performance.now() + startTimeout;
    while (performance.now() < until) {
      if (this.#child === null) return "exited before it was ready";
      if (signal?.aborted) return "was aborted";
      if (await answersPing(target)) return null;
      await sleep(5);
    }
    return `did not answer PING within ${startTimeout} ms`;
  }

  /** Not by `ChildProcess.kill`: on Deno that carries a process's first signal and drops all others. */
  #signal(signal: NodeJS.Signals): void {
    if (this.pid === null) return;
    try {
      process.kill(this.pid, signal);
    } catch {
      // It has ended by itself.
    }
  }

  async #exit(child: ChildProcess): Promise<void> {
    if (this.#child !== child) return;
    child.ref();
    await once(child, "exit");
  }

  async #isStopped(): Promise<boolean> {
    const status = await readFile(`/proc/${this.pid}/stat`, "latin1");
    return status.slice(status.lastIndexOf(")") + 2).startsWith("T");
  }
}
