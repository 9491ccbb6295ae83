// Errors and what becomes of them on the wire: docs/protocol.md, sections "Error body" and "Codes made by the server".

import { encode } from "./codec.js";

const STATUSES = {
  CONFLICT: 409,
  FORBIDDEN: 403,
  IDENTITY_MISMATCH: 409,
  INTERNAL: 500,
  NOT_FOUND: 404,
  NOT_IMPLEMENTED: 501,
  PAYLOAD_TOO_LARGE: 413,
  RATE_LIMITED: 429,
  SHARD_ERROR: 503,
  SHARD_UNAVAILABLE: 503,
  TOKEN_EXPIRED: 401,
  TOO_MANY_REQUESTS: 429,
  UNAUTHENTICATED: 401,
  UNAUTHORIZED: 401,
  UNPROCESSABLE: 422,
};

/** A refusal with a code: the caller is told code, message and data as they are. */
export class AppError extends Error {
  constructor(code, message, data) {
    super(message);
    this.code = code;
    this.data = data;
  }
}

/** The code that an exception is told by; one that is no refusal is a bug of a function. */
export function codeOf(error) {
  return error instanceof AppError ? error.code : "INTERNAL";
}

/** The HTTP status that goes with a code; codes of applications are refusals of the call. */
export function statusOf(code) {
  return STATUSES[code] ?? 400;
}

/** The body of a reply, or of a slot of a batch, that failed. */
export function errorBody(error) {
  const body = { code: codeOf(error), message: error.message };
  if (error.data !== undefined) body.data = encode(error.data);
  return { error: body };
}

/** The frame that tells a subscription of its failure. It carries no position. */
export function errorFrame(id, error) {
  return { type: "error", id, message: error.message, error: { code: codeOf(error), message: error.message } };
}
