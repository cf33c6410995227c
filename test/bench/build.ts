import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));
const OUT: string = fileURLToPath(new URL("dist/", import.meta.url));

/** The library as `npm run build` makes it: its `index.js`, once {@link build} has run. */
export const BUILT: string = new URL("dist/index.js", import.meta.url).href;

/**
 * Compiles `src/` to JavaScript, without checking it. What is measured is what users run: `tsx` keeps the name of
 * every function by a call each time one is made, which costs a tenth of `addMany`.
 */
export async function build(): Promise<void> {
  await transpile("src", OUT);
}

/** Compiles a folder of the project and those below it to another place, file by file and without checking them. */
export async function transpile(folder: string, to: string): Promise<void> {
  const { default: ts } = await import("typescript"); // not before: those who only read BUILT start without it
  const { config } = ts.readConfigFile(join(ROOT, "tsconfig.build.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT);
  // One file by itself does not know that its package is ESM.
  const module = { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler };
  const compilerOptions = {
    ...options,
    ...module,
    declaration: false,
    declarationMap: false,
    sourceMap: false,
  };
  const source = join(ROOT, folder);
  for (const file of await readdir(source, { recursive: true })) {
    if (!file.endsWith(".ts") || file.startsWith("dist")) continue;
    const text = await readFile(join(source, file), "utf8");
    const { outputText } = ts.transpileModule(text, { compilerOptions, fileName: join(source, file) });
    const target = join(to, file.replace(/\.ts$/, ".js"));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, outputText);
  }
}
