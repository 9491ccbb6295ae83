// Who calls: docs/protocol.md, sections "Request headers", "Close codes" and "Expected subject". Tokens are bound to
// the Worker with the subjects that they stand for.

import { AppError } from "./errors.js";

/** Return the subject of a token, null without one; throw for a token that is not good. */
export function subjectOf(token, env, code = "UNAUTHORIZED") {
  if (token === null) return null;
  if (Object.hasOwn(env.TOKENS, token)) return env.TOKENS[token];
  throw new AppError(code, "the token is not good");
}

/** Return the subject of a request's bearer, which must be the one that a replay expects. */
export function subjectOfRequest(request, env) {
  const bearer = request.headers.get("authorization");
  const subject = subjectOf(bearer === null ? null : bearer.replace(/^Bearer /, ""), env);
  const expected = request.headers.get("x-lunora-expect-subject");
  if (expected !== null && expectedSubject(expected) !== subject) {
    throw new AppError("IDENTITY_MISMATCH", "the session is somebody else's");
  }
  return subject;
}

/** A socket that says that its token is not good: a client would learn nothing from a refused upgrade. */
export function refusedSocket(error) {
  const [client, server] = Object.values(new WebSocketPair());
  server.accept();
  server.send(JSON.stringify({ type: "error", message: error.message, error: { code: error.code, message: error.message } }));
  server.close(4001, error.message);
  return new Response(null, { status: 101, webSocket: client });
}

function expectedSubject(header) {
  return JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(header, { alphabet: "base64url" }))).subject;
}
