import { expect, test } from "vitest";
import {
  deadLetterKey,
  type GroupMessage,
  GroupStream,
  InvalidArgumentError,
  NoSuchGroupError,
  SettledError,
  WrongTypeError,
} from "../../src/index.ts";
import { failure, ids, numbered, Place } from "./harness.ts";

const place = new Place();

type Text = Record<string, string>;
/** What `@dead` holds. */
type Note = Record<string, unknown> & { readonly error: Text };

/** A stream with so many entries, all delivered to alice of its group. */
async function make(
  count = 1,
): Promise<{ stream: GroupStream; bob: GroupStream; messages: GroupMessage<Text>[] }> {
  const key = place.key();
  await place.db.Stream(key).addMany(numbered(count), { id: (_, i) => i + 1, headers: { region: "eu" } });
  const cg = place.db.consumerGroup("g", key, { consumer: "alice" });
  await cg.create();
  const stream = cg.streams[key]!;
  const bob = new GroupStream(place.db, key, { group: "g", consumer: "bob" });
  return { stream, bob, messages: await stream.read() };
}

/** Who holds which entries, with their delivery counts. */
async function held(stream: GroupStream): Promise<string[]> {
  return (await stream.pending()).map(({ id, consumer, deliveries }) => `${id} ${consumer} ${deliveries}`);
}

/** Have the server believe that an entry was delivered so long ago. */
async function age(stream: GroupStream, idle: number, id = "1-0"): Promise<void> {
  await place.db.call("xclaim", [stream.key, "g", stream.consumer, 0, id, "IDLE", idle, "JUSTID"]);
}

/** The entries of a stream's dead letters: data, and what is noted of them. */
async function graves(key: string): Promise<{ data: Text; note: Note }[]> {
  return (await place.db.Stream(deadLetterKey(key)).range()).map(({ data: { "@dead": note, ...data } }) => ({
    data,
    note: JSON.parse(note!),
  }));
}

test("GroupMessage.reject – added to the dead letters and acknowledged, in one command", async () => {
  const { stream, messages } = await make(2);
  await messages[1]!.reject("the script is known now");
  const sent = await place.sent(async () => expect(await messages[0]!.reject("no total")).toBe(true));
  expect(sent).toMatchObject({ evalsha: 1, xadd: 1, xack: 1 });
  expect(Object.keys(sent).sort()).toEqual(["evalsha", "time", "xack", "xadd", "xpending", "xrange"]);
  expect(await held(stream)).toEqual([]);
  const { data, note } = (await graves(stream.key))[1]!;
  expect(data).toEqual({ n: "0" });
  expect(note).toEqual({
    ...{ stream: stream.key, group: "g", id: "1-0", consumer: "alice", deliveries: 1 },
    error: {
      name: "RejectError",
      message: "the handler rejected the message: no total",
      stack: expect.stringContaining("RejectError"),
    },
    time: expect.closeTo(Date.now(), -4),
  });
  expect((await place.db.Stream(deadLetterKey(stream.key)).first())!.headers).toEqual({ region: "eu" });
  expect(await stream.length()).toBe(2);
});

test("GroupMessage.reject – the dead letters' key is a string: the entry stays pending, and the verb may be called again", async () => {
  const { stream, messages } = await make(1);
  const key = deadLetterKey(stream.key);
  await place.db.set(key, "text");
  const [message] = messages;
  await failure(message!.reject("bad"), WrongTypeError);
  await failure(message!.reject("bad"), WrongTypeError);
  expect(await held(stream)).toEqual(["1-0 alice 1"]);
  expect(await place.db.get(key)).toBe("text");
  await place.db.del(key);
  expect(await message!.reject("bad")).toBe(true);
  expect(await held(stream)).toEqual([]);
  expect(await graves(stream.key)).toHaveLength(1);
});

test("GroupMessage.reject – a long reason and stack are cut, a reason is needed", async () => {
  const { stream, messages } = await make(2);
  await messages[0]!.reject("x".repeat(100_000));
  const { note } = (await graves(stream.key))[0]!;
  expect(note.error["message"]).toHaveLength(4096);
  expect(note.error["stack"]).toHaveLength(4096);
  await messages[1]!.reject(`${"x".repeat(4096 - 36)}\u{1f600} "quoted" \u0000`);
  expect(await graves(stream.key)).toHaveLength(2);
  expect(() => messages[1]!.reject("")).toThrow(InvalidArgumentError);
});

test("GroupMessage.reject – an entry that was a dead letter: one note, the last", async () => {
  const { stream, messages } = await make(1);
  await messages[0]!.reject("first");
  const second = place.db.consumerGroup("h", deadLetterKey(stream.key));
  await second.create();
  const [letter] = await second.streams[deadLetterKey(stream.key)]!.read();
  expect(await letter!.reject("second")).toBe(true);
  const { note, data } = (await graves(deadLetterKey(stream.key)))[0]!;
  expect(data).toEqual({ n: "0" });
  const [[, fields]] = (await place.db.xrange(deadLetterKey(deadLetterKey(stream.key)), "-", "+")) as [
    [string, string[]],
  ];
  expect(fields.filter((field) => field === "@dead")).toHaveLength(1);
  expect(note).toMatchObject({ stream: deadLetterKey(stream.key), group: "h", id: letter!.id });
  expect(await place.db.exists(`${deadLetterKey(stream.key)}:dead`)).toBe(1);
});

test("GroupMessage.retry – it waits under @retry:<ms>, its delivery counted", async () => {
  const { stream, messages } = await make(5);
  expect(await messages[0]!.retry({ delay: 1234 })).toBe(true);
  expect(await messages[1]!.retry({ delay: { minutes: 1 } })).toBe(true);
  expect(await messages[2]!.retry()).toBe(true);
  expect(await messages[3]!.retry({ delay: 0.2 })).toBe(true);
  expect(await held(stream)).toEqual([
    "1-0 @retry:1300 1",
    "2-0 @retry:60000 1",
    "3-0 @retry:0 1",
    "4-0 @retry:0 1",
    "5-0 alice 1",
  ]);
  expect(() => messages[4]!.retry({ delay: -1 })).toThrow(InvalidArgumentError);
  expect(() => messages[4]!.retry({ after: 5 } as never)).toThrow(InvalidArgumentError);
  expect(await messages[4]!.retry({ delay: 99 })).toBe(true); // A refused option leaves it open.
});

test("GroupMessage.retry – its idle time begins anew", async () => {
  const { stream, messages } = await make(1);
  await age(stream, 3_600_000);
  await messages[0]!.retry({ delay: 5000 });
  expect((await stream.pending())[0]!.idle).toBeLessThan(5000);
});

test("GroupMessage.extend – the idle time begins again, the delivery count stays", async () => {
  const { stream, messages } = await make(1);
  await age(stream, 3_600_000);
  expect((await stream.pending())[0]!.idle).toBeGreaterThanOrEqual(3_600_000);
  expect(await messages[0]!.extend()).toBe(true);
  expect(await messages[0]!.extend()).toBe(true);
  const [entry] = await stream.pending();
  expect(entry!.idle).toBeLessThan(60_000);
  expect(entry!.deliveries).toBe(1);
  await messages[0]!.ack();
  expect(await held(stream)).toEqual([]);
});

test("GroupMessage – a second verb is a SettledError, whichever they are", async () => {
  const verbs: ((message: GroupMessage<Text>) => Promise<unknown>)[] = [
    (message) => message.ack(),
    (message) => message.retry({ delay: 1000 }),
    (message) => message.reject("bad"),
  ];
  const { stream, messages } = await make(3);
  for (const [i, message] of messages.entries()) {
    const first = verbs[i]!(message);
    for (const verb of [...verbs, (settled: GroupMessage<Text>) => settled.extend()])
      expect((await failure(verb(message), SettledError)).id).toBe(message.id);
    await first;
    for (const verb of verbs) await failure(verb(message), SettledError);
  }
  expect(await held(stream)).toEqual(["2-0 @retry:1000 1"]);
  expect(await graves(stream.key)).toHaveLength(1);
});

test("GroupMessage – taken over by another consumer: the verbs give false and change nothing", async () => {
  const { stream, bob, messages } = await make(3);
  await bob.claim(ids(3));
  const [reject, retry, extend] = messages as [GroupMessage<Text>, GroupMessage<Text>, GroupMessage<Text>];
  await age(bob, 3_600_000, "3-0");
  expect(await reject.reject("late")).toBe(false);
  expect(await retry.retry()).toBe(false);
  expect(await extend.extend()).toBe(false);
  expect(await held(stream)).toEqual(["1-0 bob 2", "2-0 bob 2", "3-0 bob 2"]);
  expect((await bob.pending({ idle: 3_600_000 })).map(({ id }) => id)).toEqual(["3-0"]);
  expect(await place.db.exists(deadLetterKey(stream.key))).toBe(0);
  await failure(reject.reject("again"), SettledError);
});

test("GroupMessage – taken over without counting a delivery: the verbs give false all the same", async () => {
  const { stream, bob, messages } = await make(3);
  await bob.claim(ids(3), { justId: true });
  await age(bob, 3_600_000, "3-0");
  expect(await messages[0]!.reject("late")).toBe(false);
  expect(await messages[1]!.retry()).toBe(false);
  expect(await messages[2]!.extend()).toBe(false);
  expect(await held(stream)).toEqual(["1-0 bob 1", "2-0 bob 1", "3-0 bob 1"]);
  expect(await bob.pending({ idle: 3_600_000 })).toHaveLength(1);
  expect(await place.db.exists(deadLetterKey(stream.key))).toBe(0);
});

test("GroupMessage – delivered again to the same consumer: the old message's verbs give false", async () => {
  const { stream, messages } = await make(3);
  const again = await stream.claim(ids(3));
  expect(again.map(({ deliveries }) => deliveries)).toEqual([2, 2, 2]);
  expect(await messages[0]!.reject("late")).toBe(false);
  expect(await messages[1]!.retry()).toBe(false);
  expect(await messages[2]!.extend()).toBe(false);
  expect(await held(stream)).toEqual(["1-0 alice 2", "2-0 alice 2", "3-0 alice 2"]);
  expect(await again[0]!.reject("bad")).toBe(true);
  expect(await again[1]!.extend()).toBe(true);
  expect((await graves(stream.key))[0]!.note).toMatchObject({ deliveries: 2 });
});

test("GroupMessage – acknowledged elsewhere: the verbs give false", async () => {
  const { stream, messages } = await make(3);
  await stream.ack(...messages);
  expect(await messages[0]!.reject("late")).toBe(false);
  expect(await messages[1]!.retry()).toBe(false);
  expect(await messages[2]!.extend()).toBe(false);
  expect(await held(stream)).toEqual([]);
  expect(await place.db.exists(deadLetterKey(stream.key))).toBe(0);
});

test("GroupMessage – claimed for another consumer: settled under that name", async () => {
  const { stream } = await make(1);
  const [message] = await stream.claim(["1-0"], { consumer: "carol" });
  expect(await message!.extend()).toBe(true);
  expect(await held(stream)).toEqual(["1-0 carol 2"]);
  expect(await message!.reject("bad")).toBe(true);
  expect((await graves(stream.key))[0]!.note).toMatchObject({ consumer: "carol", deliveries: 2 });
});

test("GroupMessage – trimmed from its stream: it is pending no more, and no dead letter is made up", async () => {
  const { stream, messages } = await make(4);
  await stream.trim({ maxlen: 0, approximate: false });
  expect(await messages[0]!.reject("bad")).toBe(true);
  await messages[1]!.retry({ delay: 5000 });
  await messages[2]!.extend();
  await messages[3]!.ack();
  expect(await held(stream)).toEqual([]);
  expect(await place.db.exists(deadLetterKey(stream.key))).toBe(0);
});

test("GroupMessage – the group is gone: NoSuchGroupError, and the verb may be called again", async () => {
  const { stream, messages } = await make(1);
  await place.db.xgroup("DESTROY", stream.key, "g");
  const [message] = messages;
  expect((await failure(message!.reject("bad"), NoSuchGroupError)).group).toBe("g");
  expect((await failure(message!.retry(), NoSuchGroupError)).stream).toBe(stream.key);
  await failure(message!.extend(), NoSuchGroupError);
  expect(await place.db.exists(deadLetterKey(stream.key))).toBe(0);
});

test("GroupMessage – the server forgets the scripts: every verb still works", async () => {
  const { stream, messages } = await make(3);
  await place.db.script("FLUSH");
  expect(await messages[0]!.reject("bad")).toBe(true);
  await place.db.script("FLUSH");
  expect(await messages[1]!.retry({ delay: 1000 })).toBe(true);
  await place.db.script("FLUSH");
  expect(await messages[2]!.extend()).toBe(true);
  expect(await held(stream)).toEqual(["2-0 @retry:1000 1", "3-0 alice 1"]);
});
