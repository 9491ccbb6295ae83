"""1,000 rows in Panel."""

import os

import panel as pn
from bokeh.plotting import figure

from lunora_rx import LunoraClient, api
from lunora_rx.adapters import bokeh, panel

client = pn.state.as_cached("client", lambda: LunoraClient(os.environ["LUNORA_URL"]))
cells = client.live(api.cells.all)
plot = figure(width=900, height=400, output_backend="canvas")
plot.scatter("x", "y", source=bokeh.source(cells, ["x", "y"]))
mean = panel.rx(cells.resilient.map(lambda rows: sum(row["y"] for row in rows) / len(rows)), 0.0)
marker = panel.rx(cells.resilient.map(lambda rows: rows[0]["note"]), "")
number = pn.indicators.Number(name="mean", value=mean, format="{value:.5f}")
pn.Column(panel.badge(client, cells), number, pn.pane.Str(marker), plot).servable()
