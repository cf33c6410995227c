import { Redis } from "ioredis";
import { afterAll, beforeAll } from "vitest";
import { Database } from "../../src/index.ts";
import { type Server, startServer } from "../../src/testing/index.ts";
import { contract } from "./containers.ts";

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

contract("Database", () => new Database(server.url));
contract(
  "Database with keyPrefix, in another db",
  () => new Database(server.url, { keyPrefix: "app:", db: 3 }),
  "app:",
);
contract("Redis of the user's own", () => new Redis(server.url));
contract("Redis with RESP2", () => new Redis(server.url, { protocol: 2 }));
contract("Redis with maps of RESP3", () => new Redis(server.url, { protocol: 3, replyMapping: "resp3" }));
contract("Redis with numbers as texts", () => new Redis(server.url, { stringNumbers: true }));
contract("Redis with auto-pipelining", () => new Redis(server.url, { enableAutoPipelining: true }));
