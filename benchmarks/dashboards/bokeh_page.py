"""1,000 rows in Bokeh."""

import asyncio
import os
import sys

from bokeh.models import Div
from bokeh.plotting import figure
from bokeh.server.server import Server
from tornado.ioloop import IOLoop

from lunora_rx import LunoraClient, api
from lunora_rx.adapters import bokeh


def build(doc, client):
    """Fill the document of one session."""
    cells = client.live(api.cells.all)
    plot = figure(width=900, height=400)
    plot.scatter("x", "y", source=bokeh.source(cells, ["x", "y"], document=doc))
    marker = Div()
    bokeh.show(cells, lambda rows: marker.update(text=rows[0]["note"]), document=doc)
    doc.add_root(bokeh.badge(client, cells, document=doc))
    doc.add_root(marker)
    doc.add_root(plot)


async def main():
    """Serve until the process ends."""
    async with LunoraClient(os.environ["LUNORA_URL"]) as client:
        server = Server({"/": lambda doc: build(doc, client)}, io_loop=IOLoop.current(), port=int(sys.argv[1]))
        server.start()
        await asyncio.Event().wait()


asyncio.run(main())
