"""``lunora-rx record``: watches a live query and writes its session to a file."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from lunora_rx import CodecError, LunoraClient, LunoraError
from lunora_rx.cli.ending import Redact
from lunora_rx.cli.target import Target
from lunora_rx.cli.text import complain, counted
from lunora_rx.protocol.text import loads
from lunora_rx.protocol.values import UNDEFINED


def record(
    function: Annotated[str, typer.Argument(metavar="FUNCTION", help="Query to watch, such as messages:list.")],
    args: Annotated[str, typer.Argument(metavar="ARGS", help="Its arguments as a JSON object.")] = "{}",
    url: Annotated[str, typer.Option(help="Where the deployment is.", envvar="LUNORA_URL")] = "http://127.0.0.1:8787",
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write; compressed if it ends in .gz.")] = Path(
        "session.jsonl"
    ),
    seconds: Annotated[float | None, typer.Option(min=0, help="End after this long; without it, Ctrl-C ends.")] = None,
    shard: Annotated[str | None, typer.Option(help="Shard key.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="LUNORA_WS_TOKEN", help="Token for the socket; it is not recorded.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Watch a live query, and write its session to a file for lunora-rx replay.

    Exit code 0 only if the query had a value, and the whole session is in the file.
    """
    named, redact = _args(args), Target(url, token).redact
    if output.exists() and not overwrite:
        typer.echo(f"{output} exists already; to replace it: --overwrite", err=True)
        raise typer.Exit(1)
    try:
        watched = asyncio.run(_record(function, named, url, output, seconds, shard, token, overwrite))
    except (LunoraError, OSError, ValueError) as error:
        complain("record", redact(f"cannot record {function}: {error}"))
        raise typer.Exit(1) from None
    raise typer.Exit(watched.report(output, redact))


class _Watched:
    """What came of the query."""

    def __init__(self) -> None:
        self.values = 0
        self.error: Exception | None = None
        self.refusals: list[Exception] = []

    def note(self, snapshot: Any) -> None:
        """Note what the query shows."""
        self.error = snapshot.error
        if snapshot.value is not UNDEFINED:
            self.values += 1

    def report(self, output: Path, redact: Redact) -> int:
        """Say how it ended, and return the exit code."""
        failure = next(iter(self.refusals), None) or (self.error if not self.values else None)
        if failure is not None:
            complain("record", redact(f"recording failed: {failure}"))
            return 1
        if not self.values:
            typer.echo("the query had no value: is the server there?", err=True)
            return 1
        typer.echo(f"recorded {counted(self.values, 'value')} in {output}, {output.stat().st_size} bytes")
        return 0


async def _record(
    function: str,
    args: dict[str, Any],
    url: str,
    output: Path,
    seconds: float | None,
    shard: str | None,
    token: str | None,
    overwrite: bool,
) -> _Watched:
    watched, ends = _Watched(), asyncio.Event()
    _end_on_interrupt(ends)
    console = Console(stderr=True)
    async with LunoraClient(url, ws_token=token, on_storage_error=watched.refusals.append) as client:
        client.record(output, overwrite=overwrite)
        with console.status(f"recording {function}") as display:

            def show(snapshot: Any) -> None:
                watched.note(snapshot)
                display.update(f"recording {function}: {counted(watched.values, 'value')}, {snapshot.status}")

            client.live(function, args, shard=shard).snapshots.subscribe(show)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ends.wait(), seconds)
    return watched


def _end_on_interrupt(ends: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: KeyboardInterrupt ends it
            loop.add_signal_handler(number, ends.set)


def _args(text: str) -> dict[str, Any]:
    try:
        args = loads(text)
    except CodecError as error:
        raise typer.BadParameter(f"ARGS is a JSON object such as '{{\"limit\": 10}}': {error.message}") from None
    if not isinstance(args, dict):
        raise typer.BadParameter(f"ARGS is a JSON object, not {type(args).__name__}")
    return args
