import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";

/** What was asked for when a container was created. */
interface Created {
  readonly Image: string;
  readonly Cmd: string[];
  readonly HostConfig: {
    readonly PortBindings: Record<string, { HostIp?: string; HostPort: string }[]>;
    readonly Binds?: string[];
  };
}

interface Container {
  readonly id: string;
  readonly root: string;
  readonly created: Created;
  readonly log: Buffer[];
  child: ChildProcess | null;
}

/**
 * As much of the Docker Engine API as testcontainers needs, for machines without Docker: a "container" is a real
 * server, run from the given binary with its configuration's paths and ports moved to where the container would have them.
 */
export async function startDocker(
  folder: string,
  binary: string,
): Promise<{
  readonly url: string;
  readonly containers: Map<string, Container>;
  /** How many starts to refuse from now on, as when another process has taken the port. */
  portsTaken: number;
  stop(): Promise<void>;
}> {
  const { PATH } = process.env;
  const containers = new Map<string, Container>();
  const sockets = new Set<{ destroy(): void }>();

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://docker");
    const path = url.pathname.replace(/^\/v[\d.]+/, "");
    void answer(request, response, path).catch((error) => {
      response.statusCode = 500;
      response.end(JSON.stringify({ message: String(error) }));
    });
  });
  server.on("connection", (socket) => sockets.add(socket));
  const socketPath = join(folder, "docker.sock");
  server.listen(socketPath);
  await once(server, "listening");

  async function answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const send = (status: number, body: unknown = ""): void => {
      response.statusCode = status;
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    if (path === "/_ping") return send(200, "OK");
    if (path === "/info" || path === "/version")
      return send(200, { ServerVersion: "27", OperatingSystem: "fake" });
    // testcontainers looks for its reaper here.
    if (path === "/containers/json") return send(200, []);
    if (/^\/images\/.*\/json$/.test(path)) return send(200, { Id: "image" });
    if (path === "/containers/create") return send(201, { Id: create(JSON.parse(await read(request))).id });
    const [, , id = "", verb = ""] = path.split("/");
    const container = containers.get(id);
    if (container === undefined) return send(404, { message: `no such thing here: ${path}` });
    const { child } = container;
    if (request.method === "DELETE") {
      await end(container, "SIGKILL");
      containers.delete(id);
      return send(204);
    }
    switch (verb) {
      case "archive": {
        const tar = spawn("tar", ["-x", "-C", container.root], {
          env: { PATH },
          stdio: ["pipe", "ignore", "ignore"],
        });
        request.pipe(tar.stdin);
        await once(tar, "exit");
        return send(200);
      }
      case "start":
        if (docker.portsTaken > 0) {
          docker.portsTaken--;
          return send(500, { message: "Bind for 127.0.0.1 failed: port is already allocated" });
        }
        start(container);
        return send(204);
      case "json":
        return send(200, inspect(container));
      case "logs": {
        response.writeHead(200, { "Content-Type": "application/vnd.docker.raw-stream" });
        response.end(Buffer.concat(container.log));
        return;
      }
      case "pause":
        signal(child, "SIGSTOP");
        return send(204);
      case "unpause":
        signal(child, "SIGCONT");
        return send(204);
      case "kill":
      case "stop":
        if (child === null) return send(verb === "stop" ? 304 : 409, { message: "not running" });
        await end(container, verb === "stop" ? "SIGTERM" : "SIGKILL");
        return send(204);
      case "wait":
        if (child !== null) await once(child, "close");
        return send(200, { StatusCode: 0 });
      default:
        return send(404, { message: `no such thing here: ${path}` });
    }
  }

  function create(created: Created): Container {
    const id = Math.random().toString(16).slice(2, 14).padEnd(12, "0");
    const root = join(folder, id);
    const container = { id, root, created, log: [], child: null };
    mkdirSync(join(root, "data"), { recursive: true });
    containers.set(id, container);
    return container;
  }

  function start(container: Container): void {
    const { created, root } = container;
    const [, config = "", ...args] = created.Cmd;
    const binding = created.HostConfig.PortBindings["6379/tcp"]?.[0];
    const data = created.HostConfig.Binds?.[0]?.split(":")[0] ?? join(root, "data");
    const text = readFileSync(join(root, config), "utf8")
      .replaceAll("/etc/walrus", join(root, "etc/walrus"))
      .replace('dir "/data"', `dir "${data}"`)
      .replace('"0.0.0.0"', `"${binding?.HostIp}"`)
      .replace('"6379"', `"${binding?.HostPort}"`);
    writeFileSync(join(root, "moved.conf"), text);
    const child = spawn(binary, [join(root, "moved.conf"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
    container.child = child;
    for (const [number, stream] of [
      [1, child.stdout],
      [2, child.stderr],
    ] as const) {
      stream.on("data", (chunk: Buffer) => {
        const header = Buffer.from([number, 0, 0, 0, 0, 0, 0, 0]);
        header.writeUInt32BE(chunk.length, 4);
        container.log.push(Buffer.concat([header, chunk]));
      });
    }
    child.once("close", () => {
      container.child = null;
    });
  }

  async function end(container: Container, name: "SIGTERM" | "SIGKILL"): Promise<void> {
    const { child } = container;
    if (child === null) return;
    signal(child, name);
    await once(child, "close");
  }

  function inspect({ id, created, child }: Container): object {
    return {
      Id: id,
      Name: id,
      Config: { Hostname: id, Labels: {} },
      HostConfig: created.HostConfig,
      State: {
        Status: child === null ? "exited" : "running",
        Running: child !== null,
        StartedAt: new Date().toISOString(),
      },
      NetworkSettings: { Ports: created.HostConfig.PortBindings, Networks: {} },
    };
  }

  const docker = {
    url: `unix://${socketPath}`,
    containers,
    portsTaken: 0,
    async stop() {
      await Promise.all([...containers.values()].map((container) => end(container, "SIGKILL")));
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return docker;
}

/** Not by `ChildProcess.kill`, which on Deno works once only. */
function signal(child: ChildProcess | null, name: NodeJS.Signals): void {
  if (child?.pid !== undefined && child.exitCode === null) process.kill(child.pid, name);
}

async function read(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}
