import { Client } from "../../connection/client.ts";
import type { RedisLike } from "../../connection/driver.ts";
import { deadLetterKey } from "../../containers/beside.ts";
import { ConsumerGroup, type GroupOverStreams } from "../../containers/consumer-group.ts";
import { Deliveries } from "../../containers/deliveries.ts";
import { NoSuchGroupError, NoSuchStreamError } from "../../ground/errors.ts";
import { GroupMessage } from "../../wire/message.ts";
import { createGroup } from "../create-group.ts";
import { within } from "../pause.ts";
import { pinned, positionOf } from "../source.ts";
import { Counters, type WorkerMetrics } from "../worker/counters.ts";
import type { BatchHandler, Handler } from "../worker/handler.ts";
import { goneAfter } from "../worker/name.ts";
import {
  type BatchOptions,
  type DeadLetterFunction,
  type WorkerOptions,
  workerSettings,
} from "../worker/options.ts";
import { Worker } from "../worker/worker.ts";
import { content } from "./content.ts";
import type { Dispatch } from "./dispatch.ts";
import type { Logger } from "./log.ts";
import type { Sharing } from "./subscription.ts";
import { type Level, persist, report, type Unit } from "./unit.ts";

/** What a group's unit needs of its app. */
export interface GroupUnitHost {
  readonly redis: RedisLike;
  readonly log: Logger;
  readonly sharing: Sharing;
  readonly dispatch: Dispatch;
  /** Name of this instance, for consumers that are given none. */
  readonly instance: string;
  /** With what the names of all instances begin. */
  readonly kind: string;
}

/** What tidying up may take, in milliseconds. */
const MOMENT = 1000;

/** The worker of those who share a group and its streams. */
export class GroupUnit implements Unit {
  readonly streams: readonly string[];
  readonly group: string;
  readonly #host: GroupUnitHost;
  readonly #client: Client;
  readonly #consumer: string;
  readonly #idle = new Counters();
  #worker: Worker<unknown> | null = null;
  #reported: Promise<void> = Promise.resolve();
  #view: GroupOverStreams<string, unknown, unknown> | null = null;

  /** Nothing is sent before it is opened. */
  constructor(host: GroupUnitHost) {
    const { sharing, redis, instance } = host;
    this.#host = host;
    this.#client = Client.of(redis);
    this.streams = sharing.streams;
    this.group = sharing.group;
    this.#consumer = sharing.consumer ?? instance;
  }

  get isRunning(): boolean {
    return this.#worker?.isRunning ?? false;
  }

  async open(signal: AbortSignal): Promise<void> {
    const { redis, sharing, dispatch, log } = this.#host;
    const { from = "earliest", ...options } = sharing.worker;
    const starts = new Map(this.streams.map((key) => [key, positionOf(from)]));
    // Where the group is made again, it begins where it began: what came meanwhile is not missed.
    const begins = await persist(
      async () => {
        const positions = await pinned(this.#client, starts, signal);
        await createGroup(this.#client, this.group, positions, signal);
        return positions;
      },
      signal,
      log,
    );
    const keys = Object.fromEntries(begins);
    const group = new ConsumerGroup(redis, this.group, keys, { consumer: this.#consumer, codec: content });
    this.#view = group;
    const deadLetter = this.#telling(options.deadLetter);
    if (options.batch === undefined)
      this.#worker = new Worker(group, dispatch.one as Handler<unknown>, { ...options, deadLetter });
    else {
      const settings = { ...options, deadLetter } as WorkerOptions & { readonly batch: BatchOptions };
      this.#worker = new Worker(group, dispatch.many as unknown as BatchHandler<unknown>, settings);
    }
    const { streams } = this;
    this.#reported = report(this.#worker.status(), { streams, group: this.group }, log);
    await within(MOMENT, this.#tidy());
  }

  run(): Promise<void> {
    return this.#worker!.run();
  }

  async stop(): Promise<void> {
    await this.#worker?.stop();
    await this.#reported;
  }

  async leave(): Promise<void> {
    if (this.#worker === null || this.#host.sharing.consumer !== null) return;
    await within(MOMENT, this.#removeIdle(this.#consumer, 0));
  }

  metrics(): WorkerMetrics {
    return this.#worker?.metrics() ?? this.#idle.snapshot();
  }

  levels(): Promise<Level[]> {
    return Promise.all(this.streams.map((stream) => this.#levelOf(stream)));
  }

  async #levelOf(stream: string): Promise<Level> {
    const unknown = { stream, lag: null, pending: null };
    try {
      const groups = (await this.#view?.streams[stream]?.groupsInfo()) ?? [];
      const own = groups.find(({ name }) => name === this.group);
      return own === undefined ? unknown : { stream, lag: own.lag, pending: own.pending };
    } catch (error) {
      if (error instanceof NoSuchGroupError || error instanceof NoSuchStreamError) return unknown;
      throw error;
    }
  }

  /** The worker asks for the dead letters' key when a message is given up: then a requester is told. */
  #telling(deadLetter: WorkerOptions["deadLetter"]): DeadLetterFunction {
    return (entry, error) => {
      const own = typeof deadLetter === "function" ? deadLetter(entry, error) : deadLetter;
      if (entry instanceof GroupMessage) this.#host.dispatch.failed(entry, error);
      return own ?? deadLetterKey(entry.stream);
    };
  }

  /** Remove the consumers that earlier instances have left. */
  async #tidy(): Promise<void> {
    const { sharing, kind } = this.#host;
    if (sharing.consumer !== null) return;
    const { lease } = workerSettings(sharing.worker);
    await this.#removeIdle(kind, goneAfter(lease));
  }

  async #removeIdle(prefix: string, idle: number): Promise<void> {
    await Promise.all(
      this.streams.map((key) =>
        new Deliveries(this.#client, key, this.group, this.#consumer).removeIdle(prefix, idle),
      ),
    );
  }
}
