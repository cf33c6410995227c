import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { help, readOptions } from "./options.ts";
import { changeOf, comparison } from "./report/compare.ts";
import { readmeTable, withTable } from "./report/readme.ts";
import { type Run, readRun, type WorkFigures } from "./report/run.ts";
import { legend, missedTargets, table } from "./report/table.ts";

const root = resolve(import.meta.dirname, "../..");
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "walrus-bench-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The command in a process of its own; it needs no peers but those of the project itself. */
function bench(...args: readonly string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const script = join(import.meta.dirname, "run.ts");
  return new Promise((done) => {
    const options = { cwd: root, timeout: 110_000, env: { ...process.env, NO_COLOR: "1" } };
    execFile(process.execPath, ["--import", "tsx", script, ...args], options, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : error.code, stdout, stderr }),
    );
  });
}

const choice = {
  mainWorks: ["scan", "group"],
  works: ["scan", "group", "idle"],
  peers: ["walrus-streams", "ioredis-6", "bullmq"],
};

const scan: WorkFigures = {
  name: "scan",
  title: "reads",
  metrics: ["rate", "cpu", "serverShare"],
  target: { ratio: 3, limitShare: 0.7 },
  rounds: {
    // Ratios of the rounds are 2, 3 and 4: their median is not the ratio of the medians, 2.5.
    "walrus-streams": [
      { rate: 400_000, cpu: 1.5, serverShare: 0.25 },
      { rate: 500_000, cpu: 1.7, serverShare: 0.35 },
      { rate: 1_000_000, cpu: 1.6, serverShare: 0.3 },
    ],
    "ioredis-6": [
      { rate: 200_000, cpu: 5, serverShare: 0.1 },
      { rate: 500_000 / 3, cpu: 5, serverShare: 0.1 },
      { rate: 250_000, cpu: 5, serverShare: 0.1 },
    ],
    "raw-decoder": [
      { rate: 800_000, cpu: 1, serverShare: 0.5 },
      { rate: 1_000_000, cpu: 1, serverShare: 0.5 },
      { rate: 2_000_000, cpu: 1, serverShare: 0.5 },
    ],
  },
  failures: {},
};
const latency: WorkFigures = {
  name: "latency",
  title: "waits",
  metrics: ["p50", "p99"],
  target: { ratio: 1.1 },
  rounds: { "walrus-streams": [{ p50: 240, p99: 900 }], "ioredis-6": [{ p50: 200, p99: 1_000 }] },
  failures: { bullmq: "no" },
};
const run: Run = {
  format: 1,
  environment: {
    command: "npm run bench",
    date: "2026-01-02T03:04:05.000Z",
    seconds: 60,
    cpu: "CPU",
    cores: 2,
    system: "Linux 6",
    node: "20.0.0",
    server: "Redis 7.0.15",
    load: [0.1, 1.25],
    versions: { "walrus-streams": "0.1.0", "ioredis-6": "6.0.0" },
  },
  peers: ["walrus-streams", "ioredis-6", "bullmq", "raw-decoder"],
  works: [scan, latency],
};

/** The cells of a drawn table, by line. */
function cellsOf(drawn: string): string[][] {
  return drawn
    .split("\n")
    .filter((line) => line.startsWith("│"))
    .map((line) =>
      line
        .split("│")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

test("bench – a quick run of one work with two peers writes every round and prints the table", async () => {
  const json = join(folder, "run.json");
  const asked = ["--quick", "--works", "group", "--peers", "ioredis-6,walrus-streams", "--json", json];
  const { code, stdout, stderr } = await bench(...asked);
  expect({ code, stderr: stderr.replace(/\d+ s/, "n s") }).toEqual({
    code: 0,
    stderr: "bench: group: n s\n",
  });
  const written = await readRun(json);
  expect(written.peers).toEqual(["walrus-streams", "ioredis-6"]);
  expect(written.works.map(({ name }) => name)).toEqual(["group"]);
  const [{ rounds, failures }] = written.works as [WorkFigures];
  expect(failures).toEqual({});
  expect(Object.keys(rounds)).toEqual(["walrus-streams", "ioredis-6"]);
  for (const own of Object.values(rounds)) {
    expect(own.length).toBe(2);
    for (const { rate, cpu, serverShare } of own) {
      expect(rate).toBeGreaterThan(100);
      expect(cpu).toBeGreaterThan(0.1);
      expect(serverShare).toBeGreaterThan(0);
      expect(serverShare).toBeLessThan(1);
    }
  }
  expect(written.environment.command).toBe(
    "npm run bench -- --works group --peers ioredis-6,walrus-streams --quick",
  );
  expect(written.environment.versions["ioredis-6"]).toMatch(/^6\./);
  expect(written.environment.server).toMatch(/^(Redis|Valkey) \d/);
  expect(JSON.stringify(written)).not.toContain(folder);
  expect(stdout).toContain(table(written));
  expect(stdout).toContain(legend(written));
}, 120_000);

test("bench – what it does not understand is said in one line, before anything is measured", async () => {
  const { code, stdout, stderr } = await bench("--works", "scan,swim");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^bench: --works must be names out of add, add-many, .*, got "swim"\n$/);
}, 60_000);

test("readOptions – defaults, and names in the order of the table", () => {
  expect(readOptions([], choice)).toEqual({
    ...{ command: "npm run bench", works: ["scan", "group"], peers: choice.peers, arePeersNamed: false },
    ...{ rounds: 5, isQuick: false, json: null, compare: null },
  });
  const args = ["--works", "idle, scan", "--peers", "bullmq,walrus-streams,bullmq", "--quick"];
  expect(readOptions(args, choice)).toMatchObject({
    ...{ works: ["scan", "idle"], peers: ["walrus-streams", "bullmq"], arePeersNamed: true },
    ...{ rounds: 2, isQuick: true },
  });
  expect(readOptions(["--works", "all", "--rounds", "9"], choice)).toMatchObject({
    ...{ command: "npm run bench -- --works all --rounds 9", works: choice.works, rounds: 9 },
  });
  expect(readOptions(["--help"], choice)).toBe(null);
  for (const name of [...choice.works, ...choice.peers]) expect(help(choice)).toContain(name);
});

test.each([
  [["--peers", "redis"], '--peers must be names out of walrus-streams, ioredis-6, bullmq, got "redis"'],
  [["--works", ""], '--works must be names out of scan, group, idle, got ""'],
  [["--rounds", "0"], '--rounds must be a whole number from 1 to 100, got "0"'],
  [["--rounds", "1.5"], '--rounds must be a whole number from 1 to 100, got "1.5"'],
  [["--rounds", "101"], '--rounds must be a whole number from 1 to 100, got "101"'],
  [
    ["--json", "nowhere/at/all.json"],
    '--json must be a file in a folder that can be written to, got "nowhere',
  ],
  [["--json", "/"], '--json must be a file, got the folder "/"'],
  [["--size", "3"], "Unknown option '--size'"],
  [["scan"], "Unexpected argument 'scan'"],
])("readOptions – %j is refused with its rule", (args, message) => {
  expect(() => readOptions(args, choice)).toThrow(message);
});

test("table – medians, ratios round by round, shares of the limit, and dashes", () => {
  expect(cellsOf(table(run)).slice(2)).toEqual([
    ["scan", "msg/s", "500,000", "200,000", "–", "1,000,000"],
    ["", "x ioredis-6", "3.00", "1.00", "", "6.00"],
    ["", "of raw-decoder", "50 %", "17 %", "", "100 %"],
    ["", "client CPU, us/msg", "1.60", "5.00", "", "1.00"],
    ["", "server's share", "30 %", "10 %", "", "50 %"],
    ["latency", "p50, us", "240", "200", "failed", "–"],
    ["", "x ioredis-6", "1.20", "1.00", "", ""],
    ["", "p99, us", "900", "1,000", "", ""],
    ["", "x ioredis-6", "0.90", "1.00", "", ""],
  ]);
  expect(legend(run)).toBe("scan     reads\nlatency  waits");
});

test("missedTargets – a share, and a figure of which less is better", () => {
  expect(missedTargets(run)).toEqual([
    "scan: 50 % of raw-decoder, promised at least 70 %",
    "latency: 1.20 x ioredis-6, promised at most 1.1",
  ]);
  const { "ioredis-6": _, ...rounds } = scan.rounds;
  expect(missedTargets({ ...run, works: [{ ...scan, target: { ratio: 3 }, rounds }] })).toEqual([]);
  expect(missedTargets({ ...run, works: [{ ...scan, target: { ratio: 3.5 } }] })).toEqual([
    "scan: 3.00 x ioredis-6, promised at least 3.5",
  ]);
});

test("comparison – now by then, marked only where no rounds meet", () => {
  const rates = (...values: number[]): WorkFigures => ({
    ...scan,
    rounds: { "walrus-streams": values.map((rate) => ({ rate, p50: rate })) },
  });
  const change = (now: number[], then: number[], name: "rate" | "p50" = "rate") =>
    changeOf(rates(...now), rates(...then), "walrus-streams", name);
  expect(change([120, 130], [100, 110])).toEqual({ ratio: 125 / 105, verdict: "better" });
  expect(change([100, 110], [120, 130])).toEqual({ ratio: 105 / 125, verdict: "worse" });
  expect(change([100, 110], [120, 130], "p50").verdict).toBe("better");
  expect(change([105, 130], [100, 110]).verdict).toBe(null);
  expect(change([120], [100, 110]).verdict).toBe(null);
  expect(change([], [100, 110])).toEqual({ ratio: Number.NaN, verdict: null });
  const slower = { ...run, works: [rates(1_000, 1_100, 1_200)] };
  expect(cellsOf(comparison(slower, run)).slice(2)).toEqual([["scan", "msg/s", "0.00 -", "–", "–", "–"]]);
  expect(cellsOf(comparison(run, { ...run, works: [latency] })).slice(2)).toEqual([
    ["latency", "p50, us", "1.00", "1.00", "–", "–"],
    ["", "p99, us", "1.00", "1.00", "", ""],
  ]);
});

test("readmeTable – multiples, the baseline's own figures, and where they come from", () => {
  const text = readmeTable(run);
  expect(text.split("\n").slice(0, 5)).toEqual([
    "| work |  | walrus-streams | ioredis-6 | raw-decoder |",
    "| --- | --- | ---: | ---: | ---: |",
    "| `scan` | msg/s | **3.00** | 200,000 | 6.00 |",
    "| `latency` | p50, us | **1.20** | 200 | – |",
    "| `latency` | p99, us | **0.90** | 1,000 | – |",
  ]);
  expect(text).toContain("- `scan`: reads\n- `latency`: waits\n");
  expect(text).toContain("`npm run bench`: CPU, 2 cores, Linux 6, Node.js 20.0.0, Redis 7.0.15, 2026-01-02");
  expect(text).toContain("ioredis-6 6.0.0");
});

test("withTable – replaces what stands between the marks, and needs both", () => {
  const page = "# A\n<!-- bench:start -->\nold\n<!-- bench:end -->\nB\n";
  const once = withTable(page, "new");
  expect(once).toBe("# A\n<!-- bench:start -->\nnew\n<!-- bench:end -->\nB\n");
  expect(withTable(once, "new")).toBe(once);
  expect(() => withTable("# A\n<!-- bench:start -->\n", "new")).toThrow("README.md must hold");
  expect(() => withTable("<!-- bench:end --> <!-- bench:start -->", "new")).toThrow("README.md must hold");
});

test("readRun – a file that is not there or is no run is named", async () => {
  await expect(readRun(join(folder, "none.json"))).rejects.toThrow(
    /none\.json must be a run that --json wrote: ENOENT/,
  );
  const file = join(folder, "other.json");
  for (const value of ["[", "null", '{"format":2}', JSON.stringify({ ...run, works: [{ name: "a" }] })]) {
    await writeFile(file, value);
    await expect(readRun(file)).rejects.toThrow(/other\.json must be a run/);
  }
  await writeFile(file, JSON.stringify(run));
  expect(await readRun(file)).toEqual(run);
});
