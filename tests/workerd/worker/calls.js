// Carries calls out: docs/protocol.md, sections "RPC" and "Idempotency".

import { decode, encode } from "./codec.js";
import { Database } from "./database.js";
import { AppError, errorBody } from "./errors.js";
import { functionOf } from "./functions.js";

/** Carries out the calls of one shard; `onCommit` is told of each write that committed. */
export class Calls {
  #store;
  #onCommit;

  constructor(store, onCommit) {
    this.#store = store;
    this.#onCommit = onCommit;
  }

  /** Return the body of the answer to a call `{functionPath, args, mutationId?, clientId?, subject}`. */
  async carryOut(call) {
    try {
      return await this.#run({ ...call, args: decodeArgs(call.args) });
    } catch (error) {
      return errorBody(error);
    }
  }

  /** Return what a query gives, and the tables that it read, also where it fails. */
  read(name, args, subject) {
    const db = new Database(this.#store);
    try {
      return { value: encode(functionOf(name, "query").run({ db, subject }, args)), reads: [...db.reads] };
    } catch (error) {
      return { error, reads: [...db.reads] };
    }
  }

  async #run(call) {
    const { kind, run } = functionOf(call.functionPath, "query", "mutation", "action");
    if (kind === "mutation") return this.#mutate(run, call);
    const context = kind === "query" ? { db: new Database(this.#store) } : this.#forAction(call);
    return { result: encode(await run({ ...context, subject: call.subject }, call.args)) };
  }

  #mutate(run, call) {
    const namespace = call.subject === null ? `client:${call.clientId ?? ""}` : `subject:${call.subject}`;
    const known = call.mutationId === undefined ? undefined : this.#store.outcome(namespace, call.mutationId);
    if (known !== undefined) return known;
    const db = new Database(this.#store);
    const body = this.#store.transaction(() => {
      const result = encode(run({ db, subject: call.subject }, call.args));
      const outcome = { result, commitCursor: this.#store.commit(db.changes) };
      if (call.mutationId !== undefined) this.#store.keepOutcome(namespace, call.mutationId, outcome);
      return outcome;
    });
    this.#onCommit(db.changes, call.clientId);
    return body;
  }

  #forAction({ subject }) {
    const call = async (functionPath, args = {}) => {
      const { result } = await this.#run({ functionPath, args, subject });
      return decode(result);
    };
    return { call };
  }
}

function decodeArgs(wire) {
  const args = decode(wire ?? {});
  if (args === null || Object.getPrototypeOf(args) !== Object.prototype) {
    throw new AppError("BAD_REQUEST", "the arguments of a call are an object");
  }
  return args;
}
