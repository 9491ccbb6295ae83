// Shapes, which are kept in step by pokes: docs/protocol.md, section "Shapes and pokes". A checkpoint is the cursor of
// the commit that led to it.

import { encode } from "./codec.js";
import { isMatch } from "./database.js";
import { errorFrame } from "./errors.js";
import { functionOf } from "./functions.js";

export class Shapes {
  #store;
  #pokes = 0;

  constructor(store) {
    this.#store = store;
  }

  /** Answer a `shape_subscribe` frame whose shape is known to be well-formed. */
  subscribe(socket, id, { name, args }, sinceCheckpoint, sinceEpoch) {
    const shape = { socket: socket.key, id, kind: "shape", name, args };
    try {
      const canFollow = this.#store.canJudge(sinceCheckpoint, sinceEpoch);
      const filter = filterOf(shape, socket);
      const part = canFollow ? this.#since(filter, sinceCheckpoint) : this.#whole(filter);
      this.#poke(socket, [{ shape, ...part }]);
    } catch (error) {
      socket.send(errorFrame(id, error));
    }
  }

  unsubscribe(socket, id) {
    this.#store.deleteSubscription(socket.key, id);
  }

  /** Send each socket one poke, with a part for each of its shapes that a commit changed. */
  publish(sockets, changes) {
    for (const socket of sockets) {
      const parts = this.#store
        .subscriptions(socket.key, "shape")
        .map((shape) => ({ shape, baseCheckpoint: shape.checkpoint, rowsPatch: patchOf(filterOf(shape, socket), changes) }))
        .filter((part) => part.rowsPatch.length > 0);
      if (parts.length > 0) this.#poke(socket, parts);
    }
  }

  #poke(socket, parts) {
    const { cursor: checkpoint, epoch } = this.#store.position;
    const pokeId = ++this.#pokes;
    socket.send({ type: "pokeStart", pokeId, epoch });
    for (const { shape, ...part } of parts) {
      this.#store.putSubscription({ ...shape, checkpoint });
      socket.send({ type: "pokePart", pokeId, shapeId: shape.id, ...part });
    }
    socket.send({ type: "pokeEnd", pokeId, checkpoint, epoch });
  }

  #whole({ table, matches }) {
    const rows = this.#store.rows(table).filter((row) => isMatch(row, matches ?? {}));
    return { reset: true, rowsPatch: rows.map((row) => put("insert", table, row)) };
  }

  /** What became of each row that changed since a checkpoint: what is no member now may never have been one. */
  #since({ table, matches }, baseCheckpoint) {
    const rowsPatch = this.#store.changedSince(baseCheckpoint, table).map((key) => {
      const row = this.#store.row(table, key) ?? null;
      return isMatch(row, matches ?? {}) ? put("update", table, row) : { op: "delete", key, table };
    });
    return { baseCheckpoint, rowsPatch };
  }
}

function filterOf({ name, args }, { subject }) {
  return functionOf(name, "shape").run({ subject }, args);
}

function patchOf({ table, matches = {} }, changes) {
  return changes
    .filter((change) => change.table === table)
    .map(({ key, before, after }) => {
      const [was, is] = [before, after].map((row) => isMatch(row, matches));
      if (is) return put(was ? "update" : "insert", table, after);
      return was && { op: "delete", key, table };
    })
    .filter(Boolean);
}

function put(op, table, row) {
  return { op, key: row._id, table, value: encode(row) };
}
