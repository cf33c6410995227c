import { errorOf } from "../../ground/thrown.ts";
import { type GroupMessage, isSettled, markSettled } from "../../wire/message.ts";
import { judgeOf } from "./batch-result.ts";
import type { Counters } from "./counters.ts";
import { type BatchHandler, Call, type Handler, type HandlerContext } from "./handler.ts";
import type { WorkerSettings } from "./options.ts";
import type { Chain, Task } from "./task.ts";

/** What the handlers' side of a worker needs of the rest. */
export interface CrewHost<T> {
  readonly settings: WorkerSettings<T>;
  readonly counters: Counters;
  readonly handler: Handler<T> | BatchHandler<T>;
  /** All that is held now, begun or not. */
  held(): Iterable<Task<T>>;
  /** The next message that has not begun, in order also a doubtful one; `null` where there is none. */
  next(now: number): Task<T> | null;
  /** Whether a message is still this worker's; where that is doubtful, the host begins it when it is known. */
  holds(task: Task<T>, now: number): boolean;
  /** Whether a read is to go out: handlers that do not wait let it, so that the server works at the same time. */
  isAsking(): boolean;
  /** Whether more may come soon: a batch then waits to be full. */
  isReading(): boolean;
  /** Acknowledge a message before its handler is called; gives the error with which the server refuses. */
  acknowledge(message: GroupMessage<T>): Promise<Error | null>;
  /** A handler has ended, with an error where that is not `null`. */
  finished(task: Task<T>, error: Error | null): void;
}

/** So long may handlers that do not wait run in one go, in milliseconds; then timers and sockets get their turn. */
const GO = 10;
/** Most messages that wait behind others of their key. */
const MOST_ASIDE = 1000;
/** How long messages wait for the retry of one of their key after it is due, in milliseconds. */
const GRACE = 5000;

/** Calls the handler: so many at once, in batches or in the order of keys where that is asked for. */
export class Crew<T> {
  readonly #host: CrewHost<T>;
  readonly #chains = new Map<unknown, Chain<T>>();
  /** Messages whose turn in their chain has come. */
  readonly #ready: Task<T>[] = [];
  /** Messages that wait behind others of their key, or for their batch to be full. */
  #aside = 0;
  #batch: Task<T>[] = [];
  #batchAt = 0;
  #batchTimer: NodeJS.Timeout | null = null;
  readonly #calls = new Set<Call>();
  #isStarting = false;
  #isYielding = false;

  /** Nothing is called before {@link Crew.start}. */
  constructor(host: CrewHost<T>) {
    this.#host = host;
  }

  /** Calls of the handler that have not ended. */
  get running(): number {
    return this.#calls.size;
  }

  /** Whether nothing runs and nothing is about to; what is set aside waits for the retry of another. */
  get isIdle(): boolean {
    return this.#calls.size === 0 && this.#ready.length === 0 && this.#batch.length === 0;
  }

  /** Messages that wait behind others of their key. */
  get aside(): number {
    return this.#aside;
  }

  /** Start as many handlers as may run. */
  start(): void {
    if (this.#isStarting || this.#isYielding) return;
    this.#isStarting = true;
    const { concurrency, batch } = this.#host.settings;
    const begun = performance.now();
    let now = begun;
    while (this.#calls.size < concurrency) {
      if (now - begun > GO || this.#host.isAsking()) {
        this.#isYielding = true;
        setImmediate(() => {
          this.#isYielding = false;
          this.start();
        });
        break;
      }
      if (!(batch === null ? this.#startOne(now) : this.#startBatch(batch, now))) break;
      now = performance.now();
    }
    this.#isStarting = false;
  }

  /** Abort the handlers that still run. */
  abort(reason: Error): void {
    for (const call of this.#calls) call.abort(reason);
  }

  /** A message whose turn in its chain had come may begin after all. */
  again(task: Task<T>): void {
    this.#ready.push(task);
  }

  /** Take back all that has not begun, `doubtful` ones too. */
  takeBack(doubtful: Iterable<Task<T>> = []): Task<T>[] {
    const turns = [...this.#ready.splice(0), ...doubtful];
    const tasks = [...turns, ...this.#batch.splice(0)];
    for (const [key, chain] of this.#chains) {
      tasks.push(...chain.waiting.splice(0));
      if (chain.retrying !== null) this.#chains.delete(key);
    }
    for (const { chain } of turns) if (chain !== null) this.#chains.delete(chain.key);
    this.#aside = 0;
    this.#endWait();
    return tasks;
  }

  /** The server knows what became of a message: its chain goes on, or waits for its retry. */
  settled(task: Task<T>, waits: number | null): void {
    const { chain } = task;
    if (chain === null || (task.call !== null && this.#calls.has(task.call) && waits === null)) return;
    const place = task.call === null ? chain.waiting.indexOf(task) : -1;
    if (place >= 0) {
      // Its turn had not come: nobody waits for it.
      chain.waiting.splice(place, 1);
      this.#aside--;
      task.chain = null;
    } else if (waits === null) this.#advance(task);
    else {
      // Should its handler still run, the chain is no business of that call any more.
      task.chain = null;
      chain.retrying = task.message;
      chain.until = performance.now() + waits + GRACE;
    }
  }

  /** Let go of chains whose message was due to be retried and did not come: another worker has it, and not this one. */
  giveUp(now: number): void {
    for (const chain of this.#chains.values()) {
      const { retrying } = chain;
      if (retrying === null || now < chain.until) continue;
      const isHere = [...this.#host.held()].some(({ message }) => isSame(retrying, message));
      if (!isHere) this.#next(chain);
    }
  }

  #startOne(now: number): boolean {
    const ready = this.#ready.shift();
    if (ready !== undefined) {
      if (ready.isGone) this.#advance(ready);
      else if (this.#host.holds(ready, now)) this.#callOne(ready, now);
      return true;
    }
    if (this.#aside >= MOST_ASIDE) return false;
    const task = this.#host.next(now);
    if (task === null) return false;
    // In order, one that may be another's by now keeps its place until that is known.
    const isTurn =
      this.#host.settings.orderBy === null || (this.#isTurn(task) && this.#host.holds(task, now));
    if (isTurn) this.#callOne(task, now);
    return true;
  }

  /** Whether it is a message's turn among those of its key; if not, it is set aside. */
  #isTurn(task: Task<T>): boolean {
    let key: unknown;
    try {
      key = this.#host.settings.orderBy!(task.message);
    } catch (thrown) {
      this.#host.finished(task, errorOf(thrown));
      return false;
    }
    const known = this.#chains.get(key);
    task.chain = known ?? { key, waiting: [], retrying: null, until: 0 };
    if (known === undefined) this.#chains.set(key, task.chain);
    else if (isSame(known.retrying, task.message)) known.retrying = null;
    else {
      known.waiting.push(task);
      this.#aside++;
      return false;
    }
    return true;
  }

  #callOne(task: Task<T>, begun: number): void {
    const { message } = task;
    const call = new Call((error) => {
      this.#end(call, 1, begun);
      // By a verb that is still under way, the chain goes on when the server knows.
      const isOpen = error === null && !isSettled(message);
      this.#host.finished(task, error);
      const isOver = isOpen || task.isGone || task.isSettled;
      if (isOver && task.chain !== null) this.#advance(task);
      this.start();
    });
    task.call = call;
    this.#begin(call, 1);
    this.#run(call, message);
  }

  #advance(task: Task<T>): void {
    const { chain } = task;
    task.chain = null;
    if (chain !== null) this.#next(chain);
  }

  /** The next message of a chain has its turn. */
  #next(chain: Chain<T>): void {
    chain.retrying = null;
    const next = chain.waiting.shift();
    if (next === undefined) {
      this.#chains.delete(chain.key);
      return;
    }
    this.#aside--;
    this.#ready.push(next);
    if (!this.#isStarting) queueMicrotask(() => this.start());
  }

  #startBatch({ size, wait }: { size: number; wait: number }, now: number): boolean {
    while (this.#batch.length < size) {
      const task = this.#host.next(now);
      if (task === null) break;
      if (this.#batch.length === 0) this.#batchAt = now;
      this.#batch.push(task);
    }
    if (this.#batch.length === 0) return false;
    const left = this.#batchAt + wait - now;
    if (this.#batch.length < size && left > 0 && this.#host.isReading()) {
      this.#batchTimer ??= setTimeout(() => {
        this.#batchTimer = null;
        this.start();
      }, Math.ceil(left));
      return false;
    }
    this.#endWait();
    const tasks = this.#batch.splice(0).filter((task) => !task.isGone && this.#host.holds(task, now));
    if (tasks.length > 0) this.#callBatch(tasks, now);
    return true;
  }

  #endWait(): void {
    if (this.#batchTimer !== null) clearTimeout(this.#batchTimer);
    this.#batchTimer = null;
  }

  #callBatch(tasks: readonly Task<T>[], begun: number): void {
    const messages = tasks.map(({ message }) => message);
    const call = new Call((error, result) => {
      this.#end(call, tasks.length, begun);
      const judge = error === null ? judgeOf(result, messages) : () => error;
      for (const task of tasks) this.#host.finished(task, judge(task.message));
      this.start();
    });
    for (const task of tasks) task.call = call;
    this.#begin(call, tasks.length);
    this.#run(call, messages);
  }

  /** Call the handler, with `ack: "first"` once what it is given is acknowledged. */
  #run<I extends GroupMessage<T> | GroupMessage<T>[]>(call: Call, input: I): void {
    const { ack, timeout } = this.#host.settings;
    const handler = this.#host.handler as (input: I, context: HandlerContext) => unknown;
    if (ack !== "first") {
      call.run(handler, input, timeout);
      return;
    }
    const messages: readonly GroupMessage<T>[] = Array.isArray(input) ? input : [input];
    for (const message of messages) markSettled(message);
    Promise.all(messages.map((message) => this.#host.acknowledge(message))).then((refusals) => {
      const refusal = refusals.find((one) => one !== null);
      if (refusal) call.abort(refusal);
      call.run(handler, input, timeout);
    });
  }

  #begin(call: Call, messages: number): void {
    this.#calls.add(call);
    this.#host.counters.inFlight += messages;
  }

  #end(call: Call, messages: number, begun: number): void {
    this.#calls.delete(call);
    const { counters } = this.#host;
    counters.inFlight -= messages;
    counters.times.add(performance.now() - begun);
  }
}

/** Whether two messages are of one entry: streams have ids in common. */
function isSame(one: GroupMessage<unknown> | null, { stream, id }: GroupMessage<unknown>): boolean {
  return one !== null && one.id === id && one.stream === stream;
}
