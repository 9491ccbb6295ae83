"""The page's server: on this machine only, under a path that nobody can guess."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from lunora_rx.arguments import show_url
from lunora_rx.cli.dashboard.desk import Desk
from lunora_rx.cli.target import Target

HOST: Final = "127.0.0.1"


async def serve_dashboard(target: Target, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve pages until the process is asked to end.

    Args:
        target: The Lunora server, and the token for it, which stays in this process.
        port: Where to listen; 0 for any that is free.
        ready: Called with the URL of the page once it can be opened.

    Raises:
        OSError: The port cannot be had.
    """
    ends = asyncio.Event()
    _end_on_interrupt(ends)
    asyncio.get_running_loop().set_exception_handler(_pass_over_gone_pages)
    desk = Desk(target)
    try:
        key = secrets.token_urlsafe(16)
        server, chosen = _serve(desk, show_url(target.url), key, port or _free_port())
        try:
            ready(f"http://{HOST}:{chosen}/{key}/")
            await ends.wait()
        finally:
            server.stop()
    finally:
        await desk.aclose()


def _serve(desk: Desk, title: str, key: str, port: int) -> tuple[Any, int]:
    from lunora_rx.cli.dashboard.page import Page
    from lunora_rx.cli.dashboard.toolkit import pn

    server = pn.serve(
        {"/": lambda: Page(desk, title).show()},
        address=HOST,
        port=port,
        prefix=f"/{key}",
        # The socket answers pages from here, and no others that happen to be open in the same browser.
        websocket_origin=[f"{HOST}:{port}"],
        title="Lunora",
        show=False,
        start=False,
        verbose=False,
    )
    server.start()
    return server, server.port


def _free_port() -> int:
    # The origin has to be known before the server listens, so it cannot choose the port itself.
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _end_on_interrupt(ends: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends it
            loop.add_signal_handler(number, ends.set)


def _pass_over_gone_pages(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report what nobody caught, but not that a page was closed while something was on its way to it."""
    gone = import_module("tornado.websocket").WebSocketClosedError
    if not isinstance(context.get("exception"), gone):
        loop.default_exception_handler(context)
