import { expect, test } from "vitest";
import type { Fact, Kind, Line } from "./book.ts";
import { check, historyOf, PROMISES, type Verdict } from "./checker.ts";
import { type Evidence, evidenceOf, type Remains } from "./evidence.ts";

const LEASE = 5000;
const S = "s";

/** A line of a book. */
function line(at: number, by: string, fact: Fact): Line {
  return { at, by, ...fact };
}

/** A push that was acknowledged as `<number>-0`. */
function pushed(number: number, kind: Kind = "plain", at = 0): Line[] {
  const n = String(number);
  return [
    line(at, "producer-0.1", { what: "push", n, stream: S, kind }),
    line(at + 1, "producer-0.1", { what: "stored", n, stream: S, id: `${n}-0` }),
  ];
}

/** A handler's beginning. */
function begins(at: number, by: string, number: number, deliveries = 1, key = "k"): Line {
  const facts = { n: String(number), stream: S, id: `${number}-0`, key, deliveries };
  return line(at, by, { what: "begin", ...facts });
}

/** A handler's end. */
function ends(at: number, by: string, number: number, how: "done" | "failed" | "aborted" = "done"): Line {
  return line(at, by, { what: "end", stream: S, id: `${number}-0`, how });
}

/** Something that hinders, from and to. */
function trouble(from: number, to: number, whom: string, why = "frozen"): Line {
  return line(to, "stage", { what: "trouble", whom, why, from });
}

/** What is in the stream, and among the dead letters. */
function remains(entries: readonly number[], dead: readonly number[] = [], at = 0): Remains {
  return {
    entries: entries.map((n) => ({ stream: S, id: `${n}-0`, n: String(n) })),
    dead: dead.map((n) => ({ stream: S, id: `${n}-0`, n: String(n), at })),
    left: [],
  };
}

function evidence(lines: readonly (Line | Line[])[], left: Remains): Evidence {
  return evidenceOf(
    lines.flat().sort((a, b) => a.at - b.at),
    left,
    LEASE,
  );
}

function judge(lines: readonly (Line | Line[])[], left: Remains): Verdict {
  return check(evidence(lines, left));
}

/** The one promise that is broken, and how. */
function broken(lines: readonly (Line | Line[])[], left: Remains): string[] {
  return judge(lines, left).breaches.map(
    ({ promise, entry, words }) => `${PROMISES.indexOf(promise)} ${entry}: ${words}`,
  );
}

/** An entry that is pushed and handled as it should be. */
const sound = [pushed(1), begins(10, "worker-0.1", 1), ends(20, "worker-0.1", 1)];

test("check – all as it should be: a retry, a death, a dead letter, readers", () => {
  const lines = [
    sound,
    pushed(2, "flaky"),
    begins(30, "worker-0.1", 2, 1),
    ends(40, "worker-0.1", 2, "failed"),
    begins(300, "worker-0.1", 2, 2),
    ends(310, "worker-0.1", 2),
    pushed(3),
    begins(320, "worker-0.1", 3),
    line(330, "stage", { what: "died", life: "worker-0.1", how: "killed" }),
    begins(5400, "worker-1.1", 3, 2),
    ends(5410, "worker-1.1", 3),
    pushed(4, "poison"),
    begins(5500, "worker-1.1", 4),
    ends(5510, "worker-1.1", 4, "failed"),
    line(0, "stage", { what: "born", life: "reader-0.1" }),
    [1, 2, 3, 4].map((n) => line(50, "reader-0.1", { what: "seen", n: String(n), stream: S, id: `${n}-0` })),
  ];
  expect(judge(lines.flat(), remains([1, 2, 3, 4], [4], 5520))).toEqual({ breaches: [], expiries: {} });
});

test("check – an acknowledged push that is not in the stream, is there twice, or under another id", () => {
  expect(broken(sound, remains([]))).toEqual(["0 s 1-0: 1 was acknowledged as 1-0, and it is not there"]);
  const twice = { ...remains([1]), entries: ["1-0", "9-0"].map((id) => ({ stream: S, id, n: "1" })) };
  expect(broken(sound, twice)).toEqual(["0 s 9-0: 1 is in s 2 times: 1-0, 9-0"]);
  const other = { ...remains([]), entries: [{ stream: S, id: "9-0", n: "1" }] };
  expect(broken(sound, other)).toEqual(["0 s 1-0: 1 was acknowledged as 1-0, and 1 is there as 9-0"]);
});

test("check – a push that nobody acknowledged may be there or not, and not twice", () => {
  const lines = [line(0, "producer-0.1", { what: "push", n: "1", stream: S, kind: "plain" })];
  expect(broken(lines, remains([]))).toEqual([]);
  expect(broken([...lines, ...sound.slice(1)], remains([1]))).toEqual([]);
  const twice = { ...remains([1]), entries: ["1-0", "9-0"].map((id) => ({ stream: S, id, n: "1" })) };
  expect(broken([...lines, ...sound.slice(1)], twice)).toHaveLength(1);
});

test("check – handled, and nobody has pushed it", () => {
  const lines = [begins(10, "worker-0.1", 1), ends(20, "worker-0.1", 1)];
  expect(broken(lines, remains([]))).toEqual(["1 s 1-0: 1 was handled, and nobody has pushed it"]);
});

test("check – an entry that no handler was called for, or finished", () => {
  expect(broken([pushed(1)], remains([1]))).toEqual(["2 s 1-0: no handler was ever called for 1"]);
  const died = line(15, "stage", { what: "died", life: "worker-0.1", how: "killed" });
  expect(broken([pushed(1), begins(10, "worker-0.1", 1), died], remains([1]))).toEqual([
    "2 s 1-0: no handler has ever finished 1; it was begun by worker-0.1 (cut short)",
  ]);
});

test("check – an entry that no reader was given", () => {
  const born = line(0, "stage", { what: "born", life: "reader-0.1" });
  expect(broken([...sound, born], remains([1]))).toEqual(["3 s 1-0: no reader was ever given 1"]);
});

test("check – two handlers at once: the first one's lease cannot have run out", () => {
  const lines = [
    pushed(1, "slow", 0),
    begins(10, "worker-0.1", 1),
    begins(3000, "worker-1.1", 1, 2),
    ends(6000, "worker-1.1", 1),
    ends(7000, "worker-0.1", 1),
    // However much it was hindered.
    trouble(100, 2900, "worker-0"),
  ];
  expect(broken(lines, remains([1]))).toEqual([
    "4 s 1-0: worker-1.1 began 1 (delivery 2) 2990 ms after worker-0.1 (delivery 1), which had not ended: " +
      "its lease was 3000 ms old at most",
  ]);
});

test("check – two handlers at once: the first one's lease had been renewed", () => {
  const renewed = line(4010, "worker-0.1", { what: "renewed", stream: S, ids: ["1-0"], sent: 4000 });
  const lines = [
    pushed(1, "slow", 0),
    begins(10, "worker-0.1", 1),
    renewed,
    begins(8000, "worker-1.1", 1, 2),
    ends(8100, "worker-1.1", 1),
    ends(9000, "worker-0.1", 1),
    trouble(4100, 7900, "worker-0"),
  ];
  expect(broken(lines, remains([1]))).toEqual([
    expect.stringContaining("its lease had been renewed 4000 ms before"),
  ]);
});

test("check – two handlers at once: nothing hindered the first one from renewing", () => {
  const lines = [
    pushed(1, "slow", 0),
    begins(10, "worker-0.1", 1),
    begins(6000, "worker-1.1", 1, 2),
    ends(6100, "worker-1.1", 1),
    ends(7000, "worker-0.1", 1),
    // Another one's trouble, and one that was over long before.
    trouble(1000, 6000, "worker-1"),
    trouble(100, 900, "worker-0"),
  ];
  expect(broken(lines, remains([1]))).toEqual([
    expect.stringContaining("for 5000 ms of the lease before nothing had hindered it from renewing"),
  ]);
});

test.each([
  ["worker-0", "frozen"],
  ["worker-0.1", "its event loop stood still"],
  ["server", "server killed"],
])("check – two handlers at once after the first one's lease has run out by a trouble of %s", (whom, why) => {
  const lines = [
    pushed(1, "slow", 0),
    begins(10, "worker-0.1", 1),
    trouble(1500, 6500, whom, why),
    begins(6400, "worker-1.1", 1, 2),
    ends(6600, "worker-0.1", 1),
    ends(6700, "worker-1.1", 1),
  ];
  expect(judge(lines, remains([1]))).toEqual({ breaches: [], expiries: { [why]: 1 } });
});

test("check – two handlers at once after a failover that may have lost the delivery, and long after one", () => {
  const around = (at: number): Line[] => [
    ...pushed(1, "slow", 0),
    begins(10, "worker-0.1", 1),
    trouble(1000, 2500, "server", "master killed"),
    line(2500, "stage", { what: "loss", from: 0 }),
    begins(at, "worker-1.1", 1),
    ends(at + 9000, "worker-0.1", 1),
    ends(at + 10, "worker-1.1", 1),
  ];
  expect(judge(around(2600), remains([1]))).toEqual({ breaches: [], expiries: { failover: 1 } });
  expect(broken(around(9000), remains([1]))).toEqual([expect.stringContaining("nothing had hindered")]);
});

test("check – two handlers of one key at once in one worker; in two workers they may be", () => {
  const lines = (second: string): Line[] => [
    ...pushed(1),
    ...pushed(2),
    begins(10, "worker-0.1", 1),
    begins(15, second, 2),
    ends(20, "worker-0.1", 1),
    ends(25, second, 2),
  ];
  expect(broken(lines("worker-0.1"), remains([1, 2]))).toEqual([
    "5 s 2-0: worker-0.1 began 2 (2-0) while it handled 1 (1-0) of the same key",
  ]);
  expect(broken(lines("worker-1.1"), remains([1, 2]))).toEqual([]);
});

test("check – what a worker read begins out of order; what it took up from others may", () => {
  const lines = [
    pushed(9),
    pushed(10),
    begins(10, "worker-0.1", 10),
    ends(20, "worker-0.1", 10),
    begins(30, "worker-0.1", 9),
    ends(40, "worker-0.1", 9),
  ];
  expect(broken(lines, remains([9, 10]))).toEqual([
    "5 s 9-0: worker-0.1 began 9 (9-0) after 10 (10-0), which is behind it in s",
  ]);
  const taken = line(31, "worker-0.1", { what: "reclaimed", stream: S, ids: ["9-0"] });
  expect(broken([...lines, taken], remains([9, 10]))).toEqual([]);
});

test("check – a message overtakes one of its key that waits for its retry", () => {
  const lines = (next: string): Line[] => [
    ...pushed(1, "flaky"),
    ...pushed(2),
    begins(10, "worker-0.1", 1),
    ends(20, "worker-0.1", 1, "failed"),
    begins(100, "worker-0.1", 2),
    ends(110, "worker-0.1", 2),
    begins(300, next, 1, 2),
    ends(310, next, 1),
  ];
  for (const next of ["worker-0.1", "worker-1.1"])
    expect(broken(lines(next), remains([1, 2]))).toEqual([
      "5 s 2-0: worker-0.1 began 2 (2-0) while 1 (1-0), which is ahead of it, waited for its retry",
    ]);
  // Another had it in between, and never began it: it is not waited for any longer than for any other's.
  const taken = line(90, "worker-1.1", { what: "reclaimed", stream: S, ids: ["1-0"] });
  const late = (deliveries: number): Line[] => [
    ...lines("worker-0.1").slice(0, 6),
    begins(6000, "worker-0.1", 2),
    ends(6010, "worker-0.1", 2),
    begins(6100, "worker-0.1", 1, deliveries),
    ends(6110, "worker-0.1", 1),
  ];
  expect(broken(late(2), remains([1, 2]))).toHaveLength(1);
  expect(broken(late(3), remains([1, 2]))).toEqual([]);
  expect(broken([...late(2), taken], remains([1, 2]))).toEqual([]);
  // Its lease may have run out, so that another has it.
  expect(broken([...lines("worker-1.1"), trouble(12, 18, "worker-0")], remains([1, 2]))).toEqual([]);
});

test("check – a message overtakes one of its key that is to be buried, and follows it when it is", () => {
  const lines = (at: number): Line[] => [
    ...pushed(1, "poison"),
    ...pushed(2),
    begins(10, "worker-0.1", 1, 10),
    ends(20, "worker-0.1", 1, "failed"),
    begins(at, "worker-0.1", 2),
    ends(at + 10, "worker-0.1", 2),
  ];
  expect(broken(lines(100), remains([1, 2], [1], 500))).toHaveLength(1);
  expect(broken(lines(510), remains([1, 2], [1], 500))).toEqual([]);
});

test("check – dead letters: one that is no poison, poison twice, poison that is not there", () => {
  expect(broken(sound, remains([1], [1]))).toEqual(["6 s 1-0: 1 (plain) is among the dead letters"]);
  expect(broken([pushed(1, "garbled")], remains([1], [1, 1]))).toEqual([
    "6 s 1-0: 1 is among the dead letters 2 times",
  ]);
  expect(broken([pushed(1, "killer")], remains([1]))).toEqual([
    "6 s 1-0: 1 (killer) is not among the dead letters",
  ]);
});

test("check – something is left in a group", () => {
  const left = [{ stream: S, id: "1-0", group: "workers", holder: "pending under worker-0" }];
  expect(broken(sound, { ...remains([1]), left })).toEqual([
    "7 s 1-0: 1-0 of s is left in the group workers: pending under worker-0",
  ]);
});

test("historyOf – what happened to an entry, in words and in order", () => {
  const lines = [
    pushed(1, "plain", 1000),
    pushed(2),
    begins(1010, "worker-0.1", 1),
    line(1500, "worker-0.1", { what: "renewed", stream: S, ids: ["1-0", "2-0"], sent: 1490 }),
    trouble(1200, 1400, "worker-0"),
    trouble(1200, 1400, "worker-1"),
    line(2000, "stage", { what: "died", life: "worker-0.1", how: "killed" }),
    line(7000, "worker-1.1", { what: "reclaimed", stream: S, ids: ["1-0"] }),
    begins(7001, "worker-1.1", 1, 2),
    ends(7002, "worker-1.1", 1),
  ];
  const all = evidence(lines, remains([1, 2]));
  expect(historyOf(all, "1")).toEqual([
    "1.000 s: producer-0.1 pushes 1 (plain) to s",
    "1.001 s: producer-0.1 is told that it is stored as 1-0",
    "1.010 s: worker-0.1 begins 1-0, delivery 1",
    "1.200 s: worker-0: frozen, for 200 ms",
    "1.200 s: worker-1: frozen, for 200 ms",
    "1.500 s: worker-0.1 has renewed its lease",
    "2.000 s: worker-0.1 is gone: killed",
    "7.000 s: worker-1.1 has taken it up",
    "7.001 s: worker-1.1 begins 1-0, delivery 2",
    "7.002 s: worker-1.1 ends 1-0: done",
  ]);
});
