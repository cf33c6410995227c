import { expect, test } from "vitest";
import * as errors from "../../src/ground/errors.ts";
import { replyError, describe as show, WalrusError } from "../../src/ground/errors.ts";

const entry = { stream: "s", id: "1-1", fields: {} };
const cause = new Error("cause");

/** Every error there is, its code and whether it is retriable. */
const ALL: readonly [WalrusError, string, boolean][] = [
  [new errors.InvalidArgumentError("count", "a number", "x", { cause }), "INVALID_ARGUMENT", false],
  [new errors.DecodeError(entry, [{ message: "no" }], { cause }), "DECODE", false],
  [new errors.ReplyError("ERR no", { cause }), "REPLY", false],
  [new errors.WrongTypeError("WRONGTYPE no", { cause }), "WRONG_TYPE", false],
  [new errors.GroupExistsError("BUSYGROUP no", { cause }), "GROUP_EXISTS", false],
  [new errors.NoSuchGroupError("NOGROUP no", { cause }), "NO_SUCH_GROUP", false],
  [new errors.NoSuchStreamError("ERR no such key", { cause }), "NO_SUCH_STREAM", false],
  [new errors.ConnectionLostError("lost", { cause }), "CONNECTION_LOST", true],
  [new errors.ClosedError("closed", { cause }), "CLOSED", false],
  [new errors.ProtocolError("bad", { cause }), "PROTOCOL", false],
  [new errors.HandlerTimeoutError(5, { cause }), "HANDLER_TIMEOUT", true],
  [new errors.RetryError({ cause }), "RETRY", true],
  [new errors.RejectError("bad", { cause }), "REJECT", false],
  [new errors.SettledError("1-1", { cause }), "SETTLED", false],
  [new errors.LeaseLostError("s", "1-1", { cause }), "LEASE_LOST", false],
  [new errors.UnhandledError("s", "1-1", { cause }), "UNHANDLED", false],
  [new errors.RequestTimeoutError("s", 5, { cause }), "REQUEST_TIMEOUT", true],
  [new errors.RequestFailedError("s", { name: "E", message: "no" }, { cause }), "REQUEST_FAILED", false],
];

test("WalrusError – the list above is whole", () => {
  const classes = Object.values(errors).filter(
    (one) => typeof one === "function" && one.prototype instanceof WalrusError,
  );
  expect(new Set(ALL.map(([error]) => error.constructor))).toEqual(new Set(classes));
});

test.each(ALL.map(([error, code, retriable]) => [error.name, error, code, retriable] as const))(
  "%s – name, code, retriable, cause, and an Error all the way",
  (name, error, code, retriable) => {
    expect(name).toBe(error.constructor.name);
    expect(error).toMatchObject({ code, retriable, cause });
    expect(error).toBeInstanceOf(WalrusError);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toBe(`${name}: ${error.message}`);
    expect(error.stack).toContain("errors.test.ts");
  },
);

test("WalrusError – no cause where none was given, and undefined where that was", () => {
  expect("cause" in new errors.ClosedError("closed")).toBe(false);
  expect("cause" in new errors.ClosedError("closed", { cause: undefined })).toBe(true);
});

test.each([
  errors.WrongTypeError,
  errors.GroupExistsError,
  errors.NoSuchGroupError,
  errors.NoSuchStreamError,
])("ReplyError – $name is one", (type) => {
  expect(new type("ERR x")).toBeInstanceOf(errors.ReplyError);
});

test("InvalidArgumentError – argument, rule and value", () => {
  const error = new errors.InvalidArgumentError("data.total", "a number", [1]);
  expect(error).toMatchObject({ argument: "data.total", rule: "a number", value: [1] });
  expect(error.message).toBe("data.total must be a number, got an array of 1");
});

test.each<[string, errors.DecodeIssue[], string]>([
  ["one issue", [{ message: "bad" }], "does not decode: bad"],
  [
    "an issue with a path",
    [{ message: "bad", path: ["a", 0, Symbol("x")] }],
    "does not decode at a.0.Symbol(x): bad",
  ],
  ["an issue with an empty path", [{ message: "bad", path: [] }], "does not decode: bad"],
  ["several: the first", [{ message: "one", path: ["a"] }, { message: "two" }], "does not decode at a: one"],
  ["none", [], "does not decode: no reason given"],
])("DecodeError – %s", (_, issues, text) => {
  const error = new errors.DecodeError({ stream: 's"1', id: "1-1", fields: {} }, issues);
  expect(error.message).toBe(`entry 1-1 of stream "s\\"1" ${text}`);
  expect(error).toMatchObject({ stream: 's"1', id: "1-1", issues, decoded: [] });
});

const NO_KEY =
  "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.";

test.each<[string, string, string, string, boolean]>([
  [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "WrongTypeError",
    "WRONG_TYPE",
    "WRONGTYPE",
    false,
  ],
  [
    "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
    "NoSuchGroupError",
    "NO_SUCH_GROUP",
    "NOGROUP",
    false,
  ],
  [
    "NOGROUP No such consumer group 'g' for key name 's'",
    "NoSuchGroupError",
    "NO_SUCH_GROUP",
    "NOGROUP",
    false,
  ],
  ["BUSYGROUP Consumer Group name already exists", "GroupExistsError", "GROUP_EXISTS", "BUSYGROUP", false],
  ["ERR no such key", "NoSuchStreamError", "NO_SUCH_STREAM", "ERR", false],
  [NO_KEY, "NoSuchStreamError", "NO_SUCH_STREAM", "ERR", false],
  [
    "ERR The ID specified in XADD is equal or smaller than the target stream top item",
    "ReplyError",
    "REPLY",
    "ERR",
    false,
  ],
  ["NOAUTH Authentication required.", "ReplyError", "REPLY", "NOAUTH", false],
  [
    "WRONGPASS invalid username-password pair or user is disabled.",
    "ReplyError",
    "REPLY",
    "WRONGPASS",
    false,
  ],
  ["NOPERM this user has no permissions to run the 'xadd' command", "ReplyError", "REPLY", "NOPERM", false],
  ["MOVED 3999 127.0.0.1:6381", "ReplyError", "REPLY", "MOVED", false],
  ["CROSSSLOT Keys in request don't hash to the same slot", "ReplyError", "REPLY", "CROSSSLOT", false],
  ["LOADING Redis is loading the dataset in memory", "ReplyError", "REPLY", "LOADING", true],
  ["BUSY Redis is busy running a script.", "ReplyError", "REPLY", "BUSY", true],
  ["TRYAGAIN Multiple keys request during rehashing of slot", "ReplyError", "REPLY", "TRYAGAIN", true],
  ["CLUSTERDOWN Hash slot not served", "ReplyError", "REPLY", "CLUSTERDOWN", true],
  ["MASTERDOWN Link with MASTER is down", "ReplyError", "REPLY", "MASTERDOWN", true],
  ["READONLY You can't write against a read only replica.", "ReplyError", "REPLY", "READONLY", true],
  ["NOREPLICAS Not enough good replicas to write.", "ReplyError", "REPLY", "NOREPLICAS", true],
  ["OOM command not allowed when used memory > 'maxmemory'.", "ReplyError", "REPLY", "OOM", true],
  ["UNKILLABLE Sorry the script already executed write commands", "ReplyError", "REPLY", "UNKILLABLE", true],
  ["Protocol error, in lower case", "ReplyError", "REPLY", "ERR", false],
  ["OOM", "ReplyError", "REPLY", "OOM", true],
  ["", "ReplyError", "REPLY", "ERR", false],
])("replyError – %s", (text, name, code, prefix, retriable) => {
  const error = replyError(text, { cause, command: "XADD", stream: "s", group: "g", ids: ["1-1"] });
  expect(error).toBeInstanceOf(errors.ReplyError);
  expect(error).toMatchObject({ name, code, prefix, retriable, message: text, cause });
  expect(error).toMatchObject({ command: "XADD", stream: "s", streams: ["s"], group: "g", ids: ["1-1"] });
});

test("ReplyError – facts that are not known are null and empty", () => {
  expect(replyError("ERR x")).toMatchObject({
    command: null,
    stream: null,
    streams: [],
    group: null,
    ids: [],
  });
});

test("ReplyError – several streams: the first is the stream", () => {
  expect(replyError("NOGROUP x", { streams: ["a", "b"] })).toMatchObject({
    stream: "a",
    streams: ["a", "b"],
  });
});

test("ConnectionLostError – the ids that are known to be stored", () => {
  expect(new errors.ConnectionLostError("lost").ids).toEqual([]);
  expect(new errors.ConnectionLostError("lost", { ids: ["1-1"] }).ids).toEqual(["1-1"]);
});

test("RetryError, RejectError, HandlerTimeoutError – what the handler said", () => {
  expect(new errors.RetryError()).toMatchObject({
    delay: null,
    message: "the handler asked for another delivery",
  });
  expect(new errors.RetryError({ delay: 0, message: "later" })).toMatchObject({ delay: 0, message: "later" });
  expect(new errors.RejectError("no such sku")).toMatchObject({
    reason: "no such sku",
    message: "the handler rejected the message: no such sku",
  });
  expect(new errors.HandlerTimeoutError(50)).toMatchObject({
    timeout: 50,
    message: "the handler did not end within 50 ms",
  });
});

class Odd {}

test.each<[unknown, string]>([
  [null, "null"],
  [undefined, "undefined"],
  ['a\n"b"', '"a\\n\\"b\\""'],
  ["x".repeat(61), `"${"x".repeat(57)}..."`],
  ["x".repeat(60), `"${"x".repeat(60)}"`],
  [-1.5, "-1.5"],
  [Number.NaN, "NaN"],
  [5n, "5n"],
  [true, "true"],
  [Symbol("s"), "Symbol(s)"],
  [function f() {}, "function f"],
  [() => 1, "function (anonymous)"],
  [[1, 2], "an array of 2"],
  [new Date(0), "1970-01-01T00:00:00.000Z"],
  [new Date(Number.NaN), "an invalid Date"],
  [{ secret: 1 }, "an object"],
  [Object.create(null), "an object"],
  [new Map(), "an object of class Map"],
  [new Odd(), "an object of class Odd"],
  [Buffer.from("x"), "an object of class Buffer"],
  [{ constructor: "x" }, "an object"],
  [{ constructor: { name: Symbol("x") } }, "an object"],
  [new (class {})(), "an object"],
])("describe – case %#: %o is %s", (value, text) => {
  expect(show(value)).toBe(text);
});

test("describe – a getter in its way is not called", () => {
  const value = {
    get constructor(): never {
      throw new Error("called");
    },
  };
  expect(show(value)).toBe("an object");
});
