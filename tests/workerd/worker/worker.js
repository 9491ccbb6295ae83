// A server of docs/protocol.md on workerd: the Worker that takes requests and hands them to the shards. It does calls,
// batches, live queries and shapes; it has no streams, whispers, presence, cookies, routes of server-sent events.

import { refusedSocket, subjectOf, subjectOfRequest } from "./auth.js";
import { control } from "./controls.js";
import { AppError } from "./errors.js";
import { answerBatch, answerCall, answerError, shardOf } from "./http.js";

export { Shard } from "./shard.js";

const ROUTES = {
  "POST /_lunora/rpc": answerCall,
  "POST /_lunora/rpc-batch": answerBatch,
  "GET /_lunora/ws": openSocket,
  "GET /_lunora/status": () => new Response("a reference Worker\n"),
  "GET /api/auth/get-session": answerSession,
};

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    try {
      if (url.pathname.startsWith("/_test/")) return await control(url, env);
      const answer = ROUTES[`${request.method} ${url.pathname}`];
      if (answer === undefined) throw new AppError("NOT_FOUND", `there is nothing at ${url.pathname}`);
      return await answer(request, env, url);
    } catch (error) {
      return answerError(error);
    }
  },
};

function openSocket(request, env, url) {
  if (request.headers.get("upgrade") !== "websocket") throw new AppError("BAD_REQUEST", "this is for sockets");
  let subject;
  try {
    subject = subjectOf(url.searchParams.get("token"), env, "TOKEN_EXPIRED");
  } catch (error) {
    return refusedSocket(error);
  }
  const target = new URL("http://shard/");
  target.searchParams.set("subject", JSON.stringify(subject));
  return shardOf(env, url.searchParams.get("shard")).fetch(target, request);
}

function answerSession(request, env) {
  const id = subjectOfRequest(request, env);
  return Response.json(id === null ? null : { user: { id } });
}
