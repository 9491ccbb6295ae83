"""1,000 rows in NiceGUI."""

import os
import sys

from nicegui import app, ui

from lunora_rx import LunoraClient, api
from lunora_rx.adapters import nicegui

client = LunoraClient(os.environ["LUNORA_URL"])
app.on_shutdown(client.aclose)


@ui.page("/")
def page():
    """Build the page of one browser tab."""
    cells = client.live(api.cells.all)
    nicegui.badge(client, cells)
    marker = ui.label()
    series = {"type": "scatter", "symbolSize": 4, "data": []}
    axes = {"xAxis": {"max": 1000}, "yAxis": {"max": 1}}
    chart = ui.echart({"animation": False, **axes, "series": [series]}).style("height: 400px; width: 900px")

    def show(rows):
        chart.options["series"][0]["data"] = [[row["x"], round(row["y"], 3)] for row in rows]

    nicegui.show(cells, lambda rows: marker.set_text(rows[0]["note"]))
    nicegui.show(cells, show, interval=0.25)  # a chart is sent and drawn as a whole


ui.run(port=int(sys.argv[1]), reload=False, show=False)
