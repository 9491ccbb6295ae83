// What tests do to a shard from outside; no part of the protocol, and nothing that a deployment has.

import { shardOf } from "./http.js";

const ACTIONS = {
  abort: (shard) => shard.abort().catch(() => "aborted"),
  "begin-epoch": (shard) => shard.beginEpoch(),
  close: (shard, search) => shard.closeSockets(Number(search.get("code"))),
  lives: (shard) => shard.lives(),
  subscriptions: (shard) => shard.subscriptions(),
};

export async function control(url, env) {
  const act = ACTIONS[url.pathname.split("/").at(-1)];
  return Response.json((await act(shardOf(env, url.searchParams.get("shard")), url.searchParams)) ?? null);
}
