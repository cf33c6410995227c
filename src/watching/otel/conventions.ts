import type { Attributes } from "@opentelemetry/api";
import { CORRELATION_ID } from "../../flow/app/headers.ts";
import { GroupMessage, type Message } from "../../wire/message.ts";

/** The scope under which spans and metrics are reported. */
export const SCOPE = "walrus-streams";

/**
 * Names of the attributes, of version 1.44 of the semantic conventions, whose part on messaging is still in development.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
 */
export const SYSTEM = "messaging.system";
export const OPERATION_NAME = "messaging.operation.name";
export const OPERATION_TYPE = "messaging.operation.type";
export const DESTINATION = "messaging.destination.name";
export const TEMPORARY = "messaging.destination.temporary";
export const GROUP = "messaging.consumer.group.name";
export const CLIENT_ID = "messaging.client.id";
export const MESSAGE_ID = "messaging.message.id";
export const CONVERSATION_ID = "messaging.message.conversation_id";
export const BATCH_COUNT = "messaging.batch.message_count";
export const ERROR_TYPE = "error.type";
/** Of our own, in the place that the conventions have for what only one system knows. */
export const DELIVERIES = "messaging.redis.message.delivery_count";

/** Value of {@link SYSTEM}. */
export const REDIS = "redis";
/** Value of {@link ERROR_TYPE} where the kind of error is not known. */
export const OTHER = "_OTHER";
/** Bounds of the buckets of durations, in seconds. */
export const SECONDS: readonly number[] = [
  ...[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
];

/** A message as far as telemetry looks at it. */
export type Traced = Pick<Message<unknown>, "stream" | "id" | "headers">;

/** What the messages of an operation have in common, as attributes; a stream or group that differs is left out. */
export function sharedFacts(messages: readonly Traced[]): Attributes {
  const stream = common(messages.map((message) => message.stream));
  const group = common(messages.map((message) => (message instanceof GroupMessage ? message.group : null)));
  return {
    ...(stream === null ? {} : { [DESTINATION]: stream }),
    ...(group === null ? {} : { [GROUP]: group }),
  };
}

/** What is known of one message, as attributes. */
export function messageFacts(message: Traced): Attributes {
  const { id, headers } = message;
  const conversation = headers[CORRELATION_ID];
  return {
    [MESSAGE_ID]: id,
    ...(conversation === undefined ? {} : { [CONVERSATION_ID]: conversation }),
    ...(message instanceof GroupMessage
      ? { [CLIENT_ID]: message.consumer, [DELIVERIES]: message.deliveries }
      : {}),
  };
}

/** An error's class, as `error.type` has it: its name, or that of its class where it has none of its own. */
export function errorType(error: Error): string {
  const name = error.name === "Error" ? error.constructor?.name : error.name;
  return typeof name === "string" && name !== "" ? name : OTHER;
}

/** The value that all have; `null` where they differ or are none. */
function common<V>(values: readonly (V | null)[]): V | null {
  const [first = null] = values;
  return values.every((value) => value === first) ? first : null;
}
