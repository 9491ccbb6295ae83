"""The short programs of docs/dashboards.md, started as they stand, against a server that has what they ask for."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from concurrent.futures import Future

import pytest
from playwright.sync_api import expect

from lunora_rx.devserver import App
from tests.browser.conftest import ROOT, foreign, frames_of_ours, free_port, outside, wait_for

PAGE = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
SECTIONS = (each.partition("\n") for each in PAGE.split("\n## ")[1:])
PROGRAMS = {name: text.split("```python\n")[1].split("```\n")[0] for name, _, text in SECTIONS if "```python\n" in text}
COMMANDS = {
    "Panel": "-m panel serve app.py --port {port}",
    "Bokeh": "app.py",
    "Streamlit": "-m streamlit run app.py --server.port {port} --server.headless true",
    "NiceGUI": "app.py",
}
# Where a program names its port, if it says one at all.
PORTS = {
    "IOLoop.current())": "IOLoop.current(), port={port})",
    "ui.run()": "ui.run(port={port}, show=False, reload=False)",
}


@pytest.fixture(scope="module")
def server_url():
    """A server with tasks and prices."""
    app, url, is_over = App(), Future(), threading.Event()
    app.query("tasks:list")(lambda ctx: [{"_id": "1", "text": "write"}])
    app.query("prices:recent")(lambda ctx: [{"_id": "1", "at": 1.0, "price": 2.0}])

    async def serve():
        async with app.serve() as address:
            url.set_result(address)
            await asyncio.to_thread(is_over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield url.result(10)
    is_over.set()
    thread.join()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("library", COMMANDS)
def test_program_of_the_page_shows_that_it_is_live(library, server_url, chromium, tmp_path):
    """As it is copied from the page, but for the addresses."""
    port = free_port()
    program = PROGRAMS[library].replace("http://127.0.0.1:8787", server_url)
    for short, long in PORTS.items():
        program = program.replace(short, long.format(port=port))
    (tmp_path / "app.py").write_text(program, encoding="utf-8")
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "secrets.toml").write_text(f'url = "{server_url}"', encoding="utf-8")
    words, log = COMMANDS[library].format(port=port).split(), tmp_path / "log"
    (tmp_path / ".streamlit" / "config.toml").write_text("[browser]\ngatherUsageStats = false", encoding="utf-8")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *words], cwd=tmp_path, stdout=output, stderr=output, env=outside())
    try:
        wait_for(port, process, log)
        with chromium.new_context() as context:
            page, requests = context.new_page(), []
            page.on("request", lambda request: requests.append(request.url))
            page.goto(f"http://localhost:{port}/{'app' if library == 'Panel' else ''}")
            expect(page.get_by_text(re.compile(r"^\W*live$")).last).to_be_visible(timeout=60_000)
    finally:
        process.terminate()
        process.wait(20)
    assert foreign(requests) == []
    assert frames_of_ours(log, tmp_path) == []


def test_every_library_has_a_program():
    """No section without one, and none that is not tried."""
    assert set(PROGRAMS) == set(COMMANDS)
