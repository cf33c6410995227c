/** What every message of the bench carries: three fields, their values together of the size asked for. */
export type Payload = {
  readonly user: string;
  readonly action: string;
  readonly body: string;
};

/** What a run saw: the messages, and the characters of their values, so that nobody gets away with not reading. */
export interface Tally {
  readonly messages: number;
  /** `null` of who counts replies and does not look into them. */
  readonly characters: number | null;
}

const USER = 16;
const ACTION = 24;
const DISTINCT = 1_000;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";

/** Mulberry32 (Tommy Ettinger): a small generator that gives the same numbers everywhere for the same seed. */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Deterministic payloads: the user counts up, action and body come from 1,000 distinct ones.
 *
 * @param count - how many
 * @param bytes - the length of the three values together; at least 41
 * @returns `count` payloads, the same ones in every run
 */
export function payloads(count: number, bytes: number): Payload[] {
  const random = generator(bytes);
  const text = (length: number): string => {
    let out = "";
    for (let i = 0; i < length; i++) out += ALPHABET[Math.floor(random() * ALPHABET.length)];
    return Buffer.from(out, "latin1").toString("latin1"); // one flat string, not a rope
  };
  const actions = Array.from({ length: DISTINCT }, () => text(ACTION));
  const bodies = Array.from({ length: DISTINCT }, () => text(bytes - USER - ACTION));
  return Array.from({ length: count }, (_, i) => ({
    user: `user${String(i).padStart(USER - 4, "0")}`,
    action: actions[i % DISTINCT]!,
    body: bodies[i % DISTINCT]!,
  }));
}
