import { isDeepStrictEqual } from "node:util";
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { Client } from "../../connection/client.ts";
import { assertName } from "../../ground/assert.ts";
import { InvalidArgumentError } from "../../ground/errors.ts";
import {
  assertDeadLetter,
  type WorkerOptions,
  type WorkerSettings,
  workerSettings,
} from "../worker/options.ts";
import type { Context } from "./context.ts";
import { middlewareOf } from "./middleware.ts";
import { type AnySubscriberOptions, subscriberOptions, WORKER } from "./options.ts";
import type { PublishTarget } from "./publisher.ts";
import { Scope } from "./scope.ts";

/** What an app has subscribed to, for documents and measurements. */
export interface Subscription {
  /** Keys of the streams. */
  readonly streams: readonly string[];
  /** Name of the group; `null` where every instance of the app sees every message. */
  readonly group: string | null;
  /** Judges and types the data; `null` where there is none. */
  readonly schema: StandardSchemaV1 | null;
  /** Key of the stream to which results go; `null` where they go nowhere. */
  readonly publishTo: string | null;
  /** Whether the handler gets arrays. */
  readonly isBatch: boolean;
  /** What it is, in a few words. */
  readonly title: string | null;
  /** What it does. */
  readonly description: string | null;
}

/** Messages that a subscriber without a group holds unstarted. */
const AHEAD = 100;

/** A handler of any kind, as it is called. */
export type AnyHandler = (input: never, context: Context) => unknown;

/** One subscriber: what it takes, and what it does with it. */
export class Subscriber implements Subscription {
  readonly streams: readonly string[];
  readonly group: string | null;
  readonly schema: StandardSchemaV1 | null;
  readonly isBatch: boolean;
  readonly title: string | null;
  readonly description: string | null;
  /** Where results go. */
  readonly target: string | PublishTarget | null;
  /** Which messages it takes; `null` for all. */
  readonly filter: AnySubscriberOptions["filter"] | null;
  /** Its handler. */
  readonly handler: AnyHandler;
  /** Its own middleware, inside of that of its router. */
  readonly scope: Scope;
  /** What it says itself of how it is run. */
  readonly own: AnySubscriberOptions;

  /** Check a subscriber at the door; streams are named without the prefix of the scope. */
  constructor(
    scope: Scope,
    streams: string | readonly string[],
    all: AnySubscriberOptions,
    handler: AnyHandler,
  ) {
    const options = subscriberOptions(all);
    if (typeof handler !== "function") throw new InvalidArgumentError("handler", "a function", handler);
    const { group, schema, filter, publishTo, middleware = [], batch, title, description, ...own } = options;
    this.streams = keysOf(streams).map((stream) => scope.prefix + stream);
    this.group = group ?? null;
    this.schema = schema ?? null;
    this.filter = filter ?? null;
    this.target = typeof publishTo === "string" ? scope.prefix + publishTo : (publishTo ?? null);
    this.isBatch = batch !== undefined;
    this.title = title ?? null;
    this.description = description ?? null;
    this.handler = handler;
    this.own = batch === undefined ? own : { ...own, batch };
    this.scope = new Scope(scope, "", {});
    for (const one of middleware) this.scope.use(middlewareOf(one));
    if (group === undefined) void this.fanOut;
  }

  get publishTo(): string | null {
    return typeof this.target === "string" ? this.target : (this.target?.stream ?? null);
  }

  /** How it is run: by what it says itself, and what is said around it. */
  get run(): AnySubscriberOptions {
    return { ...this.scope.options, ...this.own };
  }

  /** How it is run where it has no group; where it begins is not inherited. */
  get fanOut(): WorkerSettings<unknown> {
    const { concurrency, timeout, drain, prefetch = AHEAD } = this.run;
    const { from = "latest" } = this.own;
    const some = Object.entries({ concurrency, timeout, drain, prefetch, from });
    return workerSettings(Object.fromEntries(some.filter(([, value]) => value !== undefined)));
  }
}

/** Subscribers that share their messages, and so one worker. */
export class Sharing {
  /** Name of the group. */
  readonly group: string;
  /** Keys of the streams. */
  readonly streams: readonly string[];
  /** In the order in which they are asked whether they take a message. */
  readonly subscribers: Subscriber[] = [];

  /** What subscribers of these streams and this group share. */
  constructor(group: string, streams: readonly string[]) {
    this.group = group;
    this.streams = streams;
  }

  /** Let another one share. Throws InvalidArgumentError where that makes no sense. */
  add(subscriber: Subscriber, client: Client): void {
    const before = this.subscribers.at(-1);
    const where = `${this.streams.join(", ")} of group ${this.group}`;
    if (before !== undefined && before.filter === null) {
      const rule = `given for all but the last subscriber to ${where}: one before this takes every message`;
      throw new InvalidArgumentError("filter", rule, undefined);
    }
    this.subscribers.push(subscriber);
    try {
      assertDeadLetter(client, this.streams, workerSettings(this.worker).deadLetter);
    } catch (error) {
      this.subscribers.pop();
      throw error;
    }
  }

  /** The name that its consumers are to have, where one is given. */
  get consumer(): string | null {
    return this.#agreed("consumer") ?? null;
  }

  /** Options of the worker. */
  get worker(): WorkerOptions {
    const options: Record<string, unknown> = {};
    for (const name of WORKER) {
      const value = this.#agreed(name);
      if (value !== undefined && name !== "consumer") options[name] = value;
    }
    return options as WorkerOptions;
  }

  /** What the subscribers say, those first that say it themselves. Throws InvalidArgumentError where they differ. */
  #agreed<N extends keyof AnySubscriberOptions>(name: N): AnySubscriberOptions[N] {
    const said = this.subscribers.filter(({ own }) => own[name] !== undefined);
    // A handler of arrays and one of single messages have nothing to agree on.
    const asked = name === "batch" || said.length === 0 ? this.subscribers : said;
    const [value, ...others] = asked.map(({ run }) => run[name]);
    if (!others.every((other) => isDeepStrictEqual(other, value))) {
      const rule = `the same for all subscribers of group ${this.group} to ${this.streams.join(", ")}`;
      throw new InvalidArgumentError(
        name,
        rule,
        others.find((other) => !isDeepStrictEqual(other, value)),
      );
    }
    return value as AnySubscriberOptions[N];
  }
}

function keysOf(streams: string | readonly string[]): readonly string[] {
  const keys: readonly string[] = typeof streams === "string" ? [streams] : streams;
  if (!Array.isArray(keys) || keys.length === 0)
    throw new InvalidArgumentError("stream", "the key of a stream, or a list of keys", streams);
  for (const [i, key] of keys.entries()) {
    assertName("stream", key);
    if (keys.indexOf(key) !== i) throw new InvalidArgumentError("stream", "a list without repeats", key);
  }
  return keys;
}
