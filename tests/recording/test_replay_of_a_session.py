"""A real session, recorded from the embedded server and replayed: observers are told the same, in the same order."""

from __future__ import annotations

from math import inf

import pytest

from lunora_rx import LunoraClient, replay
from tests.recording.session import SEND, Watch, chat, pause, settle_on
from tests.support import QUICK, until


async def record_session(path, *, begins_late=False):
    """Live through writes, deltas, cuts, a new epoch and a failing query; return what observers were told."""
    app = chat()
    async with app.serve() as url, LunoraClient(url, reconnect=QUICK) as client:
        if not begins_late:
            client.record(path)
        watch = Watch(client)
        statuses = watch.see("status", client.status)
        await settle_on(watch, "stream", 4)
        first = await client.mutation(SEND, {"text": "one"})
        await client.mutation(SEND, {"text": "two"})
        await settle_on(watch, "shape", 3)
        if begins_late:
            client.record(path)
            watch.begin_anew()
        app.faults.drop_sockets()
        await until(lambda: "offline" in map(str, statuses.values))
        await until(lambda: str(client.status.value) == "connected")
        await client.mutation("messages:edit", {"id": first, "text": "uno"})
        await client.mutation(SEND, {"text": "room", "channel": "x"}, shard="room")
        await pause()
        app.faults.new_epoch()
        await pause()
        await client.mutation("messages:drop", {"id": first})
        await client.query("messages:count")
        app.faults.send_text('{"type":"whisper","topic":"typing","data":{"who":"ada"},"from":"ada"}')
        await settle_on(watch, "whispers", 1)
        await pause()
        told, ends = watch.values, watch.ends
    return told, ends


async def replay_at(path, advance):
    """Run the same observers on a replay; return what they were told."""
    async with replay(path, paused=True) as client:
        watch = Watch(client)
        watch.see("status", client.status)
        await advance(client.playback)
        return watch.values, watch.ends


async def at_once(playback):
    await playback.run()


async def step_by_step(playback):
    while await playback.step() is not None:
        pass


async def in_time(playback):
    playback.speed = 20
    playback.play()
    await playback.wait_end()


async def as_fast_as_possible(playback):
    playback.speed = inf
    playback.play()
    await playback.wait_end()


@pytest.mark.parametrize("advance", [at_once, step_by_step, in_time, as_fast_as_possible])
@pytest.mark.parametrize("name", ["session.jsonl", "session.jsonl.gz"])
async def test_replay_tells_observers_what_the_recorded_ones_were_told(tmp_path, name, advance, no_tasks_left):
    """Values, deltas, cuts, a new epoch, errors, shapes, streams, whispers and statuses: the same sequences."""
    told, ends = await record_session(tmp_path / name)
    again, ends_again = await replay_at(tmp_path / name, advance)
    assert len(told["list"]) >= 5
    assert {name: again[name] for name in told} == told
    assert ends_again == ends


@pytest.mark.parametrize("advance", [at_once, step_by_step])
async def test_recording_that_begins_in_the_middle_shows_what_was_shown(tmp_path, advance, no_tasks_left):
    """Whatever the client showed at that moment is in the recording, and what followed fits to it."""
    told, _ = await record_session(tmp_path / "session.jsonl", begins_late=True)
    again, _ = await replay_at(tmp_path / "session.jsonl", advance)
    ours = {name: [value for value in values if not _is_opening(value)] for name, values in again.items()}
    for name in ("list", "count", "room", "shape", "whispers", "snapshots"):
        assert ours[name] == told[name], name
    assert len(told["list"]) >= 4


def _is_opening(value):
    return isinstance(value, tuple) and value[0] == "pending"


async def test_two_replays_tell_the_same(tmp_path):
    """What is shown does not depend on the time that it takes."""
    await record_session(tmp_path / "session.jsonl")
    one, other = [await replay_at(tmp_path / "session.jsonl", advance) for advance in (in_time, at_once)]
    assert one == other
