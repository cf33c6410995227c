import { afterEach, expect, test, vi } from "vitest";
import { type Page, PageDecoder } from "../../src/wire/page.ts";
import { EntriesDecoder } from "../../src/wire/reply.ts";
import { type Decoder, Inbox } from "../../src/wire/resp.ts";
import { ValuesDecoder } from "../../src/wire/values.ts";
import { list, reply } from "./feed.ts";

const CHUNK = 64 * 1024;
const FIELDS = 50_000;

afterEach(() => vi.restoreAllMocks());

/** Count the bytes of an inbox that are looked at one by one. */
function counted(inbox: Inbox): { seen: number } {
  const count = { seen: 0 };
  const push = inbox.push.bind(inbox);
  let real = inbox.bytes;
  inbox.push = (chunk) => {
    inbox.bytes = real;
    push(chunk);
    real = inbox.bytes;
    inbox.bytes = new Proxy(real, {
      get(_, name) {
        const own = Reflect.get(real, name);
        if (typeof own === "function") return own.bind(real);
        if (typeof own === "number") count.seen++;
        return own;
      },
    });
  };
  return count;
}

/** Deliver a reply in chunks and count the work: bytes allocated to hold it, and bytes looked at. */
function work(
  decoder: Decoder<unknown>,
  bytes: Buffer,
  chunk: number,
  held: Inbox | null = null,
): { copied: number; seen: number } {
  const allocations = vi.spyOn(Buffer, "allocUnsafeSlow");
  const inbox = new Inbox();
  const count = counted(held ?? inbox);
  let isDone = false;
  for (let at = 0; at < bytes.length; at += chunk) {
    inbox.push(bytes.subarray(at, at + chunk));
    isDone = decoder.decode(inbox);
  }
  expect(isDone).toBe(true);
  expect(inbox.size).toBe(0);
  const copied = allocations.mock.calls.reduce((sum, [size]) => sum + size, 0);
  allocations.mockRestore();
  return { copied, seen: count.seen };
}

/** One entry of so many fields. */
const wide = (fields: number): Buffer =>
  reply([["1-1", Array.from({ length: 2 * fields }, (_, i) => (i % 2 ? "v" : `f${i}`))]]);

test("EntriesDecoder.decode – an entry of 50,000 fields in chunks of 64 KB: walked once, read once", () => {
  const target = list();
  const bytes = wide(FIELDS);
  const { copied, seen } = work(new EntriesDecoder(target), bytes, CHUNK);
  const data = (target.messages() as { data: Record<string, string> }[])[0]!.data;
  expect(Object.keys(data)).toHaveLength(FIELDS);
  expect(data["f99998"]).toBe("v");
  // One walk, which looks at less than the decoding, and what was read in vain before the first cut.
  expect(seen).toBeLessThan(2 * work(new EntriesDecoder(list()), bytes, bytes.length).seen);
  expect(copied).toBeLessThan(5 * bytes.length);
});

test("EntriesDecoder.decode – work grows with the bytes, not with the chunks", () => {
  const bytes = wide(10_000);
  const [few, many] = [CHUNK / 4, 256].map((chunk) => work(new EntriesDecoder(list()), bytes, chunk).seen);
  expect(many).toBeLessThan(1.1 * few!);
});

test("EntriesDecoder.decode – a value of 50 MB in chunks of 64 KB", () => {
  const value = "x".repeat(50 * 1024 * 1024);
  const target = list();
  const bytes = reply([
    ["1-1", ["a", value]],
    ["1-2", ["a", "1"]],
  ]);
  const { copied, seen } = work(new EntriesDecoder(target), bytes, CHUNK);
  const messages = target.messages() as { id: string; data: { a: string } }[];
  expect(messages.map(({ id, data }) => [id, data.a.length])).toEqual([
    ["1-1", value.length],
    ["1-2", 1],
  ]);
  expect(messages[0]!.data.a === value).toBe(true);
  expect(seen).toBeLessThan(500);
  expect(copied).toBeLessThan(5 * bytes.length);
});

test("EntriesDecoder.decode – many small entries in chunks: hardly any is read twice", () => {
  const count = 10_000;
  const bytes = reply(Array.from({ length: count }, (_, i) => [`${i}-0`, ["temp", "7.1", "place", "x"]]));
  const target = list();
  const { seen, copied } = work(new EntriesDecoder(target), bytes, CHUNK);
  expect(target.count).toBe(count);
  // Each chunk's end costs one entry's more.
  expect(seen).toBeLessThan(1.02 * work(new EntriesDecoder(list()), bytes, bytes.length).seen);
  expect(copied).toBeLessThan(3 * bytes.length);
});

test("PageDecoder.decode – a page is held until its end is there, one beyond 1 MB is decoded as it comes", () => {
  for (const [size, most] of [
    [500, 600_000],
    [3000, 1024 * 1024 + CHUNK],
  ] as const) {
    const bytes = reply(Array.from({ length: 1000 }, (_, i) => [`${i}-0`, ["temp", "x".repeat(size)]]));
    const target = list();
    const held = new Inbox();
    const decoder = new PageDecoder(target, 1000, held);
    const inbox = new Inbox();
    let waiting = 0;
    let isDone = false;
    for (let at = 0; at < bytes.length; at += CHUNK) {
      expect(isDone).toBe(false);
      inbox.push(bytes.subarray(at, at + CHUNK));
      isDone = decoder.decode(inbox);
      waiting = Math.max(waiting, held.size);
    }
    expect(isDone).toBe(true);
    expect(waiting).toBeLessThan(most);
    expect(target.count).toBe(size === 500 ? 0 : 1000);
    const page = decoder.result() as Page<unknown, unknown>;
    expect([page.count, page.lastId]).toEqual([1000, "999-0"]);
    expect(page.list().messages()).toHaveLength(1000);
  }
});

test("PageDecoder.decode – in chunks it is walked once", () => {
  const bytes = reply(Array.from({ length: 2000 }, (_, i) => [`${i}-0`, ["temp", "7.1", "place", "x"]]));
  const seenBy = (chunk: number): number => {
    const held = new Inbox();
    return work(new PageDecoder(list(), 2000, held), bytes, chunk, held).seen;
  };
  expect(seenBy(256)).toBeLessThan(1.1 * seenBy(bytes.length));
});

test("ValuesDecoder.decode – a large nested reply in chunks is walked once and read once", () => {
  const count = 20_000;
  const bytes = reply(Array.from({ length: count }, (_, i) => [`consumer-${i}`, ["x", i]]));
  const { seen, copied } = work(new ValuesDecoder(1), bytes, 4096);
  expect(seen).toBeLessThan(1.02 * work(new ValuesDecoder(1), bytes, bytes.length).seen);
  expect(copied).toBeLessThan(5 * bytes.length);
});

/** An item that is cut arrives whole, and is taken. */
function takeCut(inbox: Inbox, size: number): number {
  inbox.push(Buffer.alloc(size / 2));
  inbox.push(Buffer.alloc(size / 2));
  const room = inbox.bytes.length;
  inbox.at = inbox.end;
  return room;
}

test("Inbox.push – the room for what is cut is used again", () => {
  const inbox = new Inbox();
  const allocations = vi.spyOn(Buffer, "allocUnsafeSlow");
  for (let i = 0; i < 100; i++) takeCut(inbox, 10_000);
  expect(allocations).toHaveBeenCalledTimes(1);
});

test("Inbox.push – a room beyond 1 MB is given up with the item it was for", () => {
  const inbox = new Inbox();
  expect(takeCut(inbox, 8 * 1024 * 1024)).toBeGreaterThanOrEqual(8 * 1024 * 1024);
  expect(takeCut(inbox, 100)).toBeLessThan(1024 * 1024);
});
