"""A real session, recorded from the embedded server and replayed: observers are told the same, in the same order."""

from __future__ import annotations

from math import inf

import pytest

from lunora_rx import LunoraClient, replay
from tests.recording.session import SEND, Watch, chat, pause, settle_on
from tests.support import QUICK, until


async def record_session(path, *, from_the_middle=False):
    """Live through writes, deltas, cuts, a new epoch and a failing query; return what observers were told."""
    app = chat()
    async with app.serve() as url, LunoraClient(url, reconnect=QUICK) as client:
        if not from_the_middle:
            client.record(path)
        watch = Watch(client)
        statuses = watch.see("status", client.status)
        await settle_on(watch, "stream", 4)
        first = await client.mutation(SEND, {"text": "one"})
        await client.mutation(SEND, {"text": "two"})
        await settle_on(watch, "shape", 3)
        if from_the_middle:
            client.record(path)
            watch = Watch(client)
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
