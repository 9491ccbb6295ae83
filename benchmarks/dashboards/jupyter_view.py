"""Measures views in JupyterLab: ``python -m benchmarks.dashboards.jupyter_view [VIEW ...] [--seconds 300]``.

As ``python -m benchmarks.dashboards`` does for the other views, with whose server and table; it needs what ``tox -e
notebooks`` installs. What is measured is the kernel, and the page with a view and, as a chart says no instants, a text
beside it.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.dashboards import report
from benchmarks.dashboards.__main__ import PARTS, WARM_UP, serving
from benchmarks.dashboards.page import LOOK, Page
from benchmarks.measure import machine
from tests.adapters.jupyter import fronts

CONNECT = """
import os
from lunora_rx import LunoraClient, api
client = LunoraClient(os.environ["LUNORA_URL"])
cells = client.live(api.cells.all)
"""
SHOW = "from lunora_rx.adapters.jupyter import show\n"
VIEWS = {
    "jupyter": "cells",
    "jupyter, chart": f'{SHOW}show(cells, plugin="X/Y Scatter", columns=["x", "y"])',
}
TEXT = f'{SHOW}show(cells.map(lambda rows: rows[0]["note"]), of=cells, title="marker")'
KERNEL = """
import psutil
process = psutil.Process()
print(process.memory_info().rss, sum(process.cpu_times()[:2]), await client.query(api.cells.writes))
"""


def main():
    """Serve, open, measure, and print the line of the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards.jupyter_view", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="how long it is watched (default: 300)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the line into the table of this file")
    parser.add_argument("views", nargs="*", metavar="VIEW", help=f"{' or '.join(map(repr, VIEWS))} (default: both)")
    options = parser.parse_args()
    print(f"{machine()}\n", *report.HEAD, sep="\n", flush=True)
    for name in options.views or VIEWS:
        line = report.line(name, measured(VIEWS[name], options.seconds))
        print(line, flush=True)
        if options.write:
            options.write.write_text(report.put(options.write.read_text(encoding="utf-8"), [line]), encoding="utf-8")


def measured(view, seconds):
    """Serve, open a notebook, and return what was measured."""
    with serving() as server, tempfile.TemporaryDirectory() as directory:
        os.environ["LUNORA_URL"] = server
        root = Path(directory)
        with fronts.jupyter(root) as address, fronts.chromium() as browser:
            fronts.write(root, "load", [CONNECT, view, TEXT, KERNEL])
            notebook = fronts.opened(browser, address + "load.ipynb")
            for number in range(3):
                notebook.run(number)
            parts = measure(browser, notebook, seconds)
            notebook.shut_down()
            return parts


def measure(browser, notebook, seconds):
    """Return what was measured at the start, and in each part of the time."""
    shown = Page(browser, notebook.page)
    notebook.badge(2, "live")
    notebook.page.evaluate(LOOK)
    notebook.page.wait_for_function("() => window.__seen.length > 1")
    shown.wait(WARM_UP)
    shown.take()
    size, cpu, writes = of_kernel(notebook)
    parts = [{"process": size, **shown.sizes()}]
    for _ in range(PARTS):
        start, cpu_before, writes_before = time.monotonic(), cpu, writes
        shown.wait(seconds / PARTS)
        part = {"seconds": time.monotonic() - start, **shown.take()}
        size, cpu, writes = of_kernel(notebook)
        part |= {"cpu": cpu - cpu_before, "writes": writes - writes_before}
        parts.append({**part, "process": size, **shown.sizes()})
    return parts


def of_kernel(notebook):
    """Return its bytes, the seconds that it has worked, and the writes so far."""
    return [float(each) for each in notebook.run(3).split()]


if __name__ == "__main__":
    main()
