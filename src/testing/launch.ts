import { findBinary } from "./binary.ts";
import type { Settings } from "./config.ts";
import { findContainers, ServerContainer } from "./container.ts";
import { freePort } from "./port.ts";
import { ServerProcess } from "./process.ts";
import { type Engine, Server, StartError } from "./server.ts";

const portsToTry = 20;

/** Starts one server: the binary where there is one, else a container. */
export async function launch(settings: Settings): Promise<Server> {
  const create = await engineMaker(settings);
  for (let attempt = 1; ; attempt++) {
    const engine = await create(await freePort(settings.role === "cluster node"));
    try {
      await engine.start(settings.signal);
      return new Server(engine, settings);
    } catch (error) {
      await engine.remove();
      const isPortTaken = error instanceof StartError && error.isPortTaken;
      if (!isPortTaken || attempt === portsToTry) throw error;
    }
  }
}

type EngineMaker = (port: number) => Promise<Engine>;

async function engineMaker(settings: Settings): Promise<EngineMaker> {
  const binary = await findBinary();
  if (binary !== null) return (port) => ServerProcess.create(binary, settings, port);
  let why: string;
  try {
    const containers = await findContainers();
    if (!settings.needsBinary) {
      return async (port) => new ServerContainer(containers, settings, port);
    }
    why = "a container runtime answers, but a cluster, a sentinel and a Unix socket need a binary";
  } catch (error) {
    why = `no container either: ${error instanceof Error ? error.message : String(error)}`;
  }
  throw new StartError(
    `no redis-server or valkey-server on the PATH, and REDIS_SERVER is not set (${why}). ` +
      "Install one (Debian and Ubuntu: apt-get install redis-server; macOS: brew install redis; " +
      "Fedora: dnf install valkey), or set REDIS_SERVER to the path of one, " +
      "or install testcontainers (npm install --save-dev testcontainers) and start a container runtime such as Docker",
  );
}
