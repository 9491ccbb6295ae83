"""The blocking client records its session as the other one does."""

from __future__ import annotations

import asyncio

import pytest

from lunora_rx import replay
from lunora_rx.blocking import LunoraClient


async def shown_by(path):
    """Return what a live query shows at the end of a recording."""
    async with replay(path, speed=float("inf")) as client:
        live = client.live("rows:list")
        values = []
        live.subscribe(values.append)
        await client.playback.wait_end()
        return values[-1]


def test_recording_holds_what_was_shown_inside_the_block(tmp_path, shop):
    """Everything is in the file when the block has ended."""
    path = tmp_path / "session.jsonl"
    with LunoraClient(shop.url) as client:
        with client.record(path):
            live = client.live("rows:list")
            client.mutation("rows:add", {"n": 1})
            rows = live.first(lambda rows: len(rows) == 1, timeout=10)
        assert asyncio.run(shown_by(path)) == rows


def test_recording_over_a_file_is_refused(tmp_path, shop):
    """The error is that of the other client."""
    path = tmp_path / "session.jsonl"
    path.write_text("mine")
    with LunoraClient(shop.url) as client, pytest.raises(FileExistsError):
        client.record(path)
    assert path.read_text() == "mine"
