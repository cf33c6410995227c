import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, join } from "node:path";

/**
 * Finds the server to run: the file that `REDIS_SERVER` names, else `redis-server`, else `valkey-server`, on the `PATH`.
 *
 * @returns its path, or `null` when there is none
 * @throws Error when `REDIS_SERVER` is set to what cannot be executed
 */
export async function findBinary(environment: NodeJS.ProcessEnv = process.env): Promise<string | null> {
  const { REDIS_SERVER: named = "", PATH: path = "" } = environment;
  if (named !== "") {
    const found = /[\\/]/.test(named) ? await executable(named) : await lookUp(named, path);
    if (found !== null) return found;
    throw new Error(
      `REDIS_SERVER must name an executable redis-server or valkey-server, got ${JSON.stringify(named)}`,
    );
  }
  return (await lookUp("redis-server", path)) ?? (await lookUp("valkey-server", path));
}

async function lookUp(name: string, path: string): Promise<string | null> {
  for (const folder of path.split(delimiter)) {
    const found = folder === "" ? null : await executable(join(folder, name));
    if (found !== null) return found;
  }
  return null;
}

async function executable(file: string): Promise<string | null> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile() ? file : null;
  } catch {
    return null;
  }
}
