/**
 * MessagePack as a codec; needs `msgpackr`, an optional peer.
 *
 * @module walrus-streams/msgpack
 */
import { Packr } from "msgpackr";
import { InvalidArgumentError } from "../../ground/errors.ts";
import { type Codec, onlyField } from "../codec.ts";

const packr = new Packr({
  useRecords: false,
  // What is decoded is a view of the connection's buffer; binary values must outlive it.
  copyBuffers: true,
  writeFunction: () => {
    throw new TypeError("a function has no form in MessagePack");
  },
});

/**
 * The value as MessagePack in one field, `msgpack`; `msgpackr` is an optional peer dependency.
 *
 * A property named `__proto__` arrives as `__proto_`: msgpackr renames it for safety.
 *
 * @throws InvalidArgumentError on add for what MessagePack cannot hold.
 * @example
 * ```ts
 * import { Database } from "walrus-streams";
 * import { msgpack } from "walrus-streams/msgpack";
 *
 * await using db = new Database();
 * await db.Stream("orders", { codec: msgpack<{ total: number }>() }).add({ total: 7 });
 * ```
 * @see https://github.com/kriszyp/msgpackr
 */
export function msgpack<T = unknown>(): Codec<T> {
  return {
    name: "msgpack",
    encode(value) {
      try {
        return ["msgpack", packr.pack(value)];
      } catch (cause) {
        throw new InvalidArgumentError("data", "a value that MessagePack can hold", value, { cause });
      }
    },
    decode: (fields) => packr.unpack(onlyField(fields, "msgpack")) as T,
  };
}
