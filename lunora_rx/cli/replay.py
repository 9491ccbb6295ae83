"""``lunora-rx replay``: plays a recording in the terminal."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from lunora_rx import LunoraError, ReplayClient, Snapshot
from lunora_rx import replay as open_replay
from lunora_rx.cli.progress import playback_bar
from lunora_rx.cli.text import complain, counted
from lunora_rx.protocol.text import serialize
from lunora_rx.protocol.values import UNDEFINED
from lunora_rx.protocol.wire import decode_wire, encode_wire
from lunora_rx.recording.contents import Asked

_SHOWN = 100
_LOGGED = 12


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What lunora-rx record or client.record wrote.")],
    speed: Annotated[float, typer.Option(help="Seconds of the recording in one; inf: as fast as possible.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a snapshot.")] = False,
) -> None:
    """Show what a recording shows: its live queries, as they changed.

    Exit code 0 only if it was played to its end.
    """
    if not speed > 0:
        raise typer.BadParameter("--speed is a number above 0, or inf")
    try:
        is_over = asyncio.run(_replay(file, speed, as_json=as_json))
    except (LunoraError, OSError, ValueError) as error:
        complain("replay", f"cannot replay {file}: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        is_over = False
    raise typer.Exit(0 if is_over else 130)


async def _replay(file: Path, speed: float, *, as_json: bool) -> bool:
    async with open_replay(file, speed=speed, paused=True) as client:
        display = _Display(client)
        for asked, live in _live_queries(client):
            live.snapshots.subscribe(lambda snapshot, asked=asked: display.note(asked, snapshot, as_json=as_json))
        client.playback.play()
        if as_json or not display.console.is_terminal:
            await client.playback.wait_end()
        else:
            with Live(get_renderable=display.render, console=display.console, refresh_per_second=10):
                await client.playback.wait_end()
        if not as_json:
            display.console.print(display.summary())
        return client.playback.is_over


def _live_queries(client: ReplayClient) -> Iterator[tuple[Asked, Any]]:
    for asked in client.contents.queries.values():
        yield asked, client.live(asked.function, decode_wire(asked.args), shard=asked.shard)


class _Display:
    """What was shown so far."""

    def __init__(self, client: ReplayClient) -> None:
        self.console = Console()
        self._client = client
        self._keys: set[str] = set()
        self._log: deque[str] = deque(maxlen=_LOGGED)
        self._changes = 0
        self._bar = playback_bar(self.console)
        # A recording of one instant has no length; a bar without a total would swing to and fro.
        self._task = self._bar.add_task("playing", total=client.playback.duration or 1e-9)

    def note(self, asked: Asked, snapshot: Snapshot[Any], *, as_json: bool) -> None:
        """Take a snapshot of a query."""
        position = self._client.playback.position
        if as_json:
            print(_line(position, asked, snapshot), flush=True)
            return
        self._keys.add(asked.key)
        self._changes += 1
        line = f"{position:9.3f}  {asked.function}  {snapshot.status}  {_shown(snapshot)}"
        if self.console.is_terminal:
            self._log.append(line)
        else:
            print(line, flush=True)

    def render(self) -> RenderableType:
        """Return the display."""
        playback = self._client.playback
        log = Table.grid()
        for line in self._log:
            log.add_row(line)
        panel = Panel(log, title=self._client.status.value, subtitle=self._client.header.url or None)
        self._bar.update(self._task, completed=playback.position)
        return Group(panel, self._bar.get_renderable())

    def summary(self) -> str:
        """Return how it ended."""
        queries, changes = counted(len(self._keys), "live query", "live queries"), counted(self._changes, "snapshot")
        return f"{queries}, {changes} in {self._client.playback.duration:.1f} s"


def _line(position: float, asked: Asked, snapshot: Snapshot[Any]) -> str:
    told: dict[str, Any] = {
        "at": round(position, 6),
        "function": asked.function,
        "args": asked.args,
        "shard": asked.shard,
        "status": str(snapshot.status),
    }
    if snapshot.value is not UNDEFINED:
        told["value"] = encode_wire(snapshot.value)
    if snapshot.error is not None:
        told["error"] = str(snapshot.error)
    return serialize(told).decode()


def _shown(snapshot: Snapshot[Any]) -> str:
    if snapshot.error is not None:
        return str(snapshot.error)
    if snapshot.value is UNDEFINED:
        return "-"
    value = snapshot.value
    count = f"{counted(len(value), 'row')}: " if isinstance(value, list) else ""
    text = json.dumps(encode_wire(value), ensure_ascii=False)
    return count + (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
