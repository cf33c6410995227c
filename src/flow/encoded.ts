import type { FlatFields } from "../wire/codec.ts";
import { Request } from "../wire/request.ts";
import type { Argument } from "../wire/resp.ts";

/** Arguments of a command in the bytes in which they are sent: their owner may use the data again. */
export class Encoded {
  /** The arguments. */
  readonly args: Request = new Request();
  /** How many they are. */
  readonly count: number;
  /** Characters and bytes of the fields among them. */
  readonly volume: number;

  /** Encode arguments, and the fields of an entry after them. */
  constructor(args: readonly Argument[], fields: FlatFields = []) {
    let volume = 0;
    for (const arg of args) this.args.arg(arg);
    for (const field of fields) {
      this.args.arg(field);
      volume += field.length;
    }
    this.count = args.length + fields.length;
    this.volume = volume;
  }
}

/** One command for each entry, all beginning alike. */
export function commands(head: Encoded, items: readonly { readonly entry: Encoded }[]): Request {
  const request = new Request();
  for (const { entry } of items) {
    request
      .open(head.count + entry.count)
      .encoded(head.args)
      .encoded(entry.args);
  }
  return request;
}
