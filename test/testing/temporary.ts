import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, vi } from "vitest";

/** Gives the file's tests a temporary directory of their own and finds nothing of a server's in it after each. */
export function ownTemporaryDirectory(): { readonly entries: () => string[] } {
  let path = "";
  const entries = (): string[] => readdirSync(path).filter((name) => name.startsWith("walrus-"));
  beforeAll(() => {
    path = mkdtempSync(join(tmpdir(), "testing-"));
  });
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  beforeAll(() => {
    process.env.TMPDIR = path;
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    expect(entries()).toEqual([]);
  });
  return { entries };
}

/** Whether a process of that number is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
