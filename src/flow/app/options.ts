import type { StandardSchemaV1 } from "@standard-schema/spec";
import { assertGivenOptions, assertName, assertOptions } from "../../ground/assert.ts";
import { InvalidArgumentError } from "../../ground/errors.ts";
import { assertSchema } from "../../wire/codec.ts";
import type { GroupMessage, Message } from "../../wire/message.ts";
import type { BatchResult } from "../worker/handler.ts";
import type { BatchOptions, WorkerOptions } from "../worker/options.ts";
import type { Context } from "./context.ts";
import { FAILURES, type Logger, SILENT } from "./log.ts";
import type { ConsumeMiddleware, Middleware } from "./middleware.ts";
import { Publisher, type PublishTarget } from "./publisher.ts";

/** Options that every subscriber of an app or router has where it does not say otherwise. */
export interface SubscriberDefaults
  extends Omit<WorkerOptions, "batch" | "orderBy" | "signal" | "stopOn" | "prefetch"> {
  /** Entries held unstarted; without a group 100. @defaultValue as a {@link Worker} has it */
  readonly prefetch?: number | undefined;
  /** Name of the consumer in its groups. @defaultValue `<app name>-<host>-<random>`, removed when the app stops */
  readonly consumer?: string | undefined;
}

/** Options of an app. */
export interface AppOptions extends SubscriberDefaults {
  /** Its name: consumers and the stream of its replies are named by it. */
  readonly name: string;
  /**
   * Where it tells what happens: pino's loggers and `console` fit. `false` is nowhere.
   * @defaultValue failures (`warn` and `error`) on standard error
   */
  readonly log?: Logger | false | undefined;
}

/** Options of a router. */
export interface RouterOptions extends SubscriberDefaults {
  /** What stands before the names of its streams, those in `publishTo` too. @defaultValue nothing */
  readonly prefix?: string | undefined;
}

/** Options of any subscriber. */
export interface SharedSubscriberOptions<T> {
  /** A Standard Schema: judges and types the data. What it refuses goes to the dead letters at once. */
  readonly schema?: StandardSchemaV1<unknown, T> | undefined;
  /**
   * Whether to handle a message, by its data before the schema. Of several subscribers with the same streams and group
   * the first that accepts a message handles it; where none does, that is a failure under the retry policy. Without a
   * group, what is not accepted is left out.
   */
  readonly filter?: ((message: Message<unknown>) => boolean) | undefined;
  /** Where to publish what the handler returns, unless that is `undefined`: a stream, or a publisher. */
  readonly publishTo?: string | PublishTarget | undefined;
  /** Middleware of its own, inside of the router's and the app's. */
  readonly middleware?: readonly (ConsumeMiddleware | Middleware)[] | undefined;
  /** What it is, in a few words; for documents. */
  readonly title?: string | undefined;
  /** What it does; for documents. */
  readonly description?: string | undefined;
}

/** Options of a subscriber that shares its messages with others of its group: those of a {@link Worker}. */
export interface GroupSubscriberOptions<T>
  extends SharedSubscriberOptions<T>,
    SubscriberDefaults,
    Pick<WorkerOptions<unknown>, "orderBy"> {
  /** Name of the group. */
  readonly group: string;
  /** Absent where messages come one at a time. */
  readonly batch?: undefined;
}

/** Options of a subscriber whose handler gets messages in arrays. */
export interface BatchSubscriberOptions<T>
  extends Omit<SharedSubscriberOptions<T>, "publishTo">,
    SubscriberDefaults {
  /** Name of the group. */
  readonly group: string;
  /** How messages are gathered. */
  readonly batch: BatchOptions;
}

/** Options of a subscriber that sees every message, in every instance of its app. */
export interface FanOutSubscriberOptions<T>
  extends SharedSubscriberOptions<T>,
    Pick<WorkerOptions<unknown>, "concurrency" | "timeout" | "prefetch" | "drain" | "from"> {
  /** Absent. */
  readonly group?: undefined;
  /** Absent. */
  readonly batch?: undefined;
}

/** Handles one message of a group; what it returns, unless `undefined`, is published where that is wanted. */
export type GroupSubscriber<T> = (message: GroupMessage<T>, context: Context) => unknown;
/** Handles messages of a group in arrays; gives nothing where all are done, or the messages or ids that are. */
export type BatchSubscriber<T> = (
  messages: GroupMessage<T>[],
  context: Context,
) => BatchResult<T> | Promise<BatchResult<T>>;
/** Handles one message; what it returns, unless `undefined`, is published where that is wanted. */
export type FanOutSubscriber<T> = (message: Message<T>, context: Context) => unknown;

/** Any subscriber's options, as they are worked with. */
export type AnySubscriberOptions = SharedSubscriberOptions<unknown> &
  SubscriberDefaults &
  Pick<WorkerOptions<unknown>, "orderBy" | "batch"> & { readonly group?: string | undefined };

/** Options of a worker that may stand in an app, a router and a subscriber. */
const DEFAULTS: readonly (keyof SubscriberDefaults)[] = [
  ...(["concurrency", "prefetch", "lease", "timeout", "retry", "deadLetter"] as const),
  ...(["ack", "drain", "block", "from", "consumer"] as const),
];
/** Options of a subscriber's worker. */
export const WORKER: readonly (keyof AnySubscriberOptions)[] = [...DEFAULTS, "batch", "orderBy"];
const SHARED: readonly string[] = ["schema", "filter", "publishTo", "middleware", "title", "description"];
/** What a subscriber without a group may say of how it is run. */
const FAN_OUT: readonly string[] = ["concurrency", "timeout", "prefetch", "drain", "from"];

/** Check an app's options, and part them. */
export function appOptions(options: AppOptions): { name: string; log: Logger; defaults: SubscriberDefaults } {
  assertGivenOptions("app", options, ["name", "log", ...DEFAULTS]);
  const { name, log = FAILURES, ...defaults } = options;
  assertName("name", name);
  if (log === false) return { name, log: SILENT, defaults: given(defaults) };
  for (const level of ["debug", "info", "warn", "error"] as const)
    if (typeof log?.[level] !== "function")
      throw new InvalidArgumentError("log", "false, or an object with debug, info, warn and error", log);
  return { name, log, defaults: given(defaults) };
}

/** Check a router's options, and part them. */
export function routerOptions(options: RouterOptions): { prefix: string; defaults: SubscriberDefaults } {
  assertOptions("router", options, ["prefix", ...DEFAULTS]);
  const { prefix = "", ...defaults } = options;
  if (typeof prefix !== "string") throw new InvalidArgumentError("prefix", "a string", prefix);
  return { prefix, defaults: given(defaults) };
}

/** Check what a subscriber says beside its worker's options; gives all that is not `undefined`. */
export function subscriberOptions(options: AnySubscriberOptions): AnySubscriberOptions {
  assertGivenOptions("subscriber", options, ["group", ...SHARED, ...WORKER]);
  const { group, schema, filter, middleware, batch, publishTo } = options;
  if (group !== undefined) assertName("group", group);
  assertSchema(schema);
  if (filter !== undefined && typeof filter !== "function")
    throw new InvalidArgumentError("filter", "a function that gives true or false", filter);
  if (middleware !== undefined && !Array.isArray(middleware))
    throw new InvalidArgumentError("middleware", "a list", middleware);
  if (batch !== undefined && publishTo !== undefined)
    throw new InvalidArgumentError("publishTo", "absent where batch is given", publishTo);
  if (typeof publishTo === "string") assertName("publishTo", publishTo);
  else if (publishTo !== undefined && !(publishTo instanceof Publisher))
    throw new InvalidArgumentError("publishTo", "the key of a stream, or a publisher", publishTo);
  if (group === undefined)
    for (const name of WORKER)
      if (options[name] !== undefined && !FAN_OUT.includes(name))
        throw new InvalidArgumentError(name, "absent where there is no group", options[name]);
  return given(options);
}

/** Options that are given; `undefined` is as if absent, so that it erases no default. */
function given<O extends object>(options: O): O {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as O;
}
