// Draws what Python tells: a head with title, badge, pause and history, and the value below it.

function element(name, className, parent) {
  const made = document.createElement(name);
  made.className = className;
  parent.appendChild(made);
  return made;
}

function drawRow(row, texts, name) {
  while (row.cells.length > texts.length) row.deleteCell(-1);
  texts.forEach((text, at) => {
    const cell = row.cells[at] ?? row.appendChild(document.createElement(name));
    if (cell.textContent === text) return;
    const isChange = cell.textContent !== "" && name === "td";
    cell.textContent = text;
    if (isChange) cell.animate([{ backgroundColor: "rgba(255, 196, 0, 0.6)" }, {}], { duration: 900 });
  });
}

function drawTable(table, { columns, rows }) {
  drawRow(table.tHead.rows[0], columns, "th");
  const body = table.tBodies[0];
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((texts, at) => drawRow(body.rows[at] ?? body.insertRow(), texts, "td"));
}

function render({ model, el }) {
  const view = `${Date.now()}-${Math.random()}`;
  const root = element("div", "lunora-rx", el);
  const head = element("div", "lunora-rx-head", root);
  const title = element("code", "lunora-rx-title", head);
  const badge = element("span", "lunora-rx-badge", head);
  badge.setAttribute("role", "status");
  const pause = element("button", "lunora-rx-pause", head);
  const slider = element("input", "lunora-rx-history", head);
  slider.type = "range";
  slider.min = "0";
  slider.setAttribute("aria-label", "history");
  const at = element("span", "lunora-rx-at", head);
  const text = element("div", "lunora-rx-text", root);
  const frame = element("div", "lunora-rx-rows", root);
  const table = element("table", "", frame);
  table.createTHead().insertRow();
  table.createTBody();
  const rest = element("div", "lunora-rx-rest", root);

  const drawHead = () => {
    title.textContent = model.get("title");
    badge.textContent = model.get("label");
    badge.dataset.tone = model.get("tone");
    const { count, position, is_paused, at: time } = model.get("history");
    pause.textContent = is_paused ? "resume" : "pause";
    pause.disabled = count === 0;
    slider.hidden = count < 2;
    slider.max = String(Math.max(count - 1, 0));
    slider.value = String(position);
    at.textContent = time ? `${is_paused ? "as of " : ""}${time} UTC` : "";
  };
  const drawContent = () => {
    const content = model.get("content");
    text.textContent = content.text ?? "";
    text.hidden = content.text === undefined;
    frame.hidden = content.columns === undefined;
    if (!frame.hidden) drawTable(table, content);
    rest.textContent = content.rest ?? "";
  };
  const leave = () => model.send({ do: "leave", view });

  pause.onclick = () => model.send({ do: model.get("history").is_paused ? "resume" : "pause" });
  slider.oninput = () => model.send({ do: "look", position: Number(slider.value) });
  ["title", "label", "tone", "history"].forEach((name) => model.on(`change:${name}`, drawHead));
  model.on("change:content", drawContent);
  window.addEventListener("pagehide", leave);
  drawHead();
  drawContent();
  model.send({ do: "enter", view });

  return () => {
    ["title", "label", "tone", "history"].forEach((name) => model.off(`change:${name}`, drawHead));
    model.off("change:content", drawContent);
    window.removeEventListener("pagehide", leave);
    leave();
  };
}

export default { render };
