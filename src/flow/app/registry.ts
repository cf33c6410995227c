import type { StandardSchemaV1 } from "@standard-schema/spec";
import { Client } from "../../connection/client.ts";
import type { RedisLike } from "../../connection/driver.ts";
import { ClosedError, InvalidArgumentError } from "../../ground/errors.ts";
import { Outlet } from "./outlet.ts";
import { Sharing, type Subscriber } from "./subscription.ts";

/** What an app publishes, for documents. */
export interface Publication {
  /** Key of the stream. */
  readonly stream: string;
  /** Judges and types the data; `null` where there is none. */
  readonly schema: StandardSchemaV1 | null;
  /** What it is, in a few words. */
  readonly title: string | null;
  /** What it publishes. */
  readonly description: string | null;
}

/** All that an app and its routers have registered, and where their values leave. */
export class Registry {
  /** Where values leave. */
  readonly outlet: Outlet;
  /** What is subscribed to. */
  readonly subscribers: Subscriber[] = [];
  /** What is published by publishers. */
  readonly publications: Publication[] = [];
  /** Those that share a group's worker. */
  readonly sharings: Sharing[] = [];
  readonly #client: Client;
  #isClosed = false;

  /** Of one app. */
  constructor(redis: RedisLike) {
    this.outlet = new Outlet(redis);
    this.#client = Client.of(redis);
  }

  /** Take no more subscribers and middleware: the app starts. */
  close(): void {
    this.#isClosed = true;
  }

  /** Refuse what comes too late. */
  assertOpen(what: string): void {
    if (this.#isClosed) throw new ClosedError(`${what} is to be called before the app starts`);
  }

  /** Add a subscriber. Throws InvalidArgumentError where it does not go with those that are there. */
  add(subscriber: Subscriber): void {
    this.assertOpen("subscriber");
    const { group, streams } = subscriber;
    if (group !== null) this.#share(group, streams, subscriber);
    this.subscribers.push(subscriber);
  }

  #share(group: string, streams: readonly string[], subscriber: Subscriber): void {
    const akin = this.sharings.find(
      (one) => one.group === group && one.streams.some((key) => streams.includes(key)),
    );
    const isSame =
      akin?.streams.length === streams.length && akin.streams.every((key) => streams.includes(key));
    if (akin !== undefined && !isSame) {
      const rule = `the same for all subscribers of group ${group}, or none in common (${akin.streams.join(", ")})`;
      throw new InvalidArgumentError("stream", rule, streams.join(", "));
    }
    const sharing = akin ?? new Sharing(group, streams);
    sharing.add(subscriber, this.#client);
    if (akin === undefined) this.sharings.push(sharing);
  }
}
