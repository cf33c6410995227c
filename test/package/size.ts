// What the package weighs, and how long it takes to import: `npm run size`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { install, pack, root, run, scratch } from "./package.ts";

const kB = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!;

/** Milliseconds that an import takes, in a process of its own each time. */
async function importTime(specifier: string, folder: string): Promise<number> {
  const code = `const start = performance.now(); await import(${JSON.stringify(specifier)}); console.log(performance.now() - start)`;
  const times: number[] = [];
  for (let i = 0; i < 9; i++)
    times.push(Number(await run(process.execPath, ["--input-type=module", "-e", code], folder)));
  return median(times);
}

using folder = scratch();
const { tarball, files, size, unpackedSize } = await pack(folder.path);
await install(tarball, folder.path);
console.log(`packed ${kB(size)}, unpacked ${kB(unpackedSize)}, ${files.length} files`);
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { exports: object };
for (const code of ['export * from "walrus-streams"', 'export { Stream } from "walrus-streams"']) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: folder.path },
    ...{ bundle: true, minify: true, write: false, platform: "node", format: "esm", external: ["ioredis"] },
  });
  console.log(`bundle of ${code}: ${kB(outputFiles[0]!.contents.length)}, minified, without ioredis`);
}
const ioredis = await importTime("ioredis", folder.path);
console.log(`import of ioredis: ${ioredis.toFixed(0)} ms`);
for (const path of Object.keys(exports).filter((name) => !/package\.json|msgpack|otel/.test(name))) {
  const specifier = `walrus-streams${path.slice(1)}`;
  const time = await importTime(specifier, folder.path);
  console.log(`import of ${specifier}: ${time.toFixed(0)} ms`);
}
