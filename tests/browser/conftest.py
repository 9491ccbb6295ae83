"""Dashboards as processes, and pages of them in headless Chromium; ``tox -e browser`` runs these tests."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.browser.chromium import CHROMIUM, MISSING

# They need libraries that the default environment has not.
collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "dashboards"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class Dashboard(NamedTuple):
    """How an example is started, and where its page shows what is tested.

    Attributes:
        command: What runs it; ``{app}`` and ``{port}`` are filled in.
        observers: How many a page has.
        path: Where its page is.
        values: A selector of the values on the page; without one they are asked of the page's Bokeh document.
    """

    command: str
    observers: int
    path: str = "/"
    values: str = ""


DASHBOARDS = {
    # A page that is slower than the lifetime finds its session gone, and gets one that looks for styles elsewhere.
    "panel": Dashboard(
        "panel serve {app} --port {port} --unused-session-lifetime 10000 --check-unused-sessions 500",
        observers=4,
        path="/panel_app",
    ),
    "bokeh": Dashboard("{app} {port}", observers=3),
    "streamlit": Dashboard(
        "streamlit run {app} --server.port {port} --server.headless true",
        observers=1,
        values="[data-testid=stMetricValue]",
    ),
    "nicegui": Dashboard("{app} {port}", observers=2, values=".text-4xl"),
}


@pytest.fixture(scope="module", params=DASHBOARDS)
def dashboard(request):
    """The name of each dashboard."""
    return request.param


@pytest.fixture(scope="module")
def url(dashboard, tmp_path_factory):
    """Where the example is served, as a newcomer starts it."""
    command, path = DASHBOARDS[dashboard].command, DASHBOARDS[dashboard].path
    port = free_port()
    log = tmp_path_factory.mktemp(dashboard) / "log"
    words = command.format(app=EXAMPLES / f"{dashboard}_app.py", port=port).split()
    words = words if words[0].endswith(".py") else ["-m", *words]
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *words], stdout=output, stderr=output, env=outside())
        try:
            wait_for(port, process, log)
            yield f"http://localhost:{port}{path}"
        finally:
            process.terminate()
            process.wait(20)
    assert frames_of_ours(log, EXAMPLES) == []


@pytest.fixture(scope="session", autouse=True)
def browser_is_there():
    """Without a browser nothing here says anything, which is no reason to be green."""
    assert CHROMIUM.is_file(), MISSING


@pytest.fixture(scope="session")
def chromium():
    """The browser of the system."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, url):
    """What opens the dashboard, each time as somebody else."""
    contexts = []

    def open_page():
        contexts.append(chromium.new_context(viewport={"width": 1120, "height": 660}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.goto(url, wait_until="domcontentloaded")
        return page

    yield open_page
    for context in contexts:
        context.close()


def outside():
    """Return an environment that does not show that a test runs: NiceGUI would behave differently."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}


def foreign(requests):
    """Return the URLs among those a page asked for that lead away from this machine."""
    here = re.compile(r"(https?|wss?)://(localhost|127\.0\.0\.1)[:/]|data:|blob:")
    return [each for each in requests if not here.match(each)]


def free_port():
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, log=None, patience=60):
    """Wait until somebody listens there. To ask for the page would make a session that no browser ends."""
    until = time.monotonic() + patience
    while time.monotonic() < until:
        assert process.poll() is None, _logged(log)
        with socket.socket() as probe:
            if probe.connect_ex(("localhost", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(_logged(log))


def frames_of_ours(log, programs):
    """The lines of tracebacks that stand in the package, wherever it is installed, or below that folder.

    Libraries complain of pages that close in the middle of a message; nothing of ours may be part of that. And they are
    below this project themselves in tox.
    """
    ours = "|".join(map(re.escape, [f"{ROOT}/lunora_rx/", f"{programs}/"]))
    return re.findall(rf'File "(?:{ours}|[^"]*/site-packages/lunora_rx/).*', log.read_text(encoding="utf-8"))


def _logged(log):
    return "it wrote no log" if log is None else log.read_text(encoding="utf-8")
