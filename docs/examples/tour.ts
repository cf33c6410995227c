// The tour: a week of earthquakes as streams, a time series and a consumer group. Run it with `npm run demo`.
//
// It starts a private server and ends by itself; with REDIS_URL it works there, under a key prefix of its own, and
// leaves nothing behind. What it prints as code is what stands here between `// code` and `// result`.
import { setTimeout as delay } from "node:timers/promises";
import { ConnectionLostError, Database, json, type Message } from "walrus-streams";
import { Interruption, interruption } from "./tour/interruption.ts";
import { loadQuakes, NETWORKS, type Network, type Quake } from "./tour/quakes.ts";
import { bar, type Cell, Screen, spark } from "./tour/screen.ts";
import { rentServer, UnreachableError } from "./tour/server.ts";

async function tour(signal: AbortSignal): Promise<void> {
  const begin = performance.now();
  const week = await loadQuakes();
  const networks = Object.keys(NETWORKS) as Network[];
  using screen = await Screen.open(import.meta.url, signal);
  await using server = await rentServer(signal);

  // A Database is an ioredis connection, with every option that has: here a prefix for all keys.
  await using db = new Database(server.url, {
    keyPrefix: server.prefix,
    maxRetriesPerRequest: 1,
    commandTimeout: 5000,
  });
  db.on("error", () => {}); // ioredis reports each lost connection here; the call that suffers from it rejects too
  const before = await server.keys();
  screen.title(
    `walrus-streams: a tour with ${week.length.toLocaleString("en-US")} earthquakes of one week`,
    `${server.description}; ${before.length} keys under ${server.prefix}`,
  );

  screen.section(
    "Twelve networks, one time series",
    "Each network is a stream, an earthquake's id is its time: loaded by Date, 1,000 a round trip.",
  );
  screen.progress(week.length);
  // code
  const quakes = db.timeSeries("quakes", networks, { codec: json<Quake>() });
  for (const net of networks) {
    const own = week.filter((quake) => quake.net === net);
    await quakes.streams[net].addMany(screen.counted(own), { id: ({ time }) => new Date(time) });
    await quakes.streams[net].expire({ hours: 1 }); // should this program be killed
  }
  const streams = await quakes.streamInfo();
  // result
  screen.done();
  screen.table(
    ["key", "network", "length", "first", "last"],
    networks.map((net) => {
      const { length, firstEntry, lastEntry } = streams[net];
      return [net, NETWORKS[net], length, firstEntry!.timestamp, lastEntry!.timestamp];
    }),
  );

  screen.section(
    "Slices by Date",
    "Start, stop and count: ids or Dates, each may be absent. Reversed, the count is taken from the end. " +
      "Each stream is a typed attribute: quakes.xx does not compile.",
  );
  // code
  const february = new Date("2018-02-01T00:00:00Z");
  const first = await quakes.us.range(february, undefined, 3);
  const latest = await quakes.us.range(undefined, undefined, 3).reverse();
  const all = await quakes.us.range(february);
  // result
  screen.say(
    `${all.length} of ${streams.us.length} since 1 February; the first three, then the latest three:`,
  );
  screen.table(
    ["id", ...HEAD],
    [...first, ...latest].map((message) => [message.id, ...row(message)]),
  );

  screen.section(
    "All networks, merged",
    "A time series reads its streams as one, in time order, page by page: the loop never holds the whole week.",
  );
  // code
  const strong = [];
  for await (const message of quakes.range()) {
    if (message.data.mag >= 6) strong.push(message);
  }
  const head = await quakes.range(february, undefined, 5);
  // result
  screen.say("The first five of February:");
  screen.table(
    ["net", ...HEAD],
    head.map((message) => [message.stream, ...row(message)]),
  );
  screen.say("Magnitude 6 and above:");
  screen.table(
    ["net", ...HEAD],
    strong.map((message) => [message.stream, ...row(message)]),
  );

  screen.section(
    "Days",
    "Buckets follow the calendar, in UTC. They can be taken of one stream or of all of them together.",
  );
  // code
  const days = [];
  for await (const day of quakes.buckets({ every: { days: 1 }, value: "mag" })) days.push(day);
  // result
  const most = Math.max(...days.map(({ count }) => count));
  screen.table(
    ["day", "count", "least", "mean", "greatest", "earthquakes"],
    days.map(({ start, count, min, mean, max }) => {
      const magnitudes = [min!, mean!, max!].map((magnitude) => magnitude.toFixed(2));
      return [start.toISOString().slice(0, 10), count, ...magnitudes, bar(count, most, 40)];
    }),
  );

  screen.section("Hours", "The same by the hour, of one network; hours without an earthquake are there too.");
  // code
  const hours = [];
  const perHour = { every: { hours: 1 }, value: "mag", empty: true };
  for await (const hour of quakes.ci.buckets(perHour)) hours.push(hour);
  // result
  const busiest = hours.reduce((a, b) => (b.count > a.count ? b : a));
  const lines = new Map<string, string[]>();
  for (const { start, count } of hours) {
    const day = start.toISOString().slice(0, 10);
    if (!lines.has(day)) lines.set(day, Array(24).fill(" "));
    lines.get(day)![start.getUTCHours()] = spark(count, busiest.count);
  }
  screen.table(
    ["day", "0     6     12    18"],
    [...lines].map(([day, line]) => [day, line.join("")]),
  );
  screen.say(
    `${NETWORKS.ci}'s busiest hour: ${busiest.start.toISOString().slice(0, 13)}h UTC, with ${busiest.count} earthquakes`,
  );

  screen.section(
    "A consumer group with two consumers",
    "A group hands each entry of its streams, here two of the twelve, to one of its consumers.",
  );
  // code
  const desk = db.consumerGroup("desk", ["us", "ak"], { codec: json<Quake>() });
  await desk.create();
  const ann = desk.consumer("ann");
  const ben = desk.consumer("ben");
  const forAnn = await ann.read({ count: 2 }); // two of each stream
  const forBen = await ben.read({ count: 2 }); // the next two
  // result
  const handed = [forAnn, forBen].flatMap((messages) => Object.values(messages).flat());
  screen.table(
    ["consumer", "stream", ...HEAD],
    handed.map((message) => [message.consumer, message.stream, ...row(message)]),
  );

  screen.section(
    "Pending, claim, ack",
    "What was read and not acknowledged is pending. Ann finishes hers; Ben is gone, Ann takes over his.",
  );
  // code
  for (const message of Object.values(forAnn).flat()) await message.ack();
  const pending = await desk.us.pending({ consumer: "ben" });
  const taken = await ann.us.claim(pending, { minIdle: 0 }); // usually: { minutes: 1 }
  const acknowledged = await ann.us.ack(...taken);
  const { count } = await desk.us.pendingSummary();
  // result
  screen.table(
    ["pending entry", "was with", "is now with", "deliveries"],
    pending.map(({ id, consumer }, i) => [id, consumer, taken[i]!.consumer, taken[i]!.deliveries]),
  );
  screen.say(`${acknowledged} acknowledged by Ann; ${count} pending on us now`);

  screen.section(
    "Set id",
    "The group's cursor can be set: back to a Date, and what is later is new again; to the end, and nothing is.",
  );
  // code
  await desk.setId(new Date("2018-02-06T21:00:00Z"));
  const again = await ann.us.read();
  await desk.setId(); // "$", the end
  const nothing = await ann.read();
  // result
  screen.say(`${again.length} are new again; at the end: ${JSON.stringify(nothing)}`);
  screen.table(
    ["id", ...HEAD],
    again.slice(0, 3).map((message) => [message.id, ...row(message)]),
  );

  screen.section(
    "A late event",
    "A blocked read waits on a connection of its own, so this one answers meanwhile; the next entry wakes it.",
  );
  const late = {
    ...week.at(-1)!,
    id: "hv-late",
    net: "hv",
    mag: 4.9,
    place: "5km SW of Volcano, Hawaii",
  } as const;
  const time = new Date(late.time + 60_000);
  // code
  await quakes.create(); // a time series is a group, too
  await quakes.setId(); // from now on
  const begun = performance.now();
  const reading = quakes.read({ block: { seconds: 10 }, signal });
  const adding = delay(300).then(() => quakes.hv.add(late, { id: time }));
  const answers = await Promise.all([reading, adding, quakes.hv.length()]);
  // result
  const [woken] = answers[0];
  screen.say(
    `hv had ${answers[2]} entries; the read was woken after ${Math.round(performance.now() - begun)} ms`,
  );
  screen.table(["net", ...HEAD], [[woken!.stream, ...row(woken!)]]);

  screen.section(
    "Trim",
    "Keep so many, or what is young enough. Exactly, or as by default in whole nodes: cheaper, and it keeps a few more.",
  );
  // code
  const dropped = {
    nc: await quakes.nc.trim({ maxlen: 100, approximate: false }),
    ci: await quakes.ci.trim({ olderThan: new Date("2018-02-06T00:00:00Z"), approximate: false }),
    nn: await quakes.nn.trim(100),
  };
  // result
  screen.table(
    ["stream", "was", "dropped", "is"],
    await Promise.all(
      (["nc", "ci", "nn"] as const).map(async (net) => {
        return [net, streams[net].length, dropped[net], await quakes.streams[net].length()];
      }),
    ),
  );

  screen.section(
    "Nothing is left behind",
    "Groups go with their streams, and streams are keys like any other.",
  );
  const during = await server.keys();
  // code
  await desk.destroy();
  for (const net of networks) await quakes.streams[net].clear();
  // result
  const after = await server.keys();
  screen.table(
    ["", "keys under the prefix"],
    [
      ["before the tour", before.length],
      ["before this section", during.length],
      ["now", after.length],
    ],
  );
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  screen.say("", `That was the tour, in ${seconds} s. Read on in docs/guides and docs/examples/01-hello.ts.`);
}

/** What a table shows of an earthquake, after what names it. */
const HEAD = ["time", "mag", "km deep", "place"];

function row({ timestamp, data }: Message<Quake>): Cell[] {
  return [timestamp, data.mag.toFixed(1), data.depth.toFixed(1), data.place];
}

const signal = interruption();
try {
  await tour(signal);
  signal.throwIfAborted();
} catch (error) {
  const reason = signal.aborted ? signal.reason : error;
  const isExpected = [Interruption, UnreachableError, ConnectionLostError].some(
    (kind) => reason instanceof kind,
  );
  console.error(isExpected ? `tour: ${reason.message}` : reason);
  process.exitCode = reason instanceof Interruption ? reason.exitCode : 1;
}
