import { createServer } from "node:net";

// Below the ports that systems give to outgoing connections, and with room for a cluster's bus at port + 10000,
// which no other port handed out here can then be.
const first = 10_240;
const count = 10_000;

/** What a cluster node adds to its port to make its bus's. */
export const busOffset: number = 10_000;

const recent: number[] = [];

/**
 * Finds a port of 127.0.0.1 on which nobody listens, between 10240 and 20239, never one of the last 1,000 given.
 *
 * @param withBus - whether port + 10000 must be free too, as the bus of a cluster node
 * @throws Error when a hundred random ports are all taken
 */
export async function freePort(withBus: boolean): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = first + Math.floor(Math.random() * count);
    if (recent.includes(port)) continue;
    recent.push(port);
    if (recent.length > 1000) recent.shift();
    if ((await isFree(port)) && (!withBus || (await isFree(port + busOffset)))) return port;
  }
  throw new Error(`no free port found on 127.0.0.1 between ${first} and ${first + count - 1}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
