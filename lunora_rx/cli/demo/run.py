"""Runs the demo: server, feed, cut, display, and the check that nothing was lost."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live

from lunora_rx import Backoff, LunoraClient, api
from lunora_rx.cli.demo.board import HISTORY, Board, compose, rate
from lunora_rx.cli.demo.display import render
from lunora_rx.cli.demo.readings import Feed
from lunora_rx.cli.demo.server import serving
from lunora_rx.cli.text import without_fonts

CUT_AFTER = 0.4
CUT_AT_MOST = 6.0
CUT_SECONDS = 2.0
QUIESCENCE = 10.0
FRAMES_A_SECOND = 8

# A demo of fifteen seconds cannot wait thirty for its next attempt.
_RECONNECT = Backoff(maximum=2.0)


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for."""

    seconds: float | None
    as_json: bool
    alert: float
    svg: Path | None = None


async def run_demo(options: DemoOptions) -> int:
    """Run the demo and return the exit code: 0 only if nothing was lost."""
    if options.as_json:
        logging.getLogger("lunora_rx").setLevel(logging.ERROR)
    else:
        logging.getLogger("lunora_rx").addHandler(logging.NullHandler())
    async with serving() as url, LunoraClient(url, reconnect=_RECONNECT) as client:
        board = Board()
        feed = Feed(client)
        with compose(client, board, alert=options.alert):
            await _show_while(_play(client, feed, options.seconds), board, feed, as_json=options.as_json)
            summary = await _audit(client, board, feed)
    if options.svg is not None:
        _save_svg(board, options.svg)
    is_complete = not (summary["lost"] or summary["duplicated"] or summary["failed"])
    _print_summary(summary, as_json=options.as_json, is_complete=is_complete)
    return 0 if is_complete else 1


async def _play(client: LunoraClient, feed: Feed, seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    until = None if seconds is None else loop.time() + seconds
    cut_after = CUT_AT_MOST if seconds is None else min(CUT_AT_MOST, seconds * CUT_AFTER)
    cut = loop.create_task(_cut_once(client, cut_after))
    try:
        await feed.run(until=until)
    finally:
        cut.cancel()


async def _cut_once(client: LunoraClient, after: float) -> None:
    await asyncio.sleep(after)
    await client.action(api.demo.cut, {"seconds": CUT_SECONDS})


async def _show_while(play: Any, board: Board, feed: Feed, *, as_json: bool) -> None:
    playing = asyncio.ensure_future(play)
    show = _print_json if as_json else _draw
    showing = asyncio.ensure_future(show(board, feed))
    try:
        await playing
    except asyncio.CancelledError:
        # Ctrl-C ends the demo, not the check of what it showed.
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
    finally:
        showing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await showing


async def _draw(board: Board, feed: Feed) -> None:
    with Live(render(board), refresh_per_second=FRAMES_A_SECOND, get_renderable=lambda: render(board)):
        await asyncio.Event().wait()


async def _print_json(board: Board, feed: Feed) -> None:
    second = 0
    while True:
        await asyncio.sleep(1)
        second += 1
        _print_line(
            {
                "second": second,
                "status": str(board.status),
                "freshness": str(board.freshness),
                "cpu": board.rows[0]["cpu"] if board.rows else None,
                "cpu_mean": round(board.cpu_mean, 2),
                "memory": board.memory,
                "disk_rate": round(rate(board.rows, "disk")),
                "network_rate": round(rate(board.rows, "network")),
                "alert": board.is_alert,
                "values": board.values,
                "composed": feed.composed,
                "pending": board.pending,
            }
        )


async def _audit(client: LunoraClient, board: Board, feed: Feed) -> dict[str, Any]:
    """Compare what was shown with what the server's table holds, once everything has come to rest."""
    await feed.settle(QUIESCENCE)
    committed = list(feed.committed)
    table: list[list[Any]] = await client.query(api.readings.all)
    await _all_shown(client, board, {row_id for row_id, _ in table})
    return {
        "frames": client.debug()["frames_received"],
        "values": board.values,
        "reconnects": board.reconnects,
        "resumed": board.resumed,
        **audit(board, committed=committed, table=table),
        "composed": feed.composed,
        "queued": feed.queued,
        "committed": len(committed),
        "failed": feed.failed,
        "rows": len(table),
        "alerts": board.alerts,
        "memory_changes": board.memory_changes,
    }


def audit(board: Board, *, committed: list[str], table: list[list[Any]]) -> dict[str, int]:
    """Return how many rows were lost and how many doubled.

    Args:
        board: Knows which rows were shown.
        committed: Ids of the rows that the server reported as stored.
        table: Id and tick of every row that the server's table holds.
    """
    stored = {row_id for row_id, _ in table}
    ticks = Counter(tick for _, tick in table)
    return {
        "lost": len(stored - board.seen) + len(set(committed) - stored),
        "duplicated": sum(count - 1 for count in ticks.values()),
    }


async def _all_shown(client: LunoraClient, board: Board, stored: set[str]) -> None:
    readings = client.live(api.readings.recent, {"limit": HISTORY})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(QUIESCENCE):
            # The board observes the same query and came first, so it has seen each value that is asked about here.
            await readings.first(lambda rows: stored <= board.seen)


def _print_summary(summary: dict[str, Any], *, as_json: bool, is_complete: bool) -> None:
    if as_json:
        _print_line(summary)
        return
    verdict = "[green]nothing was lost[/]" if is_complete else "[red]readings were lost or doubled[/]"
    Console().print(
        f"{summary['committed']} readings written, {summary['queued']} of them queued, {summary['rows']} in the"
        f" server's table, {summary['values']} values in {summary['frames']} frames,"
        f" {summary['reconnects']} reconnects, {summary['lost']} lost: {verdict}"
    )


def _save_svg(board: Board, path: Path) -> None:
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(board))
    path.write_text(without_fonts(console.export_svg(title="lunora-rx demo")), encoding="utf-8")


def _print_line(content: dict[str, Any]) -> None:
    print(orjson.dumps(content).decode(), flush=True)
