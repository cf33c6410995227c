import type { Duration } from "date-fns";

/** Facts that any error may carry beside its message. */
export interface WalrusErrorOptions {
  /** What caused it, as ioredis or the network gave it. */
  readonly cause?: unknown;
}

/**
 * The base of every error this library throws.
 *
 * `code` is stable over releases; texts are not. `retriable` says whether the same call may succeed
 * later without a change by the caller.
 */
export abstract class WalrusError extends Error {
  /** A stable name for programs, such as `"NO_SUCH_GROUP"`. */
  abstract readonly code: string;
  /** Whether the same call may succeed later as it is. */
  readonly retriable: boolean = false;

  /** Make an error with its text and cause; subclasses add their facts. */
  constructor(message: string, options: WalrusErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = new.target.name;
  }
}

/** An argument or option that cannot be used; nothing was sent to the server. */
export class InvalidArgumentError extends WalrusError {
  /** `"INVALID_ARGUMENT"`. */
  readonly code = "INVALID_ARGUMENT";
  /** The argument, option or field that was refused, such as `"count"` or `"data.total"`. */
  readonly argument: string;
  /** What it must be, in words. */
  readonly rule: string;
  /** The value that was refused. */
  readonly value: unknown;

  /** Say which argument broke which rule with which value. */
  constructor(argument: string, rule: string, value: unknown, options: WalrusErrorOptions = {}) {
    super(`${argument} must be ${rule}, got ${describe(value)}`, options);
    this.argument = argument;
    this.rule = rule;
    this.value = value;
  }
}

/** One finding of a schema: what is wrong and where. */
export interface DecodeIssue {
  /** What is wrong, in words. */
  readonly message: string;
  /** Keys from the value's root to the place; absent for the whole value. */
  readonly path?: readonly PropertyKey[];
}

/**
 * An entry whose payload its codec or schema refuses.
 *
 * The entry is untouched on the server (a group's entry stays pending). `decoded` holds the messages of
 * the same reply that did decode, in order: a group read has delivered them, so they are given here
 * rather than lost.
 */
export class DecodeError extends WalrusError {
  /** `"DECODE"`. */
  readonly code = "DECODE";
  /** Key of the stream, without `keyPrefix`. */
  readonly stream: string;
  /** Id of the entry. */
  readonly id: string;
  /** The entry as it is stored: field name to bytes (the last one where a name repeats). */
  readonly fields: Readonly<Record<string, Uint8Array>>;
  /** What is wrong: one issue from a codec, any number from a schema. */
  readonly issues: readonly DecodeIssue[];
  /** The messages of the same reply that decoded. */
  readonly decoded: readonly unknown[];

  /** Describe an entry that could not be decoded. */
  constructor(
    entry: {
      readonly stream: string;
      readonly id: string;
      readonly fields: Readonly<Record<string, Uint8Array>>;
    },
    issues: readonly DecodeIssue[],
    options: WalrusErrorOptions & { readonly decoded?: readonly unknown[] } = {},
  ) {
    const first = issues[0];
    const at = first?.path?.length ? ` at ${first.path.map(String).join(".")}` : "";
    super(
      `entry ${entry.id} of stream ${JSON.stringify(entry.stream)} does not decode${at}: ${first?.message ?? "no reason given"}`,
      options,
    );
    this.stream = entry.stream;
    this.id = entry.id;
    this.fields = entry.fields;
    this.issues = issues;
    this.decoded = options.decoded ?? [];
  }
}

/** Facts of an error reply that this library reads. */
export interface ReplyErrorOptions extends WalrusErrorOptions {
  /** The command that was refused, such as `"XADD"`. */
  readonly command?: string | undefined;
  /** The key the command named, without `keyPrefix`. */
  readonly stream?: string | undefined;
  /** The group the command named. */
  readonly group?: string | undefined;
  /** Several keys, where the command named more than one. */
  readonly streams?: readonly string[] | undefined;
  /** Ids of the entries that were stored all the same, for a batch. */
  readonly ids?: readonly string[] | undefined;
}

/** The server refused a command; also the base of the refusals that have a class of their own. */
export class ReplyError extends WalrusError {
  /** `"REPLY"`, or the subclass's own. */
  readonly code: string = "REPLY";
  override readonly retriable: boolean;
  /** The first word of the server's text: `"OOM"`, `"NOAUTH"`, `"ERR"`. */
  readonly prefix: string;
  /** The command that was refused, where known. */
  readonly command: string | null;
  /** The key the command named, where there was one. */
  readonly stream: string | null;
  /** Every key the command named. */
  readonly streams: readonly string[];
  /** The group the command named, where there was one. */
  readonly group: string | null;
  /** Ids of the entries that were stored all the same, for a batch; `[]` otherwise. */
  readonly ids: readonly string[];

  /** Wrap the server's text. */
  constructor(text: string, options: ReplyErrorOptions = {}) {
    super(text, options);
    this.prefix = /^[A-Z]+(?= |$)/.exec(text)?.[0] ?? "ERR";
    this.retriable = RETRIABLE.has(this.prefix);
    this.command = options.command ?? null;
    this.streams = options.streams ?? (options.stream === undefined ? [] : [options.stream]);
    this.stream = options.stream ?? this.streams[0] ?? null;
    this.group = options.group ?? null;
    this.ids = options.ids ?? [];
  }
}

/** The key holds another type than a stream (`WRONGTYPE`); it was not touched. */
export class WrongTypeError extends ReplyError {
  /** `"WRONG_TYPE"`. */
  override readonly code = "WRONG_TYPE";
}

/** The consumer group exists already (`BUSYGROUP`). */
export class GroupExistsError extends ReplyError {
  /** `"GROUP_EXISTS"`. */
  override readonly code = "GROUP_EXISTS";
}

/** The consumer group, or the stream it should be on, is missing (`NOGROUP`). */
export class NoSuchGroupError extends ReplyError {
  /** `"NO_SUCH_GROUP"`. */
  override readonly code = "NO_SUCH_GROUP";
}

/** The stream is missing where the command needs it. */
export class NoSuchStreamError extends ReplyError {
  /** `"NO_SUCH_STREAM"`. */
  override readonly code = "NO_SUCH_STREAM";
}

/**
 * The connection went away, could not be made, or gave no answer in time.
 *
 * What was sent may or may not have been carried out: an add that ends so may be in the stream.
 */
export class ConnectionLostError extends WalrusError {
  /** `"CONNECTION_LOST"`. */
  readonly code = "CONNECTION_LOST";
  override readonly retriable: boolean = true;
  /** Ids of the entries that the server had confirmed before, for a batch; `[]` otherwise. */
  readonly ids: readonly string[];
  /** Whether the request may have been carried out; false where no connection could be made for it. */
  readonly isSent: boolean;

  /** Say what was lost. */
  constructor(
    message: string,
    options: WalrusErrorOptions & { readonly ids?: readonly string[]; readonly isSent?: boolean } = {},
  ) {
    super(message, options);
    this.ids = options.ids ?? [];
    this.isSent = options.isSent ?? true;
  }
}

/** The object, or the database under it, was closed by its owner. */
export class ClosedError extends WalrusError {
  /** `"CLOSED"`. */
  readonly code = "CLOSED";
}

/** A reply that is not the protocol, or not the shape its command gives; the connection was dropped. */
export class ProtocolError extends WalrusError {
  /** `"PROTOCOL"`. */
  readonly code = "PROTOCOL";
}

/** A handler ran past its `timeout`; the delivery counts as failed. */
export class HandlerTimeoutError extends WalrusError {
  /** `"HANDLER_TIMEOUT"`. */
  readonly code = "HANDLER_TIMEOUT";
  override readonly retriable: boolean = true;
  /** The time it had, in milliseconds. */
  readonly timeout: number;

  /** Say how long the handler had. */
  constructor(timeout: number, options: WalrusErrorOptions = {}) {
    super(`the handler did not end within ${timeout} ms`, options);
    this.timeout = timeout;
  }
}

/** Thrown by a handler to have its message delivered again, after a delay of its own choice. */
export class RetryError extends WalrusError {
  /** `"RETRY"`. */
  readonly code = "RETRY";
  override readonly retriable: boolean = true;
  /** Milliseconds or a `Duration` until the next delivery; `null` leaves it to the retry schedule. */
  readonly delay: number | Duration | null;

  /** Ask for another delivery. Throws {@link InvalidArgumentError} for a delay that is negative or no number. */
  constructor(
    options: WalrusErrorOptions & {
      readonly delay?: number | Duration | undefined;
      readonly message?: string | undefined;
    } = {},
  ) {
    const { delay = null } = options;
    if (typeof delay === "number" ? !(delay >= 0 && Number.isFinite(delay)) : typeof delay !== "object")
      throw new InvalidArgumentError("delay", "milliseconds of at least 0 or a Duration", delay);
    super(options.message ?? "the handler asked for another delivery", options);
    this.delay = delay;
  }
}

/** Thrown by a handler to send its message to the dead letters at once. */
export class RejectError extends WalrusError {
  /** `"REJECT"`. */
  readonly code = "REJECT";
  /** Why the message is refused, in the handler's words. */
  readonly reason: string;

  /** Refuse a message for good. */
  constructor(reason: string, options: WalrusErrorOptions = {}) {
    super(`the handler rejected the message: ${reason}`, options);
    this.reason = reason;
  }
}

/** A message was settled already: acknowledged, sent to be retried, or rejected; that is done once. */
export class SettledError extends WalrusError {
  /** `"SETTLED"`. */
  readonly code = "SETTLED";
  /** Id of the entry. */
  readonly id: string;

  /** Say which message it was. */
  constructor(id: string, options: WalrusErrorOptions = {}) {
    super(`message ${id} was acknowledged, sent to be retried or rejected already`, options);
    this.id = id;
  }
}

/**
 * An entry is not this worker's any more: it was silent for longer than the lease, and another took the entry over.
 *
 * The reason with which a handler's signal is aborted then.
 */
export class LeaseLostError extends WalrusError {
  /** `"LEASE_LOST"`. */
  readonly code = "LEASE_LOST";
  /** Key of the stream, without `keyPrefix`. */
  readonly stream: string;
  /** Id of the entry. */
  readonly id: string;

  /** Say which entry it was. */
  constructor(stream: string, id: string, options: WalrusErrorOptions = {}) {
    super(
      `the lease of entry ${id} of stream ${JSON.stringify(stream)} ran out, and another took it`,
      options,
    );
    this.stream = stream;
    this.id = id;
  }
}

/** A request had no reply in time; it may have been handled, or still be. */
export class RequestTimeoutError extends WalrusError {
  /** `"REQUEST_TIMEOUT"`. */
  readonly code = "REQUEST_TIMEOUT";
  override readonly retriable: boolean = true;
  /** Key of the stream it was sent to. */
  readonly stream: string;
  /** The time it had, in milliseconds. */
  readonly timeout: number;

  /** Say what was asked, and how long was waited. */
  constructor(stream: string, timeout: number, options: WalrusErrorOptions = {}) {
    super(`no reply from ${JSON.stringify(stream)} within ${timeout} ms`, options);
    this.stream = stream;
    this.timeout = timeout;
  }
}

/** The handler of a request failed for good, at the other side. */
export class RequestFailedError extends WalrusError {
  /** `"REQUEST_FAILED"`. */
  readonly code = "REQUEST_FAILED";
  /** Key of the stream it was sent to. */
  readonly stream: string;
  /** What the handler threw. */
  readonly remote: {
    /** The error's name. */
    readonly name: string;
    /** The error's message. */
    readonly message: string;
  };

  /** Say what was asked, and how that ended. */
  constructor(stream: string, remote: { name: string; message: string }, options: WalrusErrorOptions = {}) {
    super(`the request to ${JSON.stringify(stream)} failed: ${remote.name}: ${remote.message}`, options);
    this.stream = stream;
    this.remote = remote;
  }
}

/** No subscriber of a stream and group accepts a message: their filters leave it out. */
export class UnhandledError extends WalrusError {
  /** `"UNHANDLED"`. */
  readonly code = "UNHANDLED";
  /** Key of the stream, without `keyPrefix`. */
  readonly stream: string;
  /** Id of the entry. */
  readonly id: string;

  /** Say which message it was. */
  constructor(stream: string, id: string, options: WalrusErrorOptions = {}) {
    super(`no subscriber accepts message ${id} of stream ${JSON.stringify(stream)}`, options);
    this.stream = stream;
    this.id = id;
  }
}

const RETRIABLE: ReadonlySet<string> = new Set(
  "LOADING BUSY TRYAGAIN CLUSTERDOWN MASTERDOWN READONLY NOREPLICAS MISCONF OOM UNKILLABLE".split(" "),
);

/**
 * Turn the server's error text into the error that stands for it.
 *
 * The one place where Redis's words are read. The texts are those of Redis 7.0 to 8.x and Valkey 7.2 to 9.x
 * (`t_stream.c`, `server.c`). The arguments of an unknown command are left out: a password may be among them.
 */
export function replyError(full: string, options: ReplyErrorOptions = {}): ReplyError {
  const text = full.replace(/, with args beginning with:.*$/s, "");
  if (text.startsWith("WRONGTYPE")) return new WrongTypeError(text, options);
  if (text.startsWith("NOGROUP")) return new NoSuchGroupError(text, options);
  if (text.startsWith("BUSYGROUP")) return new GroupExistsError(text, options);
  if (/^ERR (no such key|The XGROUP subcommand requires the key to exist)/i.test(text))
    return new NoSuchStreamError(text, options);
  return new ReplyError(text, options);
}

/** Show a value in an error text: short, on one line, never throwing. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  switch (typeof value) {
    case "string":
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
    case "bigint":
      return `${value}n`;
    case "number":
    case "boolean":
    case "symbol":
      return String(value);
    case "function":
      return `function ${value.name || "(anonymous)"}`;
    default:
      if (Array.isArray(value)) return `an array of ${value.length}`;
      if (value instanceof Date)
        return Number.isNaN(value.getTime()) ? "an invalid Date" : value.toISOString();
      return `an object${className(value)}`;
  }
}

/** By the prototype, since the value may have a `constructor` of its own: a field of that name. */
function className(value: object): string {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "" && name !== "Object" ? ` of class ${name}` : "";
}
