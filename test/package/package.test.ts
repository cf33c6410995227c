import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { install, type Packed, pack, root, run, scratch } from "./package.ts";

const folder = scratch();
const installed = join(folder.path, "node_modules/walrus-streams");
let packed: Packed;

// One install for all projects: each is a folder in it, with a package.json of its own.
beforeAll(async () => {
  packed = await pack(folder.path);
  await install(packed.tarball, folder.path, "@types/node@20");
}, 300_000);
afterAll(() => folder[Symbol.dispose]());

/** Make a project of some files. */
function project(name: string, manifest: object, files: Readonly<Record<string, string>>): string {
  const path = join(folder.path, name);
  mkdirSync(path);
  writeFileSync(join(path, "package.json"), JSON.stringify({ name, private: true, ...manifest }));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), content);
  return path;
}

/** Use the package without a server. */
const USE = `
const db = new Database({ lazyConnect: true });
const id = toId(new Date(5));
console.log(db.Stream("a").key, id, typeof startServer, typeof Worker);
db.disconnect();
`;
const PRINTS = "a 5-0 function function\n";
const IMPORTS = `
import { Database, toId, Worker } from "walrus-streams";
import { startServer } from "walrus-streams/testing";
`;

describe("the tarball", () => {
  test("files – what is to be published and nothing else", () => {
    const top = [
      ...new Set(packed.files.map(({ path }) => (path.startsWith("docs/") ? path : path.split("/")[0]!))),
    ];
    expect(top.sort()).toEqual(["LICENSE", "README.md", "dist", "docs/CHANGELOG.md", "package.json", "src"]);
    const kinds = new Set(
      packed.files.map(({ path }) => /^(dist|src)\/.*?(\.[a-z.]+)$/.exec(path)?.slice(1, 3).join(" ")),
    );
    kinds.delete(undefined);
    expect([...kinds].sort()).toEqual([
      "dist .d.ts",
      "dist .d.ts.map",
      "dist .js",
      "dist .js.map",
      "src .ts",
    ]);
    expect(packed.files.filter(({ path }) => /\.test\.|^test\/|^notebooks\//.test(path))).toEqual([]);
  });

  test("dist – every file comes from a source that is there, none is left from an earlier build", () => {
    const paths = new Set(packed.files.map(({ path }) => path));
    for (const path of paths) {
      if (!path.startsWith("dist/")) continue;
      const source = path.replace(/^dist\//, "src/").replace(/(\.d\.ts|\.js)(\.map)?$/, ".ts");
      expect(paths, path).toContain(source);
    }
  });

  test("maps – every source map leads to a file of the package", () => {
    const maps = packed.files.filter(({ path }) => path.endsWith(".map"));
    expect(maps.length).toBeGreaterThan(100);
    for (const { path } of maps) {
      const { sources } = JSON.parse(readFileSync(join(installed, path), "utf8")) as { sources: string[] };
      for (const source of sources)
        expect(existsSync(resolve(installed, dirname(path), source)), `${path}: ${source}`).toBe(true);
    }
  });

  test("manifest – exports and types are there, tests' and builds' dependencies are not asked for", () => {
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
      exports: Record<string, string | { types: string; default: string }>;
      dependencies: object;
    };
    for (const target of Object.values(manifest.exports))
      for (const file of typeof target === "string" ? [target] : Object.values(target))
        expect(existsSync(join(installed, file)), file).toBe(true);
    expect(Object.keys(manifest.dependencies).sort()).toEqual([
      "@date-fns/utc",
      "@standard-schema/spec",
      "cluster-key-slot",
      "date-fns",
      "ioredis",
    ]);
  });

  test("publint – finds nothing", async () => {
    const { publint } = await import("publint");
    const { messages } = await publint({ pkgDir: installed, strict: true });
    expect(messages).toEqual([]);
  });

  test("are the types wrong – no", async () => {
    const attw = join(root, "node_modules/@arethetypeswrong/cli/dist/index.js");
    const args = [attw, packed.tarball, "--profile", "esm-only", "--format", "ascii", "--no-emoji"];
    // It fails where it finds something.
    expect(await run(process.execPath, args, folder.path)).toMatch(
      /"walrus-streams\/testing"\s+node16 \(from ESM\): OK/,
    );
  });
});

describe("installed in a fresh project", () => {
  test("ESM – runs", async () => {
    const path = project("esm", { type: "module" }, { "main.js": `${IMPORTS}${USE}` });
    expect(await run(process.execPath, ["main.js"], path)).toBe(PRINTS);
  });

  const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
  test.skipIf(major === 20 && minor < 19)("CommonJS – require() of it runs, from Node 20.19", async () => {
    const requires = IMPORTS.replace(/import (.*) from (.*);/g, "const $1 = require($2);");
    const path = project("cjs", {}, { "main.js": `${requires}${USE}` });
    expect(await run(process.execPath, ["main.js"], path)).toBe(PRINTS);
  });

  test("bundler – what esbuild makes of it runs", async () => {
    const path = project("bundled", { type: "module" }, { "main.js": `${IMPORTS}${USE}` });
    const outfile = join(path, "out.mjs");
    await build({
      ...{ entryPoints: [join(path, "main.js")], outfile, bundle: true, platform: "node", format: "esm" },
      // ioredis is CommonJS; and testcontainers is optional.
      banner: {
        js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
      },
      external: ["testcontainers"],
      logLevel: "silent",
    });
    expect(await run(process.execPath, [outfile], path)).toBe(PRINTS);
  });

  const TYPED = `${IMPORTS}
import { type Message, type StreamInfo, json } from "walrus-streams";
const db = new Database("redis://localhost:6379", { lazyConnect: true, maxEntrySize: 2 ** 20 });
const group = db.consumerGroup("cg", ["stream-a"], { codec: json<{ total: number }>() });
export async function use(): Promise<number> {
  const [first] = await group.streamA.read({ count: 1 });
  // @ts-expect-error
  group.streamB;
  const message: Message<{ total: number }> = first!;
  const info: StreamInfo<{ total: number }> = await group.streamA.info();
  return message.data.total + info.length;
}
export const worker = new Worker(group, async ({ data }) => void data.total.toFixed());
export { startServer, toId };
`;

  test.each([
    ["nodenext", "nodenext"],
    ["bundler", "esnext"],
  ])(
    "TypeScript – strict, moduleResolution %s of module %s",
    async (moduleResolution, module) => {
      const compilerOptions = {
        strict: true,
        skipLibCheck: false,
        noEmit: true,
        target: "es2022",
        types: ["node"],
      };
      const lib = ["es2023", "esnext.disposable"];
      const path = project(
        `ts-${moduleResolution}`,
        { type: "module" },
        {
          "main.ts": TYPED,
          "tsconfig.json": JSON.stringify({
            compilerOptions: { ...compilerOptions, lib, module, moduleResolution },
          }),
        },
      );
      expect(
        await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "."], path),
      ).toBe("");
    },
    240_000,
  );

  const deno = [join(root, "test/runtimes/node_modules/.bin"), ...(process.env.PATH ?? "").split(delimiter)]
    .map((bin) => join(bin, "deno"))
    .find((path) => existsSync(path));
  test.skipIf(deno === undefined)(
    `Deno – runs${deno === undefined ? " (there is no deno here: skipped)" : ""}`,
    async () => {
      const path = project("deno", { type: "module" }, { "main.js": `${IMPORTS}${USE}` });
      const args = ["run", "--allow-all", "--no-lock", "--node-modules-dir=manual", "main.js"];
      expect(await run(deno!, args, path)).toBe(PRINTS);
    },
  );
});

describe("tree shaking", () => {
  /** The package's files of which a bundle has something. */
  async function inBundleOf(code: string): Promise<string[]> {
    const { metafile } = await build({
      stdin: { contents: code, resolveDir: folder.path },
      ...{ bundle: true, minify: true, write: false, metafile: true, platform: "node", format: "esm" },
      external: ["ioredis"],
      absWorkingDir: folder.path,
    });
    const { inputs } = Object.values(metafile.outputs)[0]!;
    return Object.keys(inputs)
      .filter((path) => inputs[path]!.bytesInOutput > 0)
      .map((path) => path.replace("node_modules/walrus-streams/dist/", ""));
  }

  test("Stream – brings no consumer, worker, app, telemetry, msgpack or test server along", async () => {
    const files = await inBundleOf('export { Stream } from "walrus-streams"');
    expect(files).toContain("containers/stream.js");
    expect(files.filter((path) => /^(flow|facade|watching|testing)\/|msgpack/.test(path))).toEqual([]);
  });

  test("Database – brings the optional parts along only where they are imported", async () => {
    const optional = (files: readonly string[]) =>
      files.filter((path) => /^(watching|testing)\/|msgpack/.test(path));
    const files = await inBundleOf('export { Database } from "walrus-streams"');
    expect(files).toContain("flow/worker/worker.js");
    expect(optional(files)).toEqual([]);
  });
});
