/** What a body is: `application/json`, `text/plain`, `application/octet-stream`, or anything of these kinds. */
export const CONTENT_TYPE = "content-type";
/** Names what a message came of; handed on from message to message. */
export const CORRELATION_ID = "correlation-id";
/** Key of the stream where an answer is wanted. */
export const REPLY_TO = "reply-to";
/** By this the requester knows a reply; a replier gives it back. */
export const REQUEST_ID = "request-id";
/** `"error"` where a reply is the failure of the handler, its data `{ name, message }`. */
export const REPLY = "reply";
