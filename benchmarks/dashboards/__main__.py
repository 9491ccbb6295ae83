"""Measures how each view stands 50 writes a second on 1,000 rows.

``python -m benchmarks.dashboards [VIEW ...] [--seconds 300] [--write docs/dashboards.md]`` prints a line a view. The
server is a process of its own; what is measured is the process of the view, and its page in headless Chromium.
"""

import argparse
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from benchmarks.dashboards import page, report, terminal
from benchmarks.dashboards.views import VIEWS
from benchmarks.measure import machine
from lunora_rx import api
from lunora_rx.blocking import LunoraClient
from tests.browser.conftest import free_port, outside, wait_for

PARTS = 5
WARM_UP = 10.0  # seconds: a page is first laid out, and code is compiled


def main():
    """Measure the views asked for, one after another."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboards", description=__doc__)
    parser.add_argument("views", nargs="*", metavar="VIEW", help=f"views to measure: {', '.join(VIEWS)} (default: all)")
    parser.add_argument("--seconds", type=float, default=300, help="how long each is watched (default: 300)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the lines into the table of this file")
    options = parser.parse_args()
    unknown = [name for name in options.views if name not in VIEWS]
    if unknown:
        parser.error(f"there is no view {', '.join(unknown)}; there are {', '.join(VIEWS)}")
    print(f"{machine()}\n", *report.HEAD, sep="\n", flush=True)
    for name in options.views or VIEWS:
        line = report.line(name, measure(VIEWS[name], options.seconds))
        print(line, flush=True)
        if options.write:
            options.write.write_text(report.put(options.write.read_text(encoding="utf-8"), [line]), encoding="utf-8")


def measure(view, seconds):
    """Return what was measured at the start, and in each part of the time."""
    with ExitStack() as stack:
        server = stack.enter_context(serving())
        client = stack.enter_context(LunoraClient(server))
        process, shown = stack.enter_context(showing(view, server))
        shown.wait(WARM_UP)
        shown.take()
        parts = [{"process": size(process), **shown.sizes()}]
        for _ in range(PARTS):
            start, cpu, writes = time.monotonic(), work(process), client.query(api.cells.writes)
            shown.wait(seconds / PARTS)
            part = {"seconds": time.monotonic() - start, "cpu": work(process) - cpu, **shown.take()}
            part["writes"] = client.query(api.cells.writes) - writes
            parts.append({**part, "process": size(process), **shown.sizes()})
        return parts


@contextmanager
def serving():
    """Run the server; yields its URL."""
    command = [sys.executable, "-m", "benchmarks.dashboards.serving"]
    with ending(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as server:
        yield server.stdout.readline().strip()


@contextmanager
def showing(view, server):
    """Run a view until it shows the rows; yields its process, and what looks at it."""
    port = free_port()
    words = [word.format(port=port, server=server) for word in view.command]
    environment = {**outside(), "LUNORA_URL": server}
    if view.is_terminal:
        ours, theirs = terminal.terminal()
        environment["TERM"] = "xterm-256color"
        process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
        with ending(process), terminal.opened(ours) as screen:
            yield psutil.Process(process.pid), screen
        return
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    with ending(process):
        if view.prints_url:
            url = process.stdout.readline().strip()
        else:
            wait_for(port, process)
            url = f"http://localhost:{port}{view.path}"
        with page.opened(view, url) as shown:
            yield psutil.Process(process.pid), shown


@contextmanager
def ending(process):
    """End a process, whatever happens."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def size(process):
    """Return the resident bytes of a process and its children."""
    return sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))


def work(process):
    """Return the seconds that a process has computed."""
    return sum(process.cpu_times()[:2])


if __name__ == "__main__":
    main()
