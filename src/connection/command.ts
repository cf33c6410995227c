import { Command } from "ioredis";
import { ConnectionLostError } from "../ground/errors.ts";
import { Request } from "../wire/request.ts";
import type { Argument } from "../wire/resp.ts";
import type { RedisLike } from "./driver.ts";

/** Commands that change more when they are carried out twice. */
const ONCE: ReadonlySet<string> = new Set(["xadd"]);
/** Written in place of what must not be written again; its reply is left unread. */
const NOTHING = "*1\r\n$4\r\nPING\r\n";

/**
 * A command that is carried out at most once.
 *
 * What had no answer when its connection was lost, ioredis by itself writes again to the next one, be it carried out
 * already or not.
 */
class OnceCommand extends Command {
  #isWritten = false;

  override toWritable(socket: object): string | Buffer {
    if (this.#isWritten) {
      this.reject(new ConnectionLostError("the connection was lost before the reply came"));
      return NOTHING;
    }
    this.#isWritten = true;
    return super.toWritable(socket);
  }

  /** To call once a cluster has it: what a node refused was not carried out, and may go to another. */
  heedRefusals(): void {
    const { reject } = this;
    this.reject = (error) => {
      if (error.name === "ReplyError") this.#isWritten = false;
      reject(error);
    };
  }
}

/** Commands of a key and ids, of which there may be a thousand. */
const LISTS: ReadonlySet<string> = new Set(["xack", "xdel"]);

/**
 * A command with many arguments, encoded here: ioredis copies and measures each of them several times. It sees the key
 * alone, also in what it traces and in its errors.
 */
class ListCommand extends Command {
  readonly #payload: Buffer;

  /** The key is text, as those of containers are. */
  constructor(name: string, [key, ...ids]: readonly Argument[], keyPrefix: string) {
    super(name, [key as string], { keyPrefix, replyEncoding: "utf8" });
    this.#payload = new Request().command([name, keyPrefix + key, ...ids]).payload();
  }

  override toWritable(): Buffer {
    return this.#payload;
  }
}

/**
 * Send one command over a shared connection.
 *
 * Not by `call`, which repeats it, nor by `callBuffer`, which brings the process down where `enableAutoPipelining` is on.
 */
export function send(
  redis: RedisLike,
  keyPrefix: string,
  name: string,
  args: readonly Argument[],
  replyEncoding: "utf8" | null,
): Promise<unknown> {
  if (LISTS.has(name)) return redis.sendCommand(new ListCommand(name, args, keyPrefix)) as Promise<unknown>;
  const own = args as (string | Buffer | number)[];
  if (!ONCE.has(name)) {
    if (replyEncoding !== null) return redis.call(name, own);
    return redis.sendCommand(new Command(name, own, { keyPrefix, replyEncoding })) as Promise<unknown>;
  }
  const command = new OnceCommand(name, own, { keyPrefix, replyEncoding });
  const reply = redis.sendCommand(command) as Promise<unknown>;
  command.heedRefusals();
  return reply;
}
