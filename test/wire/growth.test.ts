import { afterEach, expect, test, vi } from "vitest";
import { EntriesDecoder } from "../../src/wire/reply.ts";
import { type Decoder, Inbox } from "../../src/wire/resp.ts";
import { ValuesDecoder } from "../../src/wire/values.ts";
import { list, reply } from "./feed.ts";

const CHUNK = 64 * 1024;
const FIELDS = 200_000;

afterEach(() => vi.restoreAllMocks());

/** Deliver a reply in chunks and count the work: bytes allocated to hold it, and frames looked at. */
function work(decoder: Decoder<unknown>, bytes: Buffer, chunk: number): { copied: number; frames: number } {
  const allocations = vi.spyOn(Buffer, "allocUnsafeSlow");
  const inbox = new Inbox();
  const length = inbox.length.bind(inbox);
  let frames = 0;
  inbox.length = (type) => {
    frames++;
    return length(type);
  };
  let isDone = false;
  for (let at = 0; at < bytes.length; at += chunk) {
    inbox.push(bytes.subarray(at, at + chunk));
    isDone = decoder.decode(inbox);
  }
  expect(isDone).toBe(true);
  expect(inbox.size).toBe(0);
  const copied = allocations.mock.calls.reduce((sum, [size]) => sum + size, 0);
  allocations.mockRestore();
  return { copied, frames };
}

/** One entry of so many fields. */
const wide = (fields: number): Buffer =>
  reply([["1-1", Array.from({ length: 2 * fields }, (_, i) => (i % 2 ? "v" : `f${i}`))]]);

test("EntriesDecoder.decode – an entry of 200,000 fields in chunks of 64 KB: walked once, read once", () => {
  const target = list();
  const bytes = wide(FIELDS);
  const { copied, frames } = work(new EntriesDecoder(target), bytes, CHUNK);
  const data = (target.messages() as { data: Record<string, string> }[])[0]!.data;
  expect(Object.keys(data)).toHaveLength(FIELDS);
  expect(data["f399998"]).toBe("v");
  // One walk, one decoding, and what was read in vain before the first cut.
  expect(frames).toBeLessThan(2.2 * 2 * FIELDS);
  expect(copied).toBeLessThan(5 * bytes.length);
});

test("EntriesDecoder.decode – work grows with the bytes, not with the chunks", () => {
  const bytes = wide(10_000);
  const [few, many] = [CHUNK / 4, 256].map((chunk) => work(new EntriesDecoder(list()), bytes, chunk).frames);
  expect(many).toBeLessThan(1.05 * few!);
});

test("EntriesDecoder.decode – a value of 50 MB in chunks of 64 KB", () => {
  const value = "x".repeat(50 * 1024 * 1024);
  const target = list();
  const bytes = reply([
    ["1-1", ["a", value]],
    ["1-2", ["a", "1"]],
  ]);
  const { copied, frames } = work(new EntriesDecoder(target), bytes, CHUNK);
  const messages = target.messages() as { id: string; data: { a: string } }[];
  expect(messages.map(({ id, data }) => [id, data.a.length])).toEqual([
    ["1-1", value.length],
    ["1-2", 1],
  ]);
  expect(messages[0]!.data.a === value).toBe(true);
  expect(frames).toBeLessThan(100);
  expect(copied).toBeLessThan(5 * bytes.length);
});

test("EntriesDecoder.decode – many small entries in chunks: hardly any is read twice", () => {
  const count = 10_000;
  const bytes = reply(Array.from({ length: count }, (_, i) => [`${i}-0`, ["temp", "7.1", "place", "x"]]));
  const target = list();
  const { frames, copied } = work(new EntriesDecoder(target), bytes, CHUNK);
  expect(target.count).toBe(count);
  // 7 frames an entry; each chunk's end costs one entry's more.
  expect(frames).toBeLessThan(1.02 * 7 * count);
  expect(copied).toBeLessThan(3 * bytes.length);
});

test("ValuesDecoder.decode – a large nested reply in chunks is walked once and read once", () => {
  const count = 20_000;
  const bytes = reply(Array.from({ length: count }, (_, i) => [`consumer-${i}`, ["x", i]]));
  const { frames, copied } = work(new ValuesDecoder(1), bytes, 4096);
  expect(frames).toBeLessThan(2.1 * 4 * count);
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
