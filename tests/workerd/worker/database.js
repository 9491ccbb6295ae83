// What a function is given as `ctx.db`: the rows of its shard. It notes the tables that were read, which decides what
// runs again, and the rows that were changed, which decides what is sent.

import { AppError } from "./errors.js";

export class Database {
  /** The tables that were read. */
  reads = new Set();

  /** `{op, table, key, before, after}` of each change, in order. */
  changes = [];

  #store;

  constructor(store) {
    this.#store = store;
  }

  get(table, id) {
    this.reads.add(table);
    return this.#store.row(table, id) ?? null;
  }

  list(table, matches = {}) {
    this.reads.add(table);
    return this.#store.rows(table).filter((row) => isMatch(row, matches));
  }

  insert(table, fields) {
    const row = { _id: crypto.randomUUID(), _creationTime: this.#store.tick(), ...fields };
    if (this.get(table, row._id) !== null) throw new AppError("CONFLICT", `${table} has the id already`);
    this.#put("insert", table, row, null);
    return row._id;
  }

  update(table, id, fields) {
    const before = this.get(table, id);
    if (before === null) throw new AppError("NOT_FOUND", `${table} has no such row`);
    this.#put("update", table, { ...before, ...fields }, before);
  }

  delete(table, id) {
    const before = this.get(table, id);
    if (before === null) return false;
    this.#store.deleteRow(table, id);
    this.changes.push({ op: "delete", table, key: id, before, after: null });
    return true;
  }

  #put(op, table, after, before) {
    this.#store.putRow(table, after);
    this.changes.push({ op, table, key: after._id, before, after });
  }
}

/** Whether a row has all of these fields with these values. */
export function isMatch(row, matches) {
  return row !== null && Object.entries(matches).every(([field, value]) => row[field] === value);
}
