/**
 * Redis and Valkey servers for tests: one, a cluster or a sentinel with its servers, and a proxy for faults.
 *
 * @module walrus-streams/testing
 */
export type { ClusterServer, ClusterShape } from "./cluster.ts";
export type { ServerTls } from "./config.ts";
export { type Direction, startProxy, type TcpProxy } from "./proxy.ts";
export type { SentinelConnection, SentinelServer, SentinelShape } from "./sentinel.ts";
export { type Address, type Server, type ServerConnection, type ServerTrust, StartError } from "./server.ts";
export { type ServerOptions, startServer } from "./start.ts";
export { type Falsy, type WaitOptions, waitFor } from "./wait.ts";
