/** A file of tests, or one test of it, that does not run on every runtime. */
export interface LeftOut {
  readonly runtimes: readonly ("deno" | "bun")[];
  /** From the project's folder; a pattern where it ends in `**`. */
  readonly file: string;
  /** Its full name; the whole file where absent. */
  readonly test?: string;
  /** Why: a tool of Node's, or what the runtime does otherwise (see `docs/guides/runtimes.md`). */
  readonly why: string;
}

const both = ["deno", "bun"] as const;

/** All that is left out of `npm run test:deno` and `npm run test:bun`; Node runs everything. */
export const leftOut: readonly LeftOut[] = [
  { runtimes: both, file: "test/architecture.test.ts", why: "reads the sources; needs no runtime" },
  { runtimes: both, file: "test/bench/**", why: "the benchmark and its peers, which run on Node" },
  {
    runtimes: ["deno"],
    file: "test/chaos/chaos.test.ts",
    why: "freezes and thaws its processes, of which Deno's ChildProcess carries the first signal only",
  },
  { runtimes: both, file: "test/docs/**", why: "documents and the TypeScript compiler" },
  { runtimes: both, file: "test/notebooks/**", why: "runs Deno's kernel itself, from Node" },
  { runtimes: both, file: "test/package/**", why: "what npm packs, installed for Node's and others' tools" },
  { runtimes: both, file: "test/watching/loading.test.ts", why: "reads the sources; needs no runtime" },
  { runtimes: both, file: "test/flow/memory.test.ts", why: "measures V8's heap by a flag of Node's" },
  {
    runtimes: ["bun"],
    file: "test/facade/close.test.ts",
    test: "Database.disconnect – while it is connecting again, of which ioredis tells nobody: the wires end too",
    why: "the wire that the test cuts is not seen connecting again on Bun; not yet understood",
  },
  {
    runtimes: ["bun"],
    file: "test/ground/roll.test.ts",
    why: "collects garbage by a switch of V8's, which Bun has not",
  },
  {
    runtimes: ["bun"],
    file: "test/watching/instruments.test.ts",
    why: "collects garbage by a switch of V8's, which Bun has not",
  },
  {
    runtimes: ["bun"],
    file: "test/flow/worker/crew.test.ts",
    test: "Crew – a batch that became full leaves no timer to the next",
    why: "counts timers by `process.getActiveResourcesInfo`, which has none of them on Bun",
  },
  {
    runtimes: ["bun"],
    file: "test/flow/producer.test.ts",
    test: "Producer.allMetrics – those that are not closed; one that nobody holds is let go",
    why: "collects garbage by a switch of V8's, which Bun has not",
  },
];
