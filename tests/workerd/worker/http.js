// Calls over HTTP: docs/protocol.md, sections "RPC" and "Batch".

import { subjectOfRequest } from "./auth.js";
import { AppError, errorBody, statusOf } from "./errors.js";

const BODY_LIMIT = 2 ** 20;
const BATCH_LIMIT = 500;
const DEFAULT_SHARD = "main";

/** The shard of a key; no key, and an empty one, are the default shard's. */
export function shardOf(env, key) {
  return env.SHARDS.get(env.SHARDS.idFromName(key || DEFAULT_SHARD));
}

/** Answer one call. */
export async function answerCall(request, env) {
  const subject = subjectOfRequest(request, env);
  const { functionPath, args, shardKey } = await bodyOf(request);
  const mutationId = request.headers.get("x-lunora-mutation-id") ?? undefined;
  const clientId = request.headers.get("x-lunora-client-id") ?? undefined;
  const body = await carryOut(env, { functionPath, args, shardKey, mutationId, clientId, subject });
  return reply(body, nameOfDefault([{ shardKey }]));
}

/** Answer a batch: its calls are carried out in order, each for itself. */
export async function answerBatch(request, env) {
  const subject = subjectOfRequest(request, env);
  const { calls } = await bodyOf(request);
  if (!Array.isArray(calls) || calls.length > BATCH_LIMIT) throw new AppError("BAD_REQUEST", `a batch has up to ${BATCH_LIMIT} calls`);
  const results = [];
  for (const call of calls) results.push({ id: call?.id, body: await carryOut(env, { ...call, subject }) });
  return reply({ results }, nameOfDefault(calls));
}

/** Answer with what failed. */
export function answerError(error) {
  return reply(errorBody(error));
}

async function carryOut(env, call) {
  if (typeof call.functionPath !== "string") return errorBody(new AppError("BAD_REQUEST", "the call names no function"));
  return shardOf(env, call.shardKey).carryOut(call);
}

/** The header that tells the real name of the default shard, where a call named none. */
function nameOfDefault(calls) {
  return calls.some((call) => !call?.shardKey) ? { "x-lunora-shard-key": DEFAULT_SHARD } : {};
}

function reply(body, headers = {}) {
  return Response.json(body, { status: body.error ? statusOf(body.error.code) : 200, headers });
}

async function bodyOf(request) {
  const bytes = await request.bytes();
  if (bytes.length > BODY_LIMIT) throw new AppError("PAYLOAD_TOO_LARGE", `a body has up to ${BODY_LIMIT} bytes`);
  const body = parsed(bytes);
  if (body === null || typeof body !== "object" || Array.isArray(body)) throw new AppError("BAD_REQUEST", "the body is no object");
  return body;
}

function parsed(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new AppError("WIRE_DECODE_FAILED", "the body is no JSON");
  }
}
