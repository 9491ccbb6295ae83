// Deltas between two values of a live query: docs/protocol.md, section "Delta merge". Values are in wire form.

/** Return the deltas that turn one value into the other exactly, or null where it takes the whole value. */
export function deltasBetween(before, after, changes) {
  const [old, fresh] = [pageOf(before), pageOf(after)];
  if (old === null || fresh === null || !hasSameFrame(before, after)) return null;
  const tables = new Map(changes.map(({ key, table }) => [key, table]));
  const deltas = differences(old, fresh).map((delta) => ({ ...delta, table: tables.get(delta.key) }));
  if (deltas.length === 0 || deltas.length > fresh.length || deltas.some((delta) => delta.table === undefined)) return null;
  return isEqual(deltas.reduce(mergePage, old), fresh) ? deltas : null;
}

export function isEqual(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The rows of a value, or null where rows cannot be merged into it. */
function pageOf(value) {
  const page = Array.isArray(value) ? value : value?.page;
  const isPage = Array.isArray(page) && page.every((row) => typeof row?._id === "string");
  return isPage ? page : null;
}

/** Whether two values agree in all that is around their rows. */
function hasSameFrame(before, after) {
  if (Array.isArray(before) !== Array.isArray(after)) return false;
  return Array.isArray(before) || isEqual({ ...before, page: [] }, { ...after, page: [] });
}

function differences(old, fresh) {
  const [before, after] = [old, fresh].map((rows) => new Map(rows.map((row) => [row._id, row])));
  const gone = old.filter((row) => !after.has(row._id)).map((row) => ({ op: "delete", key: row._id }));
  const changed = fresh
    .filter((row) => !isEqual(before.get(row._id), row))
    .map((row) => ({ op: before.has(row._id) ? "update" : "insert", key: row._id, row }));
  return [...gone, ...changed];
}

/** What the client does with a delta. */
function mergePage(page, { op, key, row }) {
  if (op === "delete") return page.filter((each) => each._id !== key);
  if (page.some((each) => each._id === key)) return page.map((each) => (each._id === key ? row : each));
  const place = placeOf(page, row._creationTime);
  return [...page.slice(0, place), row, ...page.slice(place)];
}

function placeOf(page, time) {
  if (typeof time !== "number") return page.length;
  const isDescending = hasFallingTimes(page);
  const place = page.findIndex(({ _creationTime: each }) => typeof each === "number" && (isDescending ? each < time : each > time));
  return place < 0 ? page.length : place;
}

function hasFallingTimes(page) {
  const times = page.map((row) => row._creationTime).filter((time) => typeof time === "number");
  const turn = times.findIndex((time, index) => index > 0 && time !== times[index - 1]);
  return turn > 0 && times[turn] < times[turn - 1];
}
