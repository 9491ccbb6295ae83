"""``lunora-rx serve``: the functions of a file on the embedded server, served anew whenever they change."""

from __future__ import annotations

import os
import runpy
import shlex
import signal
import socket
import sqlite3
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from lunora_rx.cli.text import complain
from lunora_rx.devserver import App

HOST = "127.0.0.1"
_GRACE = 5  # seconds that a server has to end by itself; App.run takes two


def serve(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Python file that defines `app = App()`.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8787,
    storage: Annotated[Path | None, typer.Option(help="Directory for the tables; in memory without it.")] = None,
    reload: Annotated[
        bool,
        typer.Option("--reload", help="Serve anew when a Python file beside it, or in a directory below, changes."),
    ] = False,
) -> None:
    """Serve the functions of a file on the embedded server, for development.

    Ctrl-C ends it with exit code 0; the code is 1 if it cannot serve, 2 for wrong usage.
    With --reload the clients reconnect by themselves, and tables that are in memory begin empty again.
    """
    if reload:
        _serve_anew(file, port, storage)
        return
    app = _app_of(file)
    try:
        app.run(port=port, storage=storage)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        complain("serve", f"cannot serve {file} on port {port}: {reason}")
        raise typer.Exit(1) from None


def _app_of(file: Path) -> App:
    # A file finds its neighbours, as it does when Python runs it.
    sys.path.insert(0, str(file.resolve().parent))
    served = {id(value): value for value in runpy.run_path(str(file)).values() if isinstance(value, App)}
    if len(served) != 1:
        raise typer.BadParameter(f"{file} defines {len(served)} objects of class App, and one is needed")
    return next(iter(served.values()))


def _serve_anew(file: Path, port: int, storage: Path | None) -> None:
    if find_spec("watchfiles") is None:
        raise typer.BadParameter("--reload watches the files with watchfiles: pip install 'lunora-rx[cli]'")
    from watchfiles import PythonFilter, run_process

    command = [sys.executable, "-m", "lunora_rx.cli", "serve", str(file), "--port", str(port or _free_port())]
    if storage is not None:
        command += ["--storage", str(storage)]
    # It ends on SIGTERM by interrupting itself, and a shell starts what runs in its background deaf to that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Paths may be relative: the working directory is no place that imports may come from, and does not change.
    watched = file.resolve().parent
    run_process(
        watched,
        target=shlex.join(command) if os.name != "nt" else " ".join(f'"{part}"' for part in command),
        target_type="command",
        watch_filter=PythonFilter(),
        callback=_tell_changes,
        sigint_timeout=_GRACE,
    )


def _tell_changes(changes: set[tuple[Any, str]]) -> None:
    names = sorted({os.path.relpath(path) for _, path in changes})
    print(f"{', '.join(names)} changed: serving anew", flush=True)


def _free_port() -> int:
    """Return a port that stays the same when the server begins anew."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
