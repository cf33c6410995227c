import { TRIM, type TrimOptions } from "../../containers/trim.ts";
import { assertGivenOptions, assertName } from "../../ground/assert.ts";
import type { Time } from "../../ground/duration.ts";
import type { IdLike } from "../../wire/id.ts";

/** What may be said of one message that is published. */
export interface MessageOptions {
  /** What travels beside the value. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Names what it came of; header `correlation-id`. @defaultValue in a handler, that of the message it handles */
  readonly correlationId?: string | undefined;
  /** Key of the stream where an answer is wanted; header `reply-to`. */
  readonly replyTo?: string | undefined;
  /** The entry's id. @defaultValue `"*"` */
  readonly id?: IdLike | undefined;
  /** A name of this publishing: another one of that name, within five minutes, gives the first one's id. */
  readonly idempotencyKey?: string | undefined;
}

/** Options of {@link App.publish}: the stream, and bounds that are kept as the entry is added. */
export interface PublishOptions extends MessageOptions, TrimOptions {
  /** Key of the stream. */
  readonly stream: string;
}

/** Options of {@link App.request}. */
export interface RequestOptions {
  /** Key of the stream. */
  readonly stream: string;
  /** How long to wait for the reply, from the call on. @defaultValue 5 s */
  readonly timeout?: Time | undefined;
  /** What travels beside the value. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Names what it came of; header `correlation-id`. */
  readonly correlationId?: string | undefined;
  /** Ends the wait; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Names of {@link MessageOptions}. */
export const MESSAGE: readonly string[] = ["headers", "correlationId", "replyTo", "id", "idempotencyKey"];
const PUBLISH: readonly string[] = ["stream", ...MESSAGE, ...TRIM];

/** Check what is to be published, at the door. */
export function assertPublish(options: PublishOptions): void {
  assertGivenOptions("publish", options, PUBLISH);
  assertName("stream", options.stream);
  const { correlationId, replyTo } = options;
  for (const [name, value] of Object.entries({ correlationId, replyTo }))
    if (value !== undefined) assertName(name, value);
}
