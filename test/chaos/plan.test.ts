import { expect, test } from "vitest";
import { kindOf, memberNames, planOf, SABOTAGES, type Topology } from "./plan.ts";

import { Random } from "./random.ts";

test("planOf – the same seed gives the same faults, another seed others", () => {
  expect(planOf(42, 600, "single")).toEqual(planOf(42, 600, "single"));
  expect(planOf(42, 600, "single")).not.toEqual(planOf(43, 600, "single"));
  expect(planOf(42, 600, "cluster")).toEqual(planOf(42, 600, "cluster"));
});

test.each([
  ["single", ["server killed", "server frozen", "link cut", "replies swallowed", "link slow", "link down"]],
  ["cluster", ["master killed", "master frozen", "failover asked for", "slot moved"]],
] satisfies [Topology, string[]][])(
  "planOf – ten minutes of %s have every fault, in each lane one after another",
  (topology, kinds) => {
    const faults = planOf(1, 600, topology);
    const there = new Set(faults.map(({ kind }) => kind));
    for (const kind of [...kinds, "killed", "frozen", "stopped"]) expect(there).toContain(kind);
    expect(faults.length).toBeGreaterThan(300);
    for (const lane of ["server", "network", ...memberNames()]) {
      const own = faults.filter((fault) => fault.lane === lane);
      expect(own.length).toBeGreaterThan(10);
      own.slice(1).forEach((fault, i) => {
        expect(fault.at).toBeGreaterThanOrEqual(own[i]!.at + own[i]!.ms);
      });
    }
  },
);

test("planOf – a sabotage gets the faults it needs to show, and no others", () => {
  const kinds = SABOTAGES.map((sabotage) => [
    ...new Set(
      planOf(1, 60, "single", sabotage).map(({ lane, kind }) => `${lane.replace(/-\d+$/, "")} ${kind}`),
    ),
  ]);
  expect(kinds).toEqual([["worker killed"], [], ["network replies swallowed"], ["reader killed"]]);
});

test("kindOf – the same for the same numbers; each kind is there early, killers only where they are asked for", () => {
  const kindsOf = (count: number, hasKillers: boolean): string[] => {
    const random = new Random(7);
    return Array.from({ length: count }, (_, number) => kindOf(random, number, hasKillers));
  };
  expect(kindsOf(5000, true)).toEqual(kindsOf(5000, true));
  expect(new Set(kindsOf(10, false))).toEqual(new Set(["plain", "flaky", "slow", "poison", "garbled"]));
  expect(kindsOf(50_000, true)).toContain("killer");
  expect(kindsOf(50_000, false)).not.toContain("killer");
});
