"""``lunora-rx dashboard``: serves the page and opens it."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from typing import Annotated

import typer

from lunora_rx.cli.ending import CommandError, ExitCode, run
from lunora_rx.cli.target import DEFAULT_URL, Target, Token, Url

_NEEDED = ("panel", "jsonschema")


def dashboard(
    url: Url = DEFAULT_URL,
    token: Token = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 for any that is free.")] = 0,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Do not open the browser; print the address only.")
    ] = False,
) -> None:
    """Open a page for a server: watch queries as grids, pivots and charts, run mutations, see calls and frames.

    The page is served on this machine only, at an address that holds a secret; the token stays in this process, and
    the page does not have it. Ctrl-C ends it with exit code 0; the code is 1 if it cannot be served, 2 for wrong usage.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise typer.BadParameter(f"the dashboard needs {', '.join(missing)}: pip install 'lunora-rx[dashboard]'")
    target = Target(url, token)
    run("dashboard", _serve(target, port, is_opened=not no_open), redact=target.redact, interrupted=ExitCode.SUCCESS)


async def _serve(target: Target, port: int, *, is_opened: bool) -> None:
    from lunora_rx.cli.dashboard.serving import serve_dashboard

    def ready(page: str) -> None:
        typer.echo(page)
        if is_opened:
            webbrowser.open(page)

    try:
        await serve_dashboard(target, port=port, ready=ready)
    except OSError as error:
        raise CommandError(f"cannot serve the dashboard on port {port}: {error.strerror or error}") from None
