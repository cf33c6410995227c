import { expect } from "vitest";
import type { BatchHandler, GroupMessage, Handler, HandlerContext } from "../../../src/index.ts";
import { waitFor } from "../../../src/testing/index.ts";

/** A message with a number in its data. */
type Numbered = GroupMessage<Text>;
type Text = Record<string, string>;

/** One call of the handler that has not ended. */
interface Open {
  readonly numbers: number[];
  readonly messages: Numbered[];
  readonly context: HandlerContext;
  readonly end: (error: Error | null, result: unknown) => void;
}

/** A handler whose calls stay open until they are ended one by one; of single messages or of batches. */
export class Desk {
  /** What is being handled, in the order in which it began. */
  readonly open: Open[] = [];
  /** The most that was open at once. */
  most = 0;
  /** All that began, call by call. */
  readonly begun: number[][] = [];

  readonly handler = ((input: Numbered | Numbered[], context: HandlerContext): Promise<never> => {
    const messages = [input].flat();
    const numbers = messages.map(({ data }) => Number(data["n"]));
    this.begun.push(numbers);
    return new Promise((resolve, reject) => {
      const open: Open = {
        ...{ numbers, messages, context },
        end: (error, result) => {
          this.open.splice(this.open.indexOf(open), 1);
          if (error === null) resolve(result as never);
          else reject(error);
        },
      };
      this.open.push(open);
      this.most = Math.max(this.most, this.open.length);
    });
  }) as Handler<Text> & BatchHandler<Text>;

  /** The first numbers of the calls that are open. */
  get numbers(): number[] {
    return this.open.map(({ numbers }) => numbers[0]!);
  }

  /** The first open call that began with a number; waits for it. */
  async at(n: number): Promise<Open> {
    return waitFor(() => this.open.find(({ numbers }) => numbers[0] === n), { what: `the handling of ${n}` });
  }

  /** The message of that call. */
  async message(n: number): Promise<Numbered> {
    return (await this.at(n)).messages[0]!;
  }

  /** End the first open call that began with a number, and let what follows happen. */
  async end(n: number, error: Error | null = null, result?: unknown): Promise<void> {
    const open = this.open.find(({ numbers }) => numbers[0] === n);
    expect(open, `the handling of ${n}`).toBeDefined();
    open!.end(error, result);
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** End all that is open, and all that begins from now on, until so many have begun in all. */
  async endAll(count: number): Promise<void> {
    await waitFor(
      () => {
        for (const open of [...this.open]) open.end(null, undefined);
        return this.begun.flat().length >= count && this.open.length === 0;
      },
      { what: `${count} handled`, timeout: 10_000 },
    );
  }
}
