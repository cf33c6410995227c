import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { README, readmeTable, STORED, withTable } from "../bench/report/readme.ts";
import { readRun } from "../bench/report/run.ts";
import { MAIN_WORKS } from "../bench/works/line-up.ts";

test("README.md – the speed table is what the script makes of the stored run", async () => {
  const text = await readFile(README, "utf8");
  expect(text).toBe(withTable(text, readmeTable(await readRun(STORED))));
});

test("baseline.json – holds every work of the table, none of which failed", async () => {
  const { works, peers } = await readRun(STORED);
  const names = works.map(({ name }) => name);
  for (const { name } of MAIN_WORKS) expect(names).toContain(name);
  expect(works.filter(({ failures }) => Object.keys(failures).length > 0)).toEqual([]);
  expect(peers.length).toBeGreaterThan(8);
});
