import { inspect } from "node:util";
import { expect, test } from "vitest";
import { GroupMessage, Message } from "../../src/index.ts";
import { NO_HEADERS } from "../../src/wire/codec.ts";

const ID = "1514872800000-3";
const HEADERS = { region: "eu" };

/** A message of the group `g`, and the ids that were acknowledged through it. */
function delivered(headers: Readonly<Record<string, string>> = NO_HEADERS) {
  const acked: string[] = [];
  const ack = async ({ id }: { id: string }) => void acked.push(id);
  const delivery = { group: "g", consumer: "g.c1", ack } as unknown as ConstructorParameters<
    typeof GroupMessage
  >[5];
  return { message: new GroupMessage("s1", ID, { temp: "7.1" }, headers, 2, delivery), acked };
}

test("Message – what it was made of, and the parts of its id", () => {
  const data = { temp: "7.1" };
  const message = new Message("s1", ID, data, HEADERS);
  expect(message).toMatchObject({ stream: "s1", id: ID, sequence: 3 });
  expect(message.data).toBe(data);
  expect(message.headers).toBe(HEADERS);
  expect(message.timestamp).toEqual(new Date("2018-01-02T06:00:00Z"));
});

test("Message.timestamp – a Date of one's own: changing it changes nothing", () => {
  const message = new Message("s1", ID, {});
  message.timestamp.setTime(0);
  expect(message.timestamp.getTime()).toBe(1_514_872_800_000);
});

test("Message.sequence – above 2^53 the nearest number, the id stays exact", () => {
  const message = new Message("s1", "5-18446744073709551615", {});
  expect(message.sequence).toBe(2 ** 64);
  expect(message.id).toBe("5-18446744073709551615");
});

test("Message.headers – frozen and empty where there are none", () => {
  const { headers } = new Message("s1", ID, {});
  expect(headers).toEqual({});
  expect(Object.isFrozen(headers)).toBe(true);
  expect(() => Object.assign(headers, { a: "1" })).toThrow(TypeError);
});

test("Message.toJSON – a plain object with all parts", () => {
  const message = new Message("s1", ID, { temp: "7.1" }, HEADERS);
  expect(message.toJSON()).toEqual({
    stream: "s1",
    id: ID,
    timestamp: new Date(1_514_872_800_000),
    sequence: 3,
    data: { temp: "7.1" },
    headers: { region: "eu" },
  });
  expect(JSON.parse(JSON.stringify(message))).toMatchObject({
    timestamp: "2018-01-02T06:00:00.000Z",
    data: { temp: "7.1" },
  });
});

test.each<[string, unknown, Readonly<Record<string, string>>, string]>([
  ["text", { temp: "7.1" }, NO_HEADERS, `<Message s1 ${ID} { temp: '7.1' }>`],
  ["headers", { a: "1" }, HEADERS, `<Message s1 ${ID} { a: '1' } { region: 'eu' }>`],
  ["no object", 7, NO_HEADERS, `<Message s1 ${ID} 7>`],
  ["a Map", new Map([["a", 1]]), NO_HEADERS, `<Message s1 ${ID} Map(1) { 'a' => 1 }>`],
])("Message – as it is printed, %s", (_, data, headers, text) => {
  expect(inspect(new Message("s1", ID, data, headers))).toBe(text);
});

test("Message – printed with the caller's options", () => {
  const message = new Message("s1", ID, { a: { b: { c: { d: 1 } } } });
  expect(inspect(message, { depth: 0, colors: false })).toContain("[Object]");
  expect(inspect(message, { depth: null })).toContain("d: 1");
  expect(inspect(message, { colors: true })).toContain("\u001b[");
  expect(inspect([message])).toContain(`<Message s1 ${ID} `);
});

test("GroupMessage – a message that knows its group, consumer and deliveries", () => {
  const { message } = delivered(HEADERS);
  expect(message).toBeInstanceOf(Message);
  expect(message).toMatchObject({ group: "g", consumer: "g.c1", deliveries: 2, headers: HEADERS });
  expect(inspect(message)).toBe(`<GroupMessage s1 ${ID} { temp: '7.1' } { region: 'eu' }>`);
});

test("GroupMessage.ack – its own id, through the delivery", async () => {
  const { message, acked } = delivered();
  await message.ack();
  expect(acked).toEqual([ID]);
});

test("GroupMessage.toJSON – all parts of a message, and the group's", () => {
  const { message } = delivered();
  expect(message.toJSON()).toEqual({
    ...new Message("s1", ID, { temp: "7.1" }).toJSON(),
    group: "g",
    consumer: "g.c1",
    deliveries: 2,
  });
  expect(JSON.stringify(message)).not.toContain("delivery");
});
