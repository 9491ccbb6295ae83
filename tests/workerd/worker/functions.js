// The application: what can be called, watched and kept in step. Its twin for the embedded server is tests/e2e/offer.py.

import { AppError } from "./errors.js";

const FUNCTIONS = {
  "rows:list": query((ctx) => ctx.db.list("rows")),
  "rows:page": query((ctx) => ({ page: ctx.db.list("rows").reverse(), isDone: true })),
  "rows:numbers": query((ctx) => ctx.db.list("rows").map((row) => row.n)),
  "rows:mine": query((ctx) => `of ${ctx.subject ?? "nobody"}`),
  "rows:echo": query((ctx, args) => number(args, "n")),
  "rows:broken": query(() => {
    throw new TypeError("no");
  }),
  "rows:none_over": query((ctx, args) => {
    const rows = ctx.db.list("rows");
    if (rows.some((row) => row.n > args.limit)) throw new AppError("ROOM_FULL", "there is a larger one");
    return rows.length;
  }),
  "rows:add": mutation((ctx, args) => ctx.db.insert("rows", { ...args, n: number(args, "n") })),
  "rows:import": mutation((ctx, { rows }) => {
    const banned = ctx.db.list("bans").map((ban) => ban.n);
    if (rows.some((row) => banned.includes(row.n))) throw new AppError("BAD_ROW", "bad row");
    for (const row of rows) ctx.db.insert("rows", { n: row.n });
    ctx.db.insert("imports", { numbers: rows.map((row) => row.n) });
    return rows.length;
  }),
  "rows:imports": query((ctx) => ctx.db.list("imports").map((each) => each.numbers)),
  "rows:ban": mutation((ctx, { n }) => ctx.db.insert("bans", { _id: "the ban", n })),
  "rows:lift_ban": mutation((ctx) => ctx.db.delete("bans", "the ban")),
  "rows:set": mutation((ctx, { id, n }) => void ctx.db.update("rows", id, { n })),
  "rows:remove": mutation((ctx, { id }) => ctx.db.delete("rows", id)),
  "rows:add_two": action(async (ctx) => [await ctx.call("rows:add", { n: 1 }), await ctx.call("rows:add", { n: 2 })]),
  "rows:all": shape(() => ({ table: "rows" })),
  "rows:of": shape((ctx, { n }) => ({ table: "rows", matches: { n } })),

  "notes:count": query((ctx) => ctx.db.list("notes").length),
  "notes:list": query((ctx) => ctx.db.list("notes").map((note) => note.title)),
  "notes:add": mutation((ctx, { title }) => ctx.db.insert("notes", { title })),
  "values:echo": query((ctx, { value }) => value),
  "values:keep": mutation((ctx, { value }) => ctx.db.insert("values", { value })),
  "values:list": query((ctx) => ctx.db.list("values").map((row) => row.value)),
  "codes:raise": query((ctx, { code }) => refuse(code)),
  "codes:refuse": mutation((ctx, { code }) => {
    ctx.db.insert("rows", { n: -1 });
    refuse(code);
  }),

  "accounts:balance": query((ctx, { name }) => sum(ctx.db.list("moves", { account: name }))),
  "accounts:move": mutation((ctx, { amount }) => {
    if (amount < 0) throw new AppError("FORBIDDEN", "money moves one way");
    ctx.db.insert("moves", { account: "a", amount: -amount });
    ctx.db.insert("moves", { account: "b", amount });
  }),
  "accounts:open": mutation((ctx) => void ctx.db.insert("moves", { account: "a", amount: 100 })),
};

/** Return a function, which must be of one of these kinds. */
export function functionOf(name, ...kinds) {
  const found = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
  if (!kinds.includes(found?.kind)) throw new AppError("NOT_FOUND", `there is no ${kinds.join(" or ")} ${name}`);
  return found;
}

function query(run) {
  return { kind: "query", run };
}

function mutation(run) {
  return { kind: "mutation", run };
}

function action(run) {
  return { kind: "action", run };
}

/** The rows of one table that have the fields `matches`. */
function shape(run) {
  return { kind: "shape", run };
}

function number(args, name) {
  if (typeof args[name] === "number") return args[name];
  throw new AppError("VALIDATION_ERROR", `${name} must be a number`, { argument: name });
}

function refuse(code) {
  throw new AppError(code, "no", { n: 7n });
}

function sum(moves) {
  return moves.reduce((total, move) => total + move.amount, 0);
}
