import { expect } from "vitest";
import { type Database, deadLetterKey } from "../../src/index.ts";

/** Add numbered entries, have a group reject each of them, and give the key of their dead letters. */
export async function bury(
  db: Database,
  key: string,
  count = 1,
  headers?: Readonly<Record<string, string>>,
): Promise<string> {
  const values = Array.from({ length: count }, (_, n) => ({ n }));
  await db.consumerGroup("g", key).ensure();
  await db.Stream(key).addMany(values, headers === undefined ? {} : { headers });
  await rejectAll(db, key);
  return deadLetterKey(key);
}

/** Have a group reject all that is new to it; how many there were. */
export async function rejectAll(db: Database, key: string, group = "g"): Promise<number> {
  const cg = db.consumerGroup(group, key, { consumer: "alice" });
  await cg.ensure();
  const messages = await cg.streams[key]!.read();
  const done = await Promise.all(messages.map((message) => message.reject("no total")));
  expect(new Set(done)).toEqual(new Set(messages.length === 0 ? [] : [true]));
  return messages.length;
}

/** What is stored under a key, as bytes. */
export async function stored(db: Pick<Database, "callBuffer">, key: string): Promise<Buffer[][]> {
  const entries = (await db.callBuffer("XRANGE", key, "-", "+")) as [Buffer, Buffer[]][];
  return entries.map(([, fields]) => fields);
}

/** The numbers of the entries under a key, in order. */
export async function numbersIn(db: Pick<Database, "callBuffer">, key: string): Promise<number[]> {
  return (await stored(db, key)).map((fields) =>
    Number(fields[fields.findIndex((f) => String(f) === "n") + 1]),
  );
}

/** The numbers from 0 on. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}
