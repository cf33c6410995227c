import { Cluster } from "ioredis";
import { afterAll, beforeAll } from "vitest";
import { ClusterDatabase } from "../../src/index.ts";
import { type ClusterServer, startServer } from "../../src/testing/index.ts";
import { contract } from "./containers.ts";

let server: ClusterServer;
beforeAll(async () => {
  server = await startServer({ cluster: { masters: 3 } });
});
afterAll(() => server.stop());

contract("ClusterDatabase", () => new ClusterDatabase(server.startupNodes));
contract(
  "ClusterDatabase with keyPrefix",
  () => new ClusterDatabase(server.startupNodes, { keyPrefix: "app:" }),
  "app:",
);
contract("Cluster of the user's own", () => new Cluster(server.startupNodes));
contract("Cluster with RESP2", () => new Cluster(server.startupNodes, { redisOptions: { protocol: 2 } }));
contract(
  "Cluster with maps of RESP3",
  () => new Cluster(server.startupNodes, { redisOptions: { protocol: 3, replyMapping: "resp3" } }),
);
