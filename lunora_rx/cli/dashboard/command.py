"""``lunora-rx dashboard``: serves the page and opens it."""

from __future__ import annotations

import asyncio
import webbrowser
from importlib.util import find_spec
from typing import Annotated

import typer

from lunora_rx.arguments import check_header_text
from lunora_rx.protocol.endpoints import check_origin

_NEEDED = ("panel", "jsonschema")


def dashboard(
    url: Annotated[str, typer.Option(help="Where the server is.", envvar="LUNORA_URL")] = "http://127.0.0.1:8787",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LUNORA_TOKEN",
            show_default=False,
            help="Token for calls and sockets; it stays in this process, and the page does not have it.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any that is free.")] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Do not open the browser; print the address only.")
    ] = False,
) -> None:
    """Open a page for a server: watch queries as grids, pivots and charts, run mutations, see calls and frames.

    The page is served on this machine only, at an address that holds a secret; Ctrl-C ends it.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise typer.BadParameter(f"the dashboard needs {', '.join(missing)}: pip install 'lunora-rx[dashboard]'")
    _check(url, token)
    from lunora_rx.cli.dashboard.serving import serve_dashboard

    def ready(page: str) -> None:
        typer.echo(page)
        if not no_open:
            webbrowser.open(page)

    try:
        asyncio.run(serve_dashboard(url, token=token or None, port=port, ready=ready))
    except OSError as error:
        typer.echo(f"cannot serve the dashboard on port {port}: {error.strerror or error}", err=True)
        raise typer.Exit(1) from None


def _check(url: str, token: str | None) -> None:
    try:
        check_origin(url, argument="--url")
        if token:
            check_header_text(token, "--token")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
