import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);
/** The project. */
export const root: string = resolve(import.meta.dirname, "../..");

/** Run a program in a folder: what it prints on standard output. Throws with all it printed where it fails. */
export async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", NODE_OPTIONS: "" };
  try {
    const { stdout } = await execute(program, [...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    throw new Error(`${program} ${args.join(" ")} failed:\n${stdout}${stderr}`, { cause: error });
  }
}

/** A tarball as npm would publish it. */
export interface Packed {
  /** Its path. */
  readonly tarball: string;
  /** The files in it. */
  readonly files: readonly { readonly path: string; readonly size: number }[];
  /** Its bytes. */
  readonly size: number;
  /** The bytes of its files. */
  readonly unpackedSize: number;
}

/** Build and pack into a folder. */
export async function pack(folder: string): Promise<Packed> {
  // `prepack` builds; what it prints would stand before the JSON.
  await run("npm", ["run", "build", "--silent"], root);
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
  const [packed] = JSON.parse(await run("npm", args, root)) as [
    Omit<Packed, "tarball"> & { filename: string },
  ];
  return { ...packed, tarball: join(folder, packed.filename) };
}

/** Install a tarball, as anybody would, into an empty project. */
export async function install(tarball: string, folder: string, ...more: string[]): Promise<void> {
  const args = ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
  await run("npm", [...args, tarball, ...more], folder);
}

/** A temporary folder that is removed with its owner. */
export function scratch(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "walrus-package-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
