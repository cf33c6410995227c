import type { AttributeName, ConsumerGroup, Database, GroupStream, SeriesStream } from "../../src/index.ts";
import type { Equal, Expect } from "./equal.ts";

/** Compiled, never run. */
export function attributes(db: Database, wide: string[], one: string): void {
  // Names.
  type _Names = Expect<
    Equal<
      {
        "stream-c": AttributeName<"stream-c">;
        "orders:eu": AttributeName<"orders:eu">;
        "{tag}orders": AttributeName<"{tag}orders">;
        snake_case: AttributeName<"snake_case">;
        "1st": AttributeName<"1st">;
        "10": AttributeName<"10">;
        Upper: AttributeName<"Upper">;
        "with CAPS inWord": AttributeName<"with CAPS inWord">;
        __proto: AttributeName<"__proto__">;
        "a-1-b2": AttributeName<"a-1-b2">;
        "größe-ßx": AttributeName<"größe-ßx">;
        "заказы:ес": AttributeName<"заказы:ес">;
        订单: AttributeName<"订单">;
        "订单-a": AttributeName<"订单-a">;
        "::": AttributeName<"::">;
        "": AttributeName<"">;
      },
      {
        "stream-c": "streamC";
        "orders:eu": "ordersEu";
        "{tag}orders": "tagOrders";
        snake_case: "snakeCase";
        "1st": "_1st";
        "10": "_10";
        Upper: "upper";
        "with CAPS inWord": "withCAPSInWord";
        __proto: "proto";
        "a-1-b2": "a1B2";
        "größe-ßx": "größeSSx";
        "заказы:ес": "заказыЕс";
        订单: "";
        "订单-a": "a";
        "::": "";
        "": "";
      }
    >
  >;

  // A list of literals: each stream an attribute, nothing else.
  const cg = db.consumerGroup("cg", ["stream-a", "stream-b", "stream-c"]);
  type _Group = Expect<Equal<typeof cg, ConsumerGroup<"stream-a" | "stream-b" | "stream-c">>>;
  type _Stream = Expect<Equal<typeof cg.streamC, GroupStream>>;
  type _ByKey = Expect<Equal<(typeof cg.streams)["stream-c"], GroupStream>>;
  type _Keys = Expect<Equal<typeof cg.keys, readonly ("stream-a" | "stream-b" | "stream-c")[]>>;
  // @ts-expect-error -- there is no such stream
  cg.streamD;
  // @ts-expect-error -- nor by key
  cg.streams["stream-d"];
  // @ts-expect-error -- readonly
  cg.streamA = cg.streamB;
  type _Consumer = Expect<Equal<typeof other, typeof cg>>;
  const other = cg.consumer("c2");
  other.streamA;

  // A single key, a map, and a list that is a constant of its own.
  db.consumerGroup("cg", "orders:eu").ordersEu.pending();
  const map = db.consumerGroup("cg", { "orders:eu": "$", "orders:us": new Date(), third: 5 });
  type _Map = Expect<Equal<typeof map, ConsumerGroup<"orders:eu" | "orders:us" | "third">>>;
  map.ordersUs.read();
  // @ts-expect-error
  map.ordersUk;
  const keys = ["x-1", "x-2"] as const;
  db.consumerGroup("cg", keys).x2;
  const numbers = db.consumerGroup("cg", { 10: "0-0", eleven: "0-0" });
  type _Number = Expect<Equal<typeof numbers, ConsumerGroup<"10" | "eleven">>>;
  numbers._10;

  // A time series, likewise.
  const ts = db.timeSeries("demo", ["s1", "s2"]);
  type _Series = Expect<Equal<typeof ts.s1, SeriesStream>>;
  ts.s1.buckets({ every: { days: 1 }, value: "temp" });
  ts.consumer("c2").s2;
  // @ts-expect-error
  ts.s3;
  // @ts-expect-error -- a group's stream has no buckets
  cg.streamA.buckets;

  // Keys that are not known as literals: no attributes, streams by key.
  const some = db.consumerGroup("cg", wide);
  type _Wide = Expect<Equal<typeof some, ConsumerGroup<string>>>;
  // @ts-expect-error
  some.streamA;
  some.streams["anything"]?.pending();
  type _WideMap = Expect<Equal<typeof mapped, ConsumerGroup<string>>>;
  const mapped = db.consumerGroup("cg", { [one]: "$" });
  // @ts-expect-error
  mapped.streamA;
  const single = db.consumerGroup("cg", one);
  type _WideKey = Expect<Equal<typeof single, ConsumerGroup<string>>>;
  const record = db.timeSeries("ts", {} as Record<string, Date>);
  // @ts-expect-error
  record.streamA;
  const mixed = db.consumerGroup("cg", ["known", one]);
  // @ts-expect-error -- one of them may have the same name
  mixed.known;

  // Names that a member holds have no attribute: the member stays what it is.
  const taken = db.consumerGroup("cg", [
    "read",
    "create",
    "keys",
    "name",
    "streams",
    "then",
    "constructor",
    "to-string",
    "has-own-property",
    "value-of",
    "free",
  ]);
  type _Own = Expect<Equal<keyof typeof taken & string, Members | "free">>;
  type _Read = Expect<
    Equal<ReturnType<typeof taken.create>, Promise<Record<(typeof taken.keys)[number], boolean>>>
  >;
  type _Name = Expect<Equal<typeof taken.name, string>>;
  // @ts-expect-error -- awaiting a group gives the group
  taken.then;
  taken.streams.then.pending();
  taken.streams.read.read();

  // Not members, though the code has words like them: free for keys.
  const free = db.consumerGroup("cg", ["read-all", "on-each", "client", "consumer-of"]);
  free.readAll.pending();
  free.onEach.pending();
  free.client.pending();
  free.consumerOf.pending();

  // Two keys with one name: neither gets it.
  const twins = db.consumerGroup("cg", ["a-b", "a_b", "a:c"]);
  // @ts-expect-error
  twins.aB;
  twins.aC.pending();
  twins.streams["a-b"].pending();

  // Members are what a group has.
  type Members = keyof ConsumerGroup<never>;

  // A key of 300 characters.
  const long = db.consumerGroup("cg", [
    "a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-a-long-key-of-300-characters-0123456789",
  ]);
  type _Long = Expect<Equal<string extends keyof typeof long ? true : false, false>>;
  long.aLongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300CharactersALongKeyOf300Characters0123456789.pending();
}

/** Forty keys: attributes are judged pair by pair. */
export function many(db: Database): void {
  const cg = db.consumerGroup("cg", [
    ...(["k-00", "k-01", "k-02", "k-03", "k-04", "k-05", "k-06", "k-07", "k-08", "k-09"] as const),
    ...(["k-10", "k-11", "k-12", "k-13", "k-14", "k-15", "k-16", "k-17", "k-18", "k-19"] as const),
    ...(["k-20", "k-21", "k-22", "k-23", "k-24", "k-25", "k-26", "k-27", "k-28", "k-29"] as const),
    ...(["k-30", "k-31", "k-32", "k-33", "k-34", "k-35", "k-36", "k-37", "k-38", "k-39"] as const),
  ]);
  cg.k00.pending();
  cg.k39.pending();
  // @ts-expect-error
  cg.k40;
}
