"""Notebooks in JupyterLab, Jupyter Notebook and marimo, in headless Chromium: what tests and pictures are made with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.browser.chromium import CHROMIUM
from tests.browser.conftest import free_port

# Charts are drawn with WebGL, which a machine without a graphics card has in software.
GL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
FLAGS = ["--no-sandbox", "--disable-background-networking", "--enable-precise-memory-info", *GL]
PATIENCE = 60_000

# JupyterLab and Notebook are asked themselves: keys that are typed before a page is ready are lost. JupyterLab opens
# what was open before, too, and may show that first.
IS_READY = """name => {
    const panel = globalThis.jupyterapp?.shell.currentWidget, kernel = panel?.sessionContext?.session?.kernel;
    return panel?.context?.path === name && panel.content.widgets.length > 0
        && kernel?.status === "idle" && kernel.connectionStatus === "connected";
}"""
RUN = """async ([number, text]) => {
    const app = globalThis.jupyterapp, notebook = app.shell.currentWidget.content;
    notebook.activeCellIndex = number;
    notebook.deselectAll();
    if (text !== null) notebook.activeCell.model.sharedModel.setSource(text);
    await app.commands.execute("notebook:run-cell");
    return notebook.widgets[number].outputArea.model.toJSON();
}"""


class Notebook:
    """A page of a notebook in JupyterLab or Jupyter Notebook.

    Attributes:
        page: Playwright's page.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE)

    def cell(self, number: int) -> Any:
        """Return where a cell is, with its outputs."""
        return self.page.locator(".jp-CodeCell").nth(number)

    def run(self, number: int, text: str | None = None) -> str:
        """Run a cell to its end, with another text where one is given; return what it printed."""
        outputs = self.page.evaluate(RUN, [number, text])
        for output in outputs:
            assert output["output_type"] != "error", "\n".join(output["traceback"])
        return "".join("".join(output["text"]) for output in outputs if output["output_type"] == "stream")

    def badge(self, number: int, words: str) -> None:
        """Wait until the badge of a cell says something."""
        self.cell(number).locator(".lunora-rx-badge", has_text=words).wait_for()

    def changes(self, number: int, part: str) -> None:
        """Wait until a part of a cell's view says something else."""
        seen = self.cell(number).locator(part)
        before = seen.inner_text()
        self.until(lambda: seen.inner_text() != before)

    def until(self, condition: Any) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + PATIENCE / 1000
        while not condition():
            assert time.monotonic() < deadline, "the condition never came true"
            self.page.wait_for_timeout(100)

    def shut_down(self) -> None:
        """End the kernel, and close the page."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()


@contextmanager
def served(command: list[str], path: str, log: Path, **env: str) -> Iterator[str]:
    """Start a server, ``{port}`` of whose command is filled in; give the address of a path when it answers."""
    port = free_port()
    with log.open("wb") as output:
        words = [sys.executable, "-m", *(word.format(port=port) for word in command)]
        process = subprocess.Popen(words, stdout=output, stderr=output, env={**os.environ, **env}, cwd=log.parent)
    address = f"http://127.0.0.1:{port}{path}"
    try:
        _wait(address, process, log)
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(log.read_text(encoding="utf-8"))


@contextmanager
def jupyter(root: Path, front: str = "lab") -> Iterator[str]:
    """Serve the notebooks of an empty directory in ``lab`` or ``notebook``; give the address that names follow."""
    module, path = {"lab": ("jupyterlab", "lab/tree"), "notebook": ("notebook", "notebooks")}[front]
    settings = root / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8")
    (root / "files").mkdir()
    options = ["--no-browser", "--ip=127.0.0.1", "--port={port}", "--allow-root", "--expose-app-in-browser"]
    options += ["--IdentityProvider.token=", f"--ServerApp.root_dir={root / 'files'}"]
    env = {f"JUPYTER_{name}_DIR": str(root / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    env["JUPYTERLAB_SETTINGS_DIR"] = str(root / "settings")
    with served([module, *options], f"/{path}/", root / "log", **env) as address:
        yield address


def write(root: Path, name: str, cells: Sequence[str]) -> None:
    """Write a notebook of cells where ``jupyter`` serves it."""
    import nbformat

    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    made = [nbformat.v4.new_code_cell(text.strip()) for text in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made, metadata=kernel), root / "files" / f"{name}.ipynb")


@contextmanager
def chromium() -> Iterator[Any]:
    """Start the system's browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def opened(browser: Any, address: str, *, width: int = 1100, height: int = 1750) -> Notebook:
    """Open a notebook and nothing else, and wait until its kernel answers."""
    notebook = Notebook(browser.new_page(viewport={"width": width, "height": height}))
    notebook.page.goto(f"{address}?reset")
    notebook.page.wait_for_function(IS_READY, arg=address.rpartition("/")[2])
    return notebook
