"""Replays: who comes late, what was not recorded, and the controls."""

from __future__ import annotations

from math import inf

import pytest

from lunora_rx import ServerError, Status, StreamError, TransportError, replay
from lunora_rx.protocol.recording import Entry, Header, Kind, encode_entry, encode_header
from tests.support import Recorder, until

SUBSCRIBE = '{"type":"subscribe","id":"sub_9","query":{"functionPath":"a:b","args":{"x":1},"table":"a:b"}}'
CALL = '{"args":{"n":1},"functionPath":"a:add"}'
BATCH = '{"calls":[{"functionPath":"a:add","args":{"n":2},"id":0},{"functionPath":"a:no","args":{},"id":1}]}'
SLOTS = '{"results":[{"id":1,"body":{"error":{"code":"NO","message":"never"}}},{"id":0,"body":{"result":20}}]}'


def data(value, cursor):
    return f'{{"type":"data","id":"sub_9","data":{value},"cursor":{cursor},"epoch":"e"}}'


ENTRIES = [
    Entry(0, Kind.CONNECTING),
    Entry(10, Kind.OPENED),
    Entry(11, Kind.SENT, text=SUBSCRIBE),
    Entry(12, Kind.RECEIVED, text='{"type":"ack","id":"sub_9"}'),
    Entry(1000, Kind.RECEIVED, text=data([1], 1)),
    Entry(1500, Kind.REQUEST, text=CALL, request=1, path="POST /_lunora/rpc"),
    Entry(1600, Kind.REPLY, text='{"result":1}', code=200, request=1),
    Entry(1700, Kind.REQUEST, text=CALL, request=2, path="POST /_lunora/rpc"),
    Entry(1800, Kind.REPLY, text='{"result":2}', code=200, request=2),
    Entry(2000, Kind.RECEIVED, text=data([1, 2], 2)),
    Entry(3000, Kind.LOST),
    Entry(3500, Kind.CONNECTING),
    Entry(3600, Kind.FAILED),
    Entry(3700, Kind.CONNECTING),
    Entry(3800, Kind.OPENED),
    Entry(3801, Kind.SENT, text=SUBSCRIBE.replace('"table"', '"sinceSeq":2,"sinceEpoch":"e","table"')),
    Entry(3900, Kind.RECEIVED, text='{"type":"resume","id":"sub_9","cursor":2,"epoch":"e"}'),
    Entry(3950, Kind.REQUEST, text=BATCH, request=3, path="POST /_lunora/rpc-batch"),
    Entry(3960, Kind.REPLY, text=SLOTS, code=200, request=3),
    Entry(4000, Kind.RECEIVED, text=data([1, 2, 3], 3)),
    Entry(5000, Kind.END),
]


@pytest.fixture
def path(tmp_path):
    """A recording of one query over two connections, and a few calls."""
    path = tmp_path / "s.jsonl"
    path.write_bytes(encode_header(Header()) + b"".join(map(encode_entry, ENTRIES)))
    return path


def watch(client, args=None):
    told = Recorder()
    client.live("a:b", args or {"x": 1}).subscribe(told.on_next, told.on_error)
    return told


async def test_replay_at_full_speed_shows_every_value(path, no_tasks_left):
    """One after the other, without waiting for their times."""
    async with replay(path, speed=None) as client:
        told = watch(client)
        await client.playback.wait_end()
        assert told.values == [[1], [1, 2], [1, 2, 3]]
        assert client.playback.position == client.playback.duration == 5.0
        assert client.playback.is_over


async def test_step_plays_one_frame_and_says_which(path, no_tasks_left):
    """What it played is shown when it returns."""
    async with replay(path, speed=0) as client:
        told, steps = watch(client), []
        while (entry := await client.playback.step()) is not None:
            steps.append((entry.at, str(entry.kind), len(told.values), str(client.status.value)))
        assert steps == [
            (10, "opened", 0, "connected"),
            (1000, "received", 1, "connected"),
            (2000, "received", 2, "connected"),
            (3000, "lost", 2, "offline"),
            (3600, "failed", 2, "offline"),
            (3800, "opened", 2, "connected"),
            (3900, "received", 2, "connected"),
            (4000, "received", 3, "connected"),
        ]
        assert len(steps) == client.playback.steps


async def test_replay_shows_the_cut_as_a_cut(path):
    """Stale while the connection was down, live when it was back, and no value twice."""
    async with replay(path, paused=True) as client:
        snapshots, statuses = Recorder(), Recorder()
        client.live("a:b", {"x": 1}).snapshots.subscribe(snapshots.on_next)
        client.status.subscribe(statuses.on_next)
        await client.playback.run()
        shown = [(str(each.status), each.value) for each in snapshots.values if each.has_value]
        assert shown == [
            *(("live", [1]), ("live", [1, 2]), ("stale", [1, 2]), ("live", [1, 2]), ("live", [1, 2, 3])),
        ]
        told = list(map(str, statuses.values))
        assert told == ["connecting", "connected", "offline", "connecting", "offline", "connecting", "connected"]


@pytest.mark.parametrize(
    ("seconds", "values"), [(0.5, []), (1.5, [[1]]), (2.5, [[1, 2]]), (3.9, [[1, 2]]), (5, [[1, 2, 3]])]
)
async def test_late_observer_gets_the_state_of_the_moment(path, seconds, values):
    """And then follows."""
    async with replay(path, paused=True) as client:
        await client.playback.run(seconds)
        told = watch(client)
        await client.playback.run(0)
        assert told.values == values
        await client.playback.run()
        assert told.last == [1, 2, 3]


async def test_observer_that_comes_while_the_connection_was_down_waits_for_it(path):
    """Offline is offline."""
    async with replay(path, paused=True) as client:
        await client.playback.run(3.2)
        told = watch(client)
        await client.playback.run(0)
        assert (told.values, client.status.value) == ([], Status.OFFLINE)
        await client.playback.run(0.7)
        assert (told.values, client.status.value) == ([[1, 2]], Status.CONNECTED)


@pytest.mark.parametrize("speed", [200.0, inf])
async def test_replay_plays_by_itself_from_the_first_use(path, speed):
    """At its speed, if nobody paused it."""
    async with replay(path, speed=speed) as client:
        assert await client.live("a:b", {"x": 1}).first(lambda rows: len(rows) == 3) == [1, 2, 3]


async def test_speed_may_change_and_pause_holds(path):
    """Time stands still while it is paused."""
    async with replay(path, speed=0.001) as client:
        told = watch(client)
        await until(lambda: client.playback.is_playing)
        assert told.values == []
        client.playback.pause()
        before = client.playback.position
        assert not client.playback.is_playing
        client.playback.speed = 1000
        assert client.playback.position == before < 0.1
        client.playback.play()
        await client.playback.wait_end()
        assert told.last == [1, 2, 3]


async def test_seek_shows_what_was_known_then(path):
    """Ahead and back, also into and out of a cut, with nothing in between."""
    async with replay(path, paused=True) as client:
        told, playback = watch(client), client.playback
        for seconds, value, status in (
            *((2.5, [1, 2], "connected"), (4.5, [1, 2, 3], "connected"), (1.2, [1], "connected")),
            *((3.2, [1], "offline"), (5, [1, 2, 3], "connected"), (2.1, [1, 2], "connected")),
        ):
            await playback.seek(seconds)
            assert (told.last, str(client.status.value), playback.position) == (value, status, seconds)
        await playback.run()
        assert told.last == [1, 2, 3]
        assert len(told.values) == 6


async def test_query_that_was_not_recorded_says_what_was(path):
    """With its arguments, which may be all that differs."""
    async with replay(path, speed=inf) as client:
        told = watch(client, {"x": 2})
        await until(lambda: told.errors)
        (error,) = told.errors
        assert isinstance(error, ServerError)
        assert error.code == "NOT_RECORDED"
        assert 'a:b {"x":2} was not recorded; recorded: a:b {"x":1}' in str(error)


async def test_shape_and_stream_that_were_not_recorded_say_so(path):
    """As queries do."""
    async with replay(path, speed=inf) as client:
        shape, stream = Recorder(), Recorder()
        client.shape("rows").subscribe(shape.on_next, shape.on_error)
        client.stream("a:run").subscribe(stream.on_next, stream.on_error)
        await until(lambda: shape.errors and stream.errors)
        assert {each.errors[0].code for each in (shape, stream)} == {"NOT_RECORDED"}


async def test_query_on_a_shard_that_was_never_open_says_so(path):
    """It does not wait for a connection that will never be."""
    async with replay(path, paused=True) as client:
        with pytest.raises(ServerError, match="on shard 'other' was not recorded"):
            await client.live("a:b", {"x": 1}, shard="other").first()


async def test_calls_are_answered_in_the_order_in_which_they_were(path):
    """The first as the first, and the last answers all that follow; a batch holds calls like any other."""
    async with replay(path, paused=True) as client:
        assert [await client.mutation("a:add", {"n": 1}) for _ in range(3)] == [1, 2, 2]
        assert await client.query("a:add", {"n": 2}) == 20
        with pytest.raises(ServerError, match="never"):
            await client.action("a:no")
        ok, failed = await client.batch([("a:add", {"n": 2}), ("a:none", {})])
        assert ok.value == 20
        assert failed.error.code == "NOT_RECORDED"


async def test_mutation_that_was_not_recorded_is_rejected_and_rolled_back(path):
    """Its optimistic patch goes with it."""
    async with replay(path, paused=True) as client:
        told = watch(client)
        await client.playback.run(1.5)
        with pytest.raises(ServerError, match=r'call a:b \{"x":1\} was not recorded; recorded: a:add \{"n":1\}'):
            await client.mutation("a:b", {"x": 1}, optimistic=lambda rows: [*rows, "mine"])
        assert told.values == [[1], [1, "mine"], [1]]


async def test_http_stream_says_that_it_is_no_part_of_a_recording(path):
    """It never could have been."""
    async with replay(path, paused=True) as client:
        told = Recorder()
        client.http_stream("/events").subscribe(told.on_next, told.on_error)
        await until(lambda: told.errors)
        assert isinstance(told.errors[0], TransportError | StreamError)
        assert "not part of a recording" in str(told.errors[0])


@pytest.mark.parametrize("speed", [-1, float("nan")])
def test_speed_that_is_none_is_refused(path, speed):
    """Time goes forward."""
    with pytest.raises(ValueError, match="speed is a number above 0"):
        replay(path, speed=speed)


def test_speed_of_another_type_is_refused(path):
    """The argument is named."""
    with pytest.raises(TypeError, match="speed is a number"):
        replay(path, speed="fast")


async def test_playback_tells_whole_milliseconds_that_hold_all_that_was_played(tmp_path):
    """A jump to the duration reaches the end, and one to the position what was shown."""
    path = tmp_path / "odd.jsonl"
    begun = [entry for entry in ENTRIES if entry.at < 1000]
    odd = [*begun, Entry(1000.4, Kind.RECEIVED, text=data([1], 1))]
    path.write_bytes(encode_header(Header()) + b"".join(map(encode_entry, odd)))
    async with replay(path, paused=True) as client:
        told = watch(client)
        assert client.playback.duration == 1.001
        await client.playback.seek(client.playback.duration)
        assert (told.values, client.playback.position, client.playback.is_over) == ([[1]], 1.001, True)


async def test_answer_too_deep_to_be_told_again_fails_its_own_call(tmp_path):
    """Alone or in a batch; the other calls of that batch have their answers."""
    deep = f'{{"result":{"[" * 400}{"]" * 400}}}'
    slots = f'{{"results":[{{"id":0,"body":{deep}}},{{"id":1,"body":{{"result":5}}}}]}}'
    calls = BATCH.replace("a:add", "a:deep")
    entries = [
        *ENTRIES[:5],
        Entry(1500, Kind.REQUEST, text=CALL, request=1, path="POST /_lunora/rpc"),
        Entry(1600, Kind.REPLY, text=deep, code=200, request=1),
        Entry(3950, Kind.REQUEST, text=calls, request=3, path="POST /_lunora/rpc-batch"),
        Entry(3960, Kind.REPLY, text=slots, code=200, request=3),
        Entry(5000, Kind.END),
    ]
    path = tmp_path / "deep.jsonl"
    path.write_bytes(encode_header(Header()) + b"".join(map(encode_entry, entries)))
    async with replay(path, speed=inf) as client:
        alone, recorded, fine = await client.batch([("a:add", {"n": 1}), ("a:deep", {"n": 2}), ("a:no", {})])
    assert fine.value == 5
    assert all("cannot be told again" in each.error.message for each in (alone, recorded))


@pytest.mark.parametrize("kind", ["subscribe", "shape_subscribe", "stream"])
@pytest.mark.parametrize("args", ['["\\ud800"]', f"{'[' * 500}{']' * 500}"])
async def test_frame_that_no_client_can_have_sent_asks_for_nothing(tmp_path, kind, args):
    """The rest of the recording is played."""
    asked = f'{{"name":"a:x","functionPath":"a:x","args":{args}}}'
    odd = f'{{"type":"{kind}","id":"x","shape":{asked},"query":{asked}}}'
    path = tmp_path / "odd.jsonl"
    entries = [*ENTRIES[:2], Entry(10.5, Kind.SENT, text=odd), *ENTRIES[2:]]
    path.write_bytes(encode_header(Header()) + b"".join(map(encode_entry, entries)))
    async with replay(path, speed=inf) as client:
        told = watch(client)
        await until(lambda: [1, 2, 3] in told.values)
