// Live queries: docs/protocol.md, sections "Subscribe frame" and "What a server must do", points 3 to 7.

import { encode } from "./codec.js";
import { deltasBetween, isEqual } from "./delta.js";
import { codeOf, errorFrame } from "./errors.js";

export class LiveQueries {
  #store;
  #read;

  /** The last value sent for each subscription, as far as this life of the object knows: "in doubt send data". */
  #sent = new Map();

  /** `read(name, args, subject)` runs a query. */
  constructor(store, read) {
    this.#store = store;
    this.#read = read;
  }

  /** Answer a `subscribe` frame whose query is known to be well-formed. */
  subscribe(socket, id, { functionPath, args, sinceSeq, sinceEpoch }) {
    socket.send({ type: "ack", id });
    const query = { socket: socket.key, id, kind: "query", name: functionPath, args };
    const { value, error, reads } = this.#read(functionPath, args, socket.subject);
    this.#store.putSubscription({ ...query, reads });
    this.#sent.delete(`${socket.key} ${id}`);
    if (error) return this.#fail(socket, query, error);
    if (this.#isUnchanged(reads, sinceSeq, sinceEpoch)) this.#tell(socket, query, value, [{ type: "resume" }]);
    else this.#tell(socket, query, value, [{ type: "data", data: value }]);
  }

  unsubscribe(socket, id) {
    this.#store.deleteSubscription(socket.key, id);
    this.#sent.delete(`${socket.key} ${id}`);
  }

  /** Forget what was sent to a socket that is gone. */
  forget(socketKey) {
    for (const key of this.#sent.keys()) if (key.startsWith(`${socketKey} `)) this.#sent.delete(key);
  }

  /** Bring all that sockets watch to the position of a commit. */
  publish(sockets, changes, clientId) {
    const changed = new Set(changes.map((change) => change.table));
    const read = memoized(this.#read);
    for (const socket of sockets) {
      for (const query of this.#store.subscriptions(socket.key, "query")) {
        if (query.reads.some((table) => changed.has(table))) this.#runAgain(socket, query, changes, read);
        else if (socket.clientId === clientId) this.#send(socket, query.id, [{ type: "settled" }]);
      }
    }
  }

  #runAgain(socket, query, changes, read) {
    const { value, error, reads } = read(query.name, query.args, socket.subject);
    this.#store.putSubscription({ ...query, reads });
    if (error) return this.#fail(socket, query, error);
    const before = this.#sent.get(`${query.socket} ${query.id}`);
    this.#tell(socket, query, value, framesFor(before, value, socket.takesDeltas ? changes : []));
  }

  /** Whether the log shows that nothing touched what a query reads since a position. */
  #isUnchanged(reads, cursor, epoch) {
    if (!this.#store.canJudge(cursor, epoch)) return false;
    return reads.every((table) => this.#store.changedSince(cursor, table).length === 0);
  }

  #tell(socket, query, value, frames) {
    this.#sent.set(`${query.socket} ${query.id}`, { value });
    this.#send(socket, query.id, frames);
  }

  /** Send a run of frames, of which only the last one has a position. */
  #send(socket, id, frames) {
    for (const { type, ...rest } of frames.slice(0, -1)) socket.send({ type, id, ...rest });
    const { type, ...rest } = frames.at(-1);
    socket.send({ type, id, ...rest, ...this.#store.position });
  }

  /** Tell of a failure, once for as long as it stays the same; the query runs again when its reads change. */
  #fail(socket, query, error) {
    const key = `${query.socket} ${query.id}`;
    if (this.#sent.get(key)?.code === codeOf(error)) return;
    this.#sent.set(key, { code: codeOf(error) });
    socket.send(errorFrame(query.id, error));
  }
}

/** The frames that lead a client from what it was sent to a value. */
function framesFor(sent, value, changes) {
  const isKnown = sent !== undefined && "value" in sent;
  if (isKnown && isEqual(sent.value, value)) return [{ type: "settled" }];
  const deltas = isKnown ? deltasBetween(sent.value, value, changes) : null;
  return deltas === null ? [{ type: "data", data: value }] : deltas.map((delta) => ({ type: "delta", delta }));
}

/** One run for all who watch the same. */
function memoized(read) {
  const known = new Map();
  return (name, args, subject) => {
    const key = JSON.stringify([name, subject, encode(args)]);
    if (!known.has(key)) known.set(key, read(name, args, subject));
    return known.get(key);
  };
}
