import { expect, expectTypeOf, test } from "vitest";
import {
  type ClusterServer,
  type SentinelServer,
  type Server,
  type ServerOptions,
  startServer,
} from "../../src/testing/index.ts";
import { ownTemporaryDirectory } from "./temporary.ts";

ownTemporaryDirectory();

const secret = { key: "k", cert: "c", ca: "s3cret" };

test.each<[options: unknown, message: string]>([
  [null, "startServer: options must be an object, got null"],
  [{ clusters: true }, 'startServer: there is no option "clusters"'],
  [{ cluster: 3 }, "startServer: cluster must be true, false or an object, got 3"],
  [{ cluster: { masters: 0 } }, "startServer: cluster.masters must be an integer of at least 1, got 0"],
  [{ cluster: { replicas: 0.5 } }, "startServer: cluster.replicas must be an integer of at least 0, got 0.5"],
  [
    { cluster: { nodeTimeout: "1s" } },
    'startServer: cluster.nodeTimeout must be an integer of at least 1, got "1s"',
  ],
  [{ cluster: { master: 3 } }, "startServer: there is no option cluster.master"],
  [{ sentinel: { downAfter: 0 } }, "startServer: sentinel.downAfter must be an integer of at least 1, got 0"],
  [{ cluster: true, sentinel: true }, "startServer: cluster and sentinel exclude each other, got both"],
  [
    { cluster: true, socket: true },
    "startServer: socket must be false with a cluster or a sentinel, got true",
  ],
  [{ cluster: true, dir: "src" }, "startServer: dir must be empty for a cluster, got "],
  [{ socket: 1 }, "startServer: socket must be true or false, got 1"],
  [{ tls: secret }, "startServer: tls must be an object of three PEM texts: key, cert and ca, got object"],
  [{ dir: "" }, 'startServer: dir must be a non-empty string, got ""'],
  [{ appendOnly: "yes" }, 'startServer: appendOnly must be true or false, got "yes"'],
  [{ password: 5 }, "startServer: password must be a non-empty string, got number"],
  [{ args: "--port 1" }, 'startServer: args must be an array of strings, got "--port 1"'],
  [{ args: ["--port", "6379"] }, "startServer: args must not hold --port, which startServer sets itself"],
  [{ signal: {} }, "startServer: signal must be an AbortSignal, got {}"],
])("startServer – bad options %j", async (options, message) => {
  await expect(startServer(options as ServerOptions)).rejects.toThrow(message);
});

test("startServer – undefined options are absent options", async () => {
  const options: ServerOptions = { cluster: undefined, tls: undefined, password: undefined, args: undefined };
  const server = await startServer(options);
  await server.stop();
});

test("startServer – result types", () => {
  expectTypeOf(() => startServer()).returns.resolves.toEqualTypeOf<Server>();
  expectTypeOf(() => startServer({ appendOnly: true })).returns.resolves.toEqualTypeOf<Server>();
  expectTypeOf(() => startServer({ cluster: true })).returns.resolves.toEqualTypeOf<ClusterServer>();
  expectTypeOf(() =>
    startServer({ cluster: { masters: 3 } }),
  ).returns.resolves.toEqualTypeOf<ClusterServer>();
  expectTypeOf(() => startServer({ sentinel: {} })).returns.resolves.toEqualTypeOf<SentinelServer>();
  expectTypeOf((options: ServerOptions) => startServer(options)).returns.resolves.toEqualTypeOf<
    Server | ClusterServer | SentinelServer
  >();
});
