// What a shard keeps, on the SQLite database of its Durable Object: rows, the log of changes that positions are judged
// by, the outcomes of writes, and the subscriptions of sockets, which outlive the hibernation of the object.

import { decode, encode } from "./codec.js";

const LOG_LENGTH = 1000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS rows (
    tbl TEXT, id TEXT, created REAL, body TEXT, PRIMARY KEY (tbl, id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS changes (
    cursor INTEGER, tbl TEXT, id TEXT, PRIMARY KEY (cursor, tbl, id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS outcomes (
    namespace TEXT, id TEXT, body TEXT, PRIMARY KEY (namespace, id)
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS subscriptions (
    socket TEXT, id TEXT, kind TEXT, name TEXT, args TEXT, reads TEXT, checkpoint INTEGER, PRIMARY KEY (socket, id)
  ) WITHOUT ROWID;
`;

export class Store {
  #storage;
  #sql;

  constructor(storage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#sql.exec(SCHEMA);
    this.#sql.exec("INSERT OR IGNORE INTO meta VALUES ('cursor', 0), ('clock', 0), ('logStart', 0), ('epoch', ?)", crypto.randomUUID());
  }

  /** Run a function in a transaction, which any exception rolls back. */
  transaction(run) {
    return this.#storage.transactionSync(run);
  }

  meta(name) {
    return this.#all("SELECT value FROM meta WHERE name = ?", name)[0]?.value;
  }

  setMeta(name, value) {
    this.#sql.exec("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value);
  }

  /** The position of the shard: what `cursor` and `epoch` of frames say. */
  get position() {
    return { cursor: this.meta("cursor"), epoch: this.meta("epoch") };
  }

  // Rows, in the order of their creation.

  row(table, id) {
    return this.#rows("SELECT body FROM rows WHERE tbl = ? AND id = ?", table, id)[0];
  }

  rows(table) {
    return this.#rows("SELECT body FROM rows WHERE tbl = ? ORDER BY created", table);
  }

  putRow(table, row) {
    const body = JSON.stringify(encode(row));
    this.#sql.exec("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", table, row._id, row._creationTime, body);
  }

  deleteRow(table, id) {
    this.#sql.exec("DELETE FROM rows WHERE tbl = ? AND id = ?", table, id);
  }

  /** Milliseconds that no other row of the shard has: the order of creation is never in doubt. */
  tick() {
    const now = Math.max(Date.now(), this.meta("clock") + 1);
    this.setMeta("clock", now);
    return now;
  }

  // The log of changes.

  /** Give the next commit its cursor and note which rows it changed. */
  commit(changes) {
    const cursor = this.meta("cursor") + 1;
    this.setMeta("cursor", cursor);
    for (const { table, key } of changes) {
      this.#sql.exec("INSERT OR IGNORE INTO changes VALUES (?, ?, ?)", cursor, table, key);
    }
    this.#forgetBefore(cursor - LOG_LENGTH);
    return cursor;
  }

  /** Whether the log tells all that happened since a position. */
  canJudge(cursor, epoch) {
    const isCursor = Number.isInteger(cursor) && this.meta("logStart") <= cursor && cursor <= this.meta("cursor");
    return isCursor && epoch === this.meta("epoch");
  }

  /** The keys of the rows of a table that changed after a cursor, each once. */
  changedSince(cursor, table) {
    const rows = this.#all("SELECT DISTINCT id FROM changes WHERE cursor > ? AND tbl = ?", cursor, table);
    return rows.map((row) => row.id);
  }

  /** Lose the log: positions of the epoch so far can no longer be judged. Cursors go on, for commit cursors have no epoch. */
  beginEpoch() {
    this.#forgetBefore(this.meta("cursor"));
    this.setMeta("epoch", crypto.randomUUID());
  }

  #forgetBefore(cursor) {
    if (cursor <= this.meta("logStart")) return;
    this.#sql.exec("DELETE FROM changes WHERE cursor <= ?", cursor);
    this.setMeta("logStart", cursor);
  }

  // Outcomes of writes.

  outcome(namespace, id) {
    const found = this.#all("SELECT body FROM outcomes WHERE namespace = ? AND id = ?", namespace, id)[0];
    return found && JSON.parse(found.body);
  }

  keepOutcome(namespace, id, body) {
    this.#sql.exec("INSERT INTO outcomes VALUES (?, ?, ?)", namespace, id, JSON.stringify(body));
  }

  // Subscriptions. `kind` is "query" or "shape", `reads` the tables that a query has read.

  subscriptions(socket, kind) {
    return this.#all("SELECT * FROM subscriptions WHERE socket = ? AND kind = ?", socket, kind).map((row) => ({
      ...row,
      args: decode(JSON.parse(row.args)),
      reads: JSON.parse(row.reads),
    }));
  }

  putSubscription({ socket, id, kind, name, args, reads = [], checkpoint = null }) {
    const texts = [JSON.stringify(encode(args)), JSON.stringify(reads)];
    this.#sql.exec(
      "INSERT OR REPLACE INTO subscriptions VALUES (?, ?, ?, ?, ?, ?, ?)", socket, id, kind, name, ...texts, checkpoint,
    );
  }

  deleteSubscription(socket, id) {
    this.#sql.exec("DELETE FROM subscriptions WHERE socket = ? AND id = ?", socket, id);
  }

  countSubscriptions() {
    return this.#all("SELECT count(*) AS count FROM subscriptions")[0].count;
  }

  /** Drop what belongs to sockets that are gone. */
  keepSubscriptionsOf(sockets) {
    for (const { socket } of this.#all("SELECT DISTINCT socket FROM subscriptions")) {
      if (!sockets.includes(socket)) this.#sql.exec("DELETE FROM subscriptions WHERE socket = ?", socket);
    }
  }

  #all(statement, ...values) {
    return this.#sql.exec(statement, ...values).toArray();
  }

  #rows(statement, ...values) {
    return this.#all(statement, ...values).map((row) => decode(JSON.parse(row.body)));
  }
}
