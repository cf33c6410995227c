import type { GroupMessage } from "../../src/index.ts";
import { WalrusError } from "../../src/index.ts";
import type { Member } from "./member.ts";

type Text = Record<string, string>;

/** The group of the readers. */
export const READERS = "readers";

/** Read entries as a consumer of a group of its own until told to stop; the book says what it was given. */
export async function read({ orders, db, book, over, count }: Member): Promise<void> {
  const group = db.consumerGroup(READERS, orders.streams, { consumer: orders.name });
  const backlog = orders.sabotage !== "no-backlog";
  const consumer = db.consumer(group, { follow: true, backlog, buffer: 20, signal: over });
  const open = new Set<GroupMessage<Text>>();
  let isAcknowledging = false;
  // What the server could not be told is told later.
  const acknowledge = async (): Promise<void> => {
    if (isAcknowledging) return;
    isAcknowledging = true;
    for (const message of open)
      await message.ack().then(
        () => open.delete(message),
        () => {},
      );
    isAcknowledging = false;
  };
  const again = setInterval(acknowledge, 500);
  while (!over.aborted) {
    try {
      const message = await consumer.getMessage();
      if (message === null) break;
      const { stream, id, data } = message as GroupMessage<Text>;
      book.write({ what: "seen", n: data["n"]!, stream, id });
      open.add(message as GroupMessage<Text>);
      await acknowledge();
      count();
    } catch (error) {
      // It could not open while the server was away; all else it survives by itself.
      if (over.aborted) break;
      if (!(error instanceof WalrusError && error.retriable)) throw error;
    }
  }
  clearInterval(again);
  await consumer.close();
  await acknowledge();
}
