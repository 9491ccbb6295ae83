"""A dashboard of this machine in NiceGUI. Run it with ``python examples/dashboards/nicegui_app.py [port]``."""

import sys

from machine import CUT_SECONDS, OPTIONS, READINGS, audience, series, start
from nicegui import app, ui

from lunora_rx import LunoraClient, api
from lunora_rx.adapters import nicegui

COLOURS = {"cpu": "#2563eb", "memory": "#7c3aed", "disk": "#db2777", "network": "#0d9488"}
UNITS = {"cpu": "%", "memory": "%", "disk": "kB/s", "network": "kB/s"}

# Made once a process. It connects when the first page watches, on the loop of NiceGUI.
client = LunoraClient(start(), **OPTIONS)
app.on_shutdown(client.aclose)


@ui.page("/")
def page():
    """Build the page of one browser tab."""
    readings = client.live(api.readings.recent, READINGS)
    with ui.header().classes("items-center bg-slate-800"):
        ui.label("This machine, live · NiceGUI").classes("text-xl")
        nicegui.badge(client, readings).classes("text-base px-3 py-1")
        ui.space()
        counts = ui.label()
        ui.button("Cut the connection", on_click=cut, color="red-8")
    with ui.grid(columns=4).classes("w-full"):
        numbers = {name: number(name) for name in COLOURS}
    with ui.grid(columns=2).classes("w-full"):
        charts = [chart("cpu", "memory", max=100), chart("disk", "network")]

    def show(rows):
        counts.set_text(audience(client))
        for name, label in numbers.items():
            label.set_text(f"{rows[-1][name]:,.0f} {UNITS[name]}")
        for each in charts:
            for line in each.options["series"]:
                line["data"] = [[row["at"], round(row[line["name"]], 1)] for row in rows]

    nicegui.show(readings.resilient.map(series).filter(bool), show, interval=0.25)


def number(name):
    """Return the label of a card."""
    with ui.card().classes("items-start"):
        ui.label(name).classes("text-slate-500 uppercase")
        return ui.label("-").classes("text-4xl font-semibold").style(f"color: {COLOURS[name]}").mark(name)


def chart(*names, **limits):
    """Return lines over the last minute."""
    line = {"type": "line", "showSymbol": False, "areaStyle": {"opacity": 0.12}, "data": []}
    options = {
        "animation": False,
        "useUTC": True,
        "legend": {"data": list(names), "top": 0},
        "grid": {"left": 60, "right": 20, "top": 50, "bottom": 30},
        "xAxis": {"type": "time", "axisLabel": {"hideOverlap": True}},
        "yAxis": {"type": "value", "min": 0, "name": UNITS[names[0]], **limits},
        "series": [{**line, "name": name, "color": COLOURS[name], "data": []} for name in names],
    }
    return ui.echart(options).classes("h-96")


async def cut():
    """Have the server reset every socket, and refuse new ones for a while."""
    await client.action(api.demo.cut, {"seconds": CUT_SECONDS})


ui.run(port=int(sys.argv[1]) if len(sys.argv) > 1 else 8080, title="This machine", reload=False, show=False)
