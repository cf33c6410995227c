import { assertInteger } from "../ground/assert.ts";
import { InvalidArgumentError } from "../ground/errors.ts";
import type { FlatFields } from "../wire/codec.ts";

const MB = 1024 * 1024;
/** The least that may be asked for: a dead letter's note must fit beside its entry. */
const LEAST = MB;
/** What Redis itself takes in one value (`proto-max-bulk-len`). */
const MOST = 512 * MB;
/** What the protocol puts around one name or value at most: its length and two line ends. */
const FRAME = 14;

/** The option of a connection beside those of ioredis. */
export interface EntrySizeOption {
  /**
   * Most bytes of one entry: its names and values, and some 6 to 14 bytes around each; from 1 MB to 512 MB.
   *
   * A larger one is not added (`InvalidArgumentError`). Read over a wire it is a `DecodeError` with its id, and its bytes
   * are dropped as they come: a worker moves it to the dead letters.
   * @defaultValue 512 MB, what Redis itself takes in one value
   */
  readonly maxEntrySize?: number | undefined;
}

/** The option's value; throws InvalidArgumentError where it cannot be used. In a URL it is a text. */
export function maxEntrySizeOf(options: object): number {
  const { maxEntrySize: given = MOST } = options as { maxEntrySize?: unknown };
  const size = typeof given === "string" && /^\d+$/.test(given) ? Number(given) : given;
  assertInteger("maxEntrySize", size, LEAST, MOST);
  return size as number;
}

/** How many bytes may wait for the rest of an entry: with the note on its death, and its id. */
export function mostWaiting(options: object): number {
  return maxEntrySizeOf(options) + MB;
}

/** Refuse an entry that is too large to be read again. */
export function assertEntrySize(fields: FlatFields, most: number): void {
  let length = 0;
  for (const field of fields) length += field.length;
  // A character has three bytes at most, so mostly nothing has to be measured.
  if (3 * length + FRAME * fields.length <= most) return;
  let size = 0;
  for (const field of fields) {
    const bytes = typeof field === "string" ? Buffer.byteLength(field) : field.byteLength;
    size += bytes + String(bytes).length + 5;
  }
  if (size > most) throw new InvalidArgumentError("data", `at most maxEntrySize, ${most} bytes`, size);
}
