"""How each view is started, and what is done on its page before it shows the rows."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PYTHON = sys.executable
QUIET = ("--server.headless", "true", "--browser.gatherUsageStats", "false")


@dataclass(frozen=True)
class View:
    """A view of the 1,000 rows.

    Attributes:
        command: What runs it; ``{port}`` and ``{server}`` are filled in.
        path: Where its page is.
        prints_url: Whether it prints the URL of its page instead.
        prepare: What somebody does on the page until the rows are there.
        is_terminal: Whether it has a terminal in the place of a page.
    """

    command: tuple[str, ...]
    path: str = "/"
    prints_url: bool = False
    prepare: Callable[..., None] = lambda page: None
    is_terminal: bool = False


def watch_rows(page):
    """Pick the query on the page of ``lunora-rx dashboard``, and watch it."""
    page.locator("option", has_text="cells:all").first.wait_for(state="attached")
    page.locator("select").first.select_option(label="cells:all")
    page.get_by_role("button", name="Watch").click()


VIEWS = {
    "dashboard": View(
        (PYTHON, "-m", "lunora_rx.cli", "dashboard", "--url", "{server}", "--port", "{port}", "--no-open"),
        prints_url=True,
        prepare=watch_rows,
    ),
    "panel": View((PYTHON, "-m", "panel", "serve", f"{HERE}/panel_page.py", "--port", "{port}"), path="/panel_page"),
    "bokeh": View((PYTHON, f"{HERE}/bokeh_page.py", "{port}")),
    "streamlit": View(
        (PYTHON, "-m", "streamlit", "run", f"{HERE}/streamlit_page.py", "--server.port", "{port}", *QUIET)
    ),
    "nicegui": View((PYTHON, f"{HERE}/nicegui_page.py", "{port}")),
    "watch": View((PYTHON, "-m", "lunora_rx.cli", "watch", "cells:all", "--url", "{server}"), is_terminal=True),
}
