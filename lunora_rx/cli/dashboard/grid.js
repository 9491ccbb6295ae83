// A Perspective viewer whose table is indexed by the places of rows: Panel's own pane replaces all rows whenever one has
// changed, which the engine's memory grows by.

const POLL = 50; // milliseconds

// Below each name stands "Edit", which changes how its column is drawn, and no cell. The panel beside the grid does, too.
const STYLES = new CSSStyleSheet();
STYLES.replaceSync("#psp-column-edit-buttons { display: none; }");

export async function render({model, el}) {
  const viewer = document.createElement("perspective-viewer");
  let worker = null, table = null, columns = [], place = "";

  async function begin({schema, title, looks}) {
    const first = {settings: true, title, plugin_config: {edit_mode: "READ_ONLY"}};
    const config = table === null ? first : await viewer.save();
    config.columns_config = {...looks, ...config.columns_config};
    const fresh = await worker.table(schema, {index: place});
    const shown = Object.keys(schema).filter((name) => name !== place);
    const is_whole = columns.every((name) => (config.columns ?? columns).includes(name));
    const former = table;
    await viewer.load(fresh);
    await viewer.restore(still_possible({...config, columns: is_whole ? shown : config.columns}, shown));
    [table, columns] = [fresh, shown];
    await former?.delete({lazy: true});
  }

  async function take({schema, rows, removed, ...begun}) {
    if (schema) {
      place = begun.place;
      await begin({schema, ...begun});
    }
    if (table === null) return; // what it begins with is on its way
    if (removed.length) await table.remove(removed);
    if (rows[place].length) await table.update(rows);
  }

  let turn = start();
  model.on("msg:custom", (event) => {
    turn = turn.then(() => take(event.data ?? event)).catch((error) => console.error(error));
  });
  model.on("remove", () => viewer.delete().finally(() => worker?.terminate()));

  async function start() {
    while (window.perspective_viewer === undefined) await new Promise((resolve) => setTimeout(resolve, POLL));
    viewer.setAttribute("style", "position: absolute; inset: 0;");
    el.appendChild(viewer);
    (await viewer.getPlugin("Datagrid")).shadowRoot?.adoptedStyleSheets.push(STYLES);
    worker = await window.perspective.worker();
    await viewer.resetThemes(["Pro Light"]);
    model.drawn += 1;
  }
}

// What somebody chose, as far as there are still columns for it.
function still_possible(config, names) {
  const is_there = (name) => name === null || names.includes(name) || name in (config.expressions ?? {});
  const kept = {...config};
  for (const part of ["columns", "group_by", "split_by"]) kept[part] = (config[part] ?? []).filter(is_there);
  for (const part of ["sort", "filter"]) kept[part] = (config[part] ?? []).filter(([name]) => is_there(name));
  for (const part of ["aggregates", "columns_config"])
    kept[part] = Object.fromEntries(Object.entries(config[part] ?? {}).filter(([name]) => is_there(name)));
  return kept;
}
