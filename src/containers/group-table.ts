import { NoSuchStreamError } from "../ground/errors.ts";
import type { Table } from "../ground/table.ts";
import type { GroupInfo } from "./info.ts";

/** What is asked of a stream. */
interface Member {
  readonly key: string;
  length(): Promise<number>;
  groupsInfo(): Promise<GroupInfo[]>;
}

/** What a notebook shows of a group: how far it is on each stream, also where it is missing. */
export async function groupTable(group: string, streams: readonly Member[]): Promise<Table> {
  const rows = await Promise.all(
    streams.map(async (stream) => {
      const [length, groups] = await Promise.all([stream.length(), groupsOf(stream)]);
      const info = groups.find(({ name }) => name === group);
      if (info === undefined) return [stream.key, length, null, null, null, "no such group"];
      const { lag, pending, consumers, lastDeliveredId } = info;
      return [stream.key, length, lag, pending, consumers, lastDeliveredId];
    }),
  );
  const heads = ["stream", "length", "lag", "pending", "consumers", "last delivered id"];
  return { caption: `Consumer group ${group}`, heads, rows };
}

async function groupsOf(stream: Member): Promise<GroupInfo[]> {
  try {
    return await stream.groupsInfo();
  } catch (error) {
    if (error instanceof NoSuchStreamError) return [];
    throw error;
  }
}
