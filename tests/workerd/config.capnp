# The reference Worker on workerd: `workerd serve config.capnp --directory-path=disk=DIRECTORY`.

using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "disk", disk = (writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);

const worker :Workerd.Worker = (
  modules = [
    (name = "worker.js", esModule = embed "worker/worker.js"),
    (name = "auth.js", esModule = embed "worker/auth.js"),
    (name = "calls.js", esModule = embed "worker/calls.js"),
    (name = "codec.js", esModule = embed "worker/codec.js"),
    (name = "controls.js", esModule = embed "worker/controls.js"),
    (name = "database.js", esModule = embed "worker/database.js"),
    (name = "delta.js", esModule = embed "worker/delta.js"),
    (name = "errors.js", esModule = embed "worker/errors.js"),
    (name = "functions.js", esModule = embed "worker/functions.js"),
    (name = "http.js", esModule = embed "worker/http.js"),
    (name = "kinds.js", esModule = embed "worker/kinds.js"),
    (name = "live.js", esModule = embed "worker/live.js"),
    (name = "shapes.js", esModule = embed "worker/shapes.js"),
    (name = "shard.js", esModule = embed "worker/shard.js"),
    (name = "socket.js", esModule = embed "worker/socket.js"),
    (name = "store.js", esModule = embed "worker/store.js"),
  ],
  compatibilityDate = "2026-11-01",
  durableObjectNamespaces = [(className = "Shard", uniqueKey = "shard", enableSql = true)],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [
    (name = "SHARDS", durableObjectNamespace = "Shard"),
    (name = "TOKENS", json = "{\"token-ana\": \"ana\", \"token-ana-2\": \"ana\", \"token-bo\": \"bo\"}"),
  ],
);
