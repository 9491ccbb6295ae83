"""A dashboard of this machine in Bokeh. Run it with ``python examples/dashboards/bokeh_app.py [port]``."""

import asyncio
import sys

from bokeh.layouts import column, row
from bokeh.models import Button, Div, NumeralTickFormatter
from bokeh.plotting import figure
from bokeh.server.server import Server
from machine import CUT_SECONDS, OPTIONS, READINGS, audience, series, start
from tornado.ioloop import IOLoop

from lunora_rx import LunoraClient, api
from lunora_rx.adapters import bokeh

TITLE = "<h2 style='margin:0;font-family:sans-serif'>This machine, live &middot; Bokeh</h2>"


def build(doc, client):
    """Fill the document of one session."""
    readings = client.live(api.readings.recent, READINGS)
    table = bokeh.source(readings.resilient.map(series), ["at", "cpu", "memory", "disk", "network"], document=doc)
    cut = Button(label="Cut the connection", button_type="danger", width=180)
    cut.on_click(lambda: client.action(api.demo.cut, {"seconds": CUT_SECONDS}) and None)
    charts = [
        chart(table, "CPU, %", "cpu", "#2563eb", "0", y_range=(0, 100)),
        chart(table, "Memory, %", "memory", "#7c3aed", "0", y_range=(0, 100)),
        chart(table, "Disk, kB/s", "disk", "#db2777", "0,0"),
        chart(table, "Network, kB/s", "network", "#0d9488", "0,0"),
    ]
    counts = Div(text="", styles={"color": "#64748b", "font-family": "sans-serif"})
    watching = readings.resilient.map(lambda rows: audience(client))
    bokeh.show(watching, lambda text: counts.update(text=text), document=doc)
    head = row(Div(text=TITLE), bokeh.badge(client, readings, document=doc), cut, counts, spacing=20)
    doc.add_root(column(head, row(*charts[:2]), row(*charts[2:]), margin=16))
    doc.title = "This machine"


def chart(table, title, name, colour, numbers, **options):
    """Return a line over the last minute."""
    plot = figure(title=title, x_axis_type="datetime", width=520, height=300, toolbar_location=None, **options)
    plot.varea(x="at", y1=0, y2=name, source=table, color=colour, alpha=0.15)
    plot.line(x="at", y=name, source=table, color=colour, line_width=2)
    plot.yaxis.formatter = NumeralTickFormatter(format=numbers)
    plot.grid.grid_line_alpha = 0.4
    plot.outline_line_color = None
    return plot


async def main(port):
    """Serve until Ctrl-C: one client for all sessions, on the loop of the server."""
    async with LunoraClient(start(), **OPTIONS) as client:
        server = Server(
            {"/": lambda doc: build(doc, client)},
            io_loop=IOLoop.current(),
            port=port,
            allow_websocket_origin=[f"localhost:{port}", f"127.0.0.1:{port}"],
            # How long a session outlives its page: 15 and 17 seconds unless it is said.
            unused_session_lifetime_milliseconds=2000,
            check_unused_sessions_milliseconds=1000,
        )
        server.start()
        print(f"http://localhost:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5006))
