"""A dashboard of this machine in Panel. Run it with ``panel serve examples/dashboards/panel_app.py``."""

import panel as pn
from bokeh.models import NumeralTickFormatter
from bokeh.plotting import figure
from machine import CUT_SECONDS, EMPTY, OPTIONS, READINGS, audience, series, start

from lunora_rx import LunoraClient, api
from lunora_rx.adapters import bokeh, panel

pn.extension(sizing_mode="stretch_width")
CARD = {"border-radius": "6px", "box-shadow": "0 1px 5px #0004", "padding": "4px"}

# The script runs once a session, the client is there once a process.
client = pn.state.as_cached("client", lambda: LunoraClient(start(), **OPTIONS))
readings = client.live(api.readings.recent, READINGS)
rows = readings.resilient.map(series)
latest = panel.rx(rows.filter(bool).map(lambda shown: shown[-1]), EMPTY)
watching = panel.rx(readings.resilient.map(lambda shown: audience(client)), "")


def number(name, field, unit, *limits):
    """Return an indicator that turns orange and red at the limits."""
    colours = list(zip((*limits, 1e12), ("#15803d", "#b45309", "#b91c1c"), strict=False)) if limits else []
    size = {"font_size": "26pt", "title_size": "12pt"}
    shown = pn.indicators.Number(
        name=name, value=latest[field], format=f"{{value:,.0f}} {unit}", colors=colours, **size
    )
    return pn.Column(shown, styles=CARD, margin=8)


def chart(title, colours, numbers, **options):
    """Return lines over the last minute."""
    plot = figure(
        title=title, x_axis_type="datetime", height=340, sizing_mode="stretch_width", toolbar_location=None, **options
    )
    for name, colour in colours.items():
        plot.line("at", name, source=table, color=colour, line_width=2, legend_label=name)
    plot.yaxis.formatter = NumeralTickFormatter(format=numbers)
    legend = plot.legend[0]
    legend.update(orientation="horizontal", location="left", border_line_color=None, margin=0, padding=0)
    plot.add_layout(legend, "above")  # where it covers no line
    plot.outline_line_color = None
    return pn.Column(pn.pane.Bokeh(plot), styles=CARD, margin=8)


async def cut(event):
    """Have the server reset every socket, and refuse new ones for a while."""
    await client.action(api.demo.cut, {"seconds": CUT_SECONDS})


table = bokeh.source(rows, ["at", "cpu", "memory", "disk", "network"])
# This template asks nobody else for anything, where the Fast ones want a font from elsewhere.
pn.template.BootstrapTemplate(
    title="This machine, live · Panel",
    header_background="#1e293b",
    header=[panel.badge(client, readings)],
    main=[
        pn.Row(
            number("CPU", "cpu", "%", 50, 80),
            number("Memory", "memory", "%", 70, 90),
            number("Disk", "disk", "kB/s"),
            number("Network", "network", "kB/s"),
        ),
        pn.Row(
            chart("CPU and memory, %", {"cpu": "#2563eb", "memory": "#7c3aed"}, "0", y_range=(0, 105)),
            chart("Disk and network, kB/s", {"disk": "#db2777", "network": "#0d9488"}, "0,0"),
        ),
        pn.Row(
            pn.widgets.Button(name="Cut the connection", button_type="danger", on_click=cut, width=200),
            pn.pane.Markdown(watching),
        ),
    ],
).servable(title="This machine")
