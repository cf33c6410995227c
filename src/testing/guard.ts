import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";

/**
 * What must not outlive this process. Servers run in process groups of their own, so that a Ctrl-C for the
 * user's process is not also one for its servers; and no signal handler is installed, so that signals mean what
 * they meant. Two things stand guard instead, and only while a server is there: one `exit` listener, and one
 * `sh` that reads from a pipe whose other end closes however this process dies, SIGKILL included.
 */
const processes = new Set<number>();
const directories = new Set<string>();
let watchdog: ChildProcess | null = null;

/** Has the process killed when this one ends. */
export function guardProcess(pid: number): void {
  processes.add(pid);
  changed();
}

/** The process has ended: its number may soon be another's. */
export function releaseProcess(pid: number): void {
  if (processes.delete(pid)) changed();
}

/** Has the directory removed when this process ends. */
export function guardDirectory(path: string): void {
  directories.add(path);
  changed();
}

/** The directory is gone. */
export function releaseDirectory(path: string): void {
  if (directories.delete(path)) changed();
}

// Keeps the last whole line it was sent: the state at the time of death, tab-separated, processes first.
const script = `
while IFS= read -r line; do last=$line; done
IFS='	'
set -f
for item in $last; do
  case $item in
    /*) rm -rf "$item" ;;
    *) kill -9 "$item" 2>/dev/null ;;
  esac
done`;

function changed(): void {
  if (processes.size + directories.size === 0) {
    process.off("exit", sweep);
    watchdog?.stdin?.end("\n");
    watchdog = null;
    return;
  }
  if (!process.listeners("exit").includes(sweep)) process.on("exit", sweep);
  watchdog ??= watch();
  watchdog?.stdin?.write(`${[...processes, ...directories].join("\t")}\n`);
}

function watch(): ChildProcess | null {
  if (process.platform === "win32") return null;
  const child = spawn("/bin/sh", ["-c", script], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env: { PATH: "/usr/bin:/bin" },
  });
  // Without it the exit listener still does its part.
  child.on("error", () => {});
  child.stdin.on("error", () => {});
  child.unref();
  // A pipe is a socket, though its type does not say so.
  (child.stdin as unknown as { unref?(): void }).unref?.();
  return child;
}

function sweep(): void {
  for (const pid of processes) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
  for (const path of directories) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // The watchdog removes it a moment later.
    }
  }
}
