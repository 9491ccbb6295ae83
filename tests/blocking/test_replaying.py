"""Blocking replays: the controls return their results, and end with the client."""

from __future__ import annotations

import threading

import pytest

import lunora_rx
from lunora_rx import ClientClosedError
from lunora_rx.blocking import LunoraClient, replay
from tests.blocking.conftest import until


@pytest.fixture
def path(tmp_path, shop):
    """A recording of a query that grows to three rows."""
    path = tmp_path / "session.jsonl"
    with LunoraClient(shop.url) as client, client.record(path):
        live = client.live("rows:list")
        with live.snapshots.subscribe():
            live.first(timeout=10)
            for n in range(3):
                client.mutation("rows:add", {"n": n})
                live.first(lambda rows, n=n: len(rows) == n + 1, timeout=10)
    return path


def test_replay_plays_to_its_end(path, no_threads_left):
    """By itself, as fast as possible."""
    with replay(path, speed=None) as client:
        with client.live("rows:list").snapshots.subscribe():
            client.playback.wait_end(10)
            assert len(client.live("rows:list").value) == 3
        assert client.playback.is_over
        assert repr(client).startswith("<blocking")
    with pytest.raises(ClientClosedError, match=r"step\(\)"):
        client.playback.step()


def test_replay_is_moved_by_hand(path, no_threads_left):
    """What a step, a run or a jump plays is shown when it returns."""
    with replay(path, paused=True) as client, client.live("rows:list").snapshots.subscribe():
        live, playback = client.live("rows:list"), client.playback
        while not live.snapshot.has_value or len(live.value) < 2:
            assert playback.step().is_seen
        assert 0 < playback.position <= playback.duration == round(playback.duration, 3)
        playback.run()
        assert (len(live.value), playback.position, playback.step()) == (3, playback.duration, None)
        playback.seek(0.0)
        assert not playback.is_over
        playback.speed = 2.0
        playback.play()
        playback.pause()
        assert (playback.speed, playback.is_playing, playback.steps > 3) == (2.0, False, True)
        assert repr(playback).startswith("<blocking Playback paused at ")
        assert "1 queries" in repr(client.contents)
        assert client.header.url.startswith("http://127.0.0.1")


def test_wait_for_the_end_is_left_by_a_timeout_and_by_the_close(path, no_threads_left):
    """The replay goes on after the one, and not after the other."""
    client, errors = replay(path, paused=True), []
    with pytest.raises(TimeoutError, match=r"wait_end\(\): nothing within 0\.05 s"):
        client.playback.wait_end(0.05)

    def wait():
        try:
            client.playback.wait_end()
        except ClientClosedError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    client.close()
    thread.join(10)
    assert len(errors) == 1


def test_plain_with_of_an_asyncio_replay_says_what_to_write(path):
    """Both ways out are named."""
    with pytest.raises(TypeError, match=r"async with replay.*lunora_rx\.blocking\.replay"), lunora_rx.replay(path):
        pass


def test_recording_tells_whether_it_is_under_way(tmp_path, shop, no_threads_left):
    """It has the names of the other client's."""
    with LunoraClient(shop.url) as client:
        recording = client.record(tmp_path / "s.jsonl")
        assert recording.is_recording
        assert "s.jsonl under way" in repr(recording)
        recording.close()
        recording.close()
        assert not recording.is_recording
        assert "s.jsonl ended" in repr(recording)
        until(lambda: (tmp_path / "s.jsonl").read_text().count('"end"') == 1)
