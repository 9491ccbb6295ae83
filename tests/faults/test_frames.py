"""Frames that come twice, late, with a gap before them, too large, or that are none."""

from __future__ import annotations

import json

import pytest

from lunora_rx.errors import CodecError, TransportError
from tests.faults import oracle
from tests.faults.customer import until
from tests.faults.proxy import Way, flip
from tests.faults.rows import CANARY
from tests.support import Recorder

UNREADABLE = ["$lunora.wire$", "bigint", "no number"]


def id_of(customer) -> str:
    """Return the id under which the server knows the live query of a customer."""
    (query,) = customer.client.debug()["shards"][""]["subscriptions"].values()
    return query["id"]


def nested(levels: int) -> str:
    """Return the JSON text of a list in a list, and so on."""
    return "[" * levels + "]" * levels


def at_depth(levels: int, value: object) -> object:
    """Return a value in a list in a list, and so on."""
    return at_depth(levels - 1, [value]) if levels else value


def frame(**members: object) -> str:
    """Return the text of a frame."""
    return json.dumps(members)


async def settle(shop, customer, number: int) -> None:
    """Write a number and wait until it is shown: whatever was sent before has been dealt with by then."""
    await customer.write(number)
    await until(lambda: number in [row["n"] for row in customer.live.value or ()])


# --- 7 and 8: told twice, or of somebody unknown


@pytest.mark.fault(7)
async def test_frames_and_replies_that_come_twice_settle_each_write_once(shop, ada):
    """Everything the server says is said twice, on new sockets too: no row is shown twice, no verdict told twice."""
    for proxy in (shop.sockets, shop.calls):
        proxy.duplicate(Way.DOWN)
    await ada.write(0, 1)
    shop.sockets.cut()
    await until(lambda: shop.sockets.connections > 1)
    await ada.write(2, 3)
    await shop.heal()
    await oracle.check(shop, ada, range(4))
    assert shop.runs == [0, 1, 2, 3]
    assert len({number for number, _, _ in ada.verdicts}) == len(ada.verdicts)


@pytest.mark.fault(7)
async def test_acknowledgement_that_comes_twice_says_nothing(shop, ada):
    """An ``ack`` is no value: nothing is shown again for it, and nothing asked for."""
    shown = len(ada.shown.values)
    for _ in range(2):
        shop.faults.send_text(frame(type="ack", id=id_of(ada)))
    await settle(shop, ada, 0)
    assert len(ada.shown.values) == shown + 2, "the write and its confirmation"
    await oracle.check(shop, ada, [0])


@pytest.mark.fault(8)
@pytest.mark.parametrize("kind", ["ack", "data", "delta", "resume", "settled", "error", "complete", "chunk"])
async def test_frame_about_an_unknown_id_is_ignored(shop, ada, kind):
    """Of whatever type it is: nobody is told, and the connection lives."""
    shop.faults.send_text(frame(type=kind, id="sub_4711", data=[66], cursor=66, code="X", message="no"))
    await settle(shop, ada, 0)
    await oracle.check(shop, ada, [0])
    assert ada.shown.errors == []
    assert shop.sockets.connections == 1


# --- 9: reply and frame in either order


@pytest.mark.fault(9)
@pytest.mark.parametrize("late", ["reply", "frame"])
async def test_reply_and_frame_in_either_order_show_a_write_once(shop, ada, late):
    """What is shown at once stays until the server's row replaces it, in one emission: never away, never twice."""
    await settle(shop, ada, 0)
    await until(lambda: not ada.live.snapshot.is_optimistic)
    del ada.shown.values[:-1]
    (shop.calls if late == "reply" else shop.sockets).stall(Way.DOWN)
    write = ada.writes[1] = ada.client.mutation("rows:add", {"n": 1}, optimistic_update=upsert)
    if late == "frame":
        await write
    else:
        await until(lambda: shop.runs == [0, 1])
        await until_heard(ada)
    await shop.heal()
    await write
    await oracle.check(shop, ada, range(2))
    assert [[row["n"] for row in value] for value in ada.shown.values] == [[0], [0, 1], [0, 1]]
    assert ["_id" in value[-1] for value in ada.shown.values] == [True, False, True]


async def until_heard(customer) -> None:
    """Wait until all has been read that the server has sent by now: two frames more, of which one is a pong."""
    frames = customer.client.counts().frames_received
    await until(lambda: customer.client.counts().frames_received >= frames + 2)


def upsert(store, args) -> None:
    """Show a row at the end, unless it is there."""
    rows = store.get_query("rows:list", None)
    if args["n"] not in [row["n"] for row in rows]:
        store.set_query("rows:list", None, [*rows, args])


# --- 10: another history, and gaps


@pytest.mark.fault(10, 46)
async def test_new_epoch_replaces_values_and_forgets_positions(shop, ada):
    """The value from before is shown as stale, and then the server's, asked for anew."""
    await ada.write(0, 1)
    await oracle.check(shop, ada, range(2))
    snapshots, before = Recorder(), ada.live.value
    ada.live.snapshots.subscribe(snapshots)
    shop.faults.new_epoch()
    await until(lambda: any(each.status == "stale" for each in snapshots.values))
    await ada.write(2)
    await oracle.check(shop, ada, range(3))
    assert next(each.value for each in snapshots.values if each.status == "stale") == before


@pytest.mark.fault(10)
async def test_delta_for_a_value_that_is_behind_is_not_merged(shop, ada):
    """A value that could not be read leaves a gap: nothing is merged over it, and the whole value is asked for."""
    await settle(shop, ada, 0)
    snapshots = Recorder()
    ada.live.snapshots.subscribe(snapshots)
    shop.sockets.stall(Way.UP)
    shop.faults.send_text(frame(type="data", id=id_of(ada), data=UNREADABLE, cursor=99))
    await until(lambda: ada.live.snapshot.error is not None)
    frames = ada.client.counts().frames_received
    write = ada.writes[1] = ada.client.mutation("rows:add", {"n": 1})
    await write
    await until(lambda: ada.client.counts().frames_received > frames)
    assert [row["n"] for row in ada.live.snapshot.value] == [0], "what came over the gap was merged"
    assert ada.live.snapshot.cursor != 99
    again = ada.shown = Recorder()
    ada.live.subscribe(again)
    await shop.heal()
    await oracle.check(shop, ada, range(2))
    assert "live" not in [each.status for each in snapshots.values[1:] if each.value != ada.live.value]


@pytest.mark.fault(10)
async def test_delta_that_is_taken_out_of_the_stream_is_missing_until_the_whole_value_is_asked_for(shop, ada):
    """No network does that to a stream, and deltas have no number of their own: nobody notices, reconnected or not."""
    shape, rows = ada.client.shape("rows:shape"), Recorder()
    shape.subscribe(rows)
    await settle(shop, ada, 0)
    shop.sockets.drop_one(Way.DOWN, b'"type":"delta"')
    await ada.write(1, 2)
    await until(lambda: ada.numbers[-1:] == [2])
    assert (ada.numbers, ada.live.snapshot.status) == ([0, 2], "live")
    shop.sockets.cut()
    await until(lambda: shop.sockets.connections > 1)
    await ada.write(3)
    await until(lambda: ada.numbers[-1:] == [3])
    assert ada.numbers == [0, 2, 3], "what it resumes from is past the gap"
    ada.live.refresh()
    await oracle.check(shop, ada, range(4))
    await until(lambda: [row["n"] for row in rows.last] == [0, 1, 2, 3])


@pytest.mark.fault(10)
@pytest.mark.parametrize("strike", ["drop_pokes", "cut_poke"])
async def test_gap_before_a_poke_has_the_rows_asked_for_anew(shop, ada, strike):
    """A shape that misses a poke, or the end of one, seeds itself again."""
    shape, lists = ada.client.shape("rows:shape"), Recorder()
    shape.subscribe(lists)
    await until(lambda: lists.values)
    getattr(shop.faults, strike)()
    await ada.write(0, 1, 2)
    await oracle.check(shop, ada, range(3))
    await until(lambda: [row["n"] for row in lists.last] == [0, 1, 2])
    assert lists.last == ada.shown.last
    assert lists.errors == []


# --- 24: too large


@pytest.mark.fault(24, 57)
async def test_query_too_large_fails_alone_and_is_left_out(shop):
    """Closed with 1009, asked for alone, closed again, and no more: three sockets, and the others are live."""
    async with shop.customer(max_frame_size=50_000) as ada:
        error = Recorder()
        ada.client.live("rows:large", {"size": 100_000}).subscribe(error)
        await until(lambda: error.errors)
        assert isinstance(error.errors[0], TransportError)
        assert error.errors[0].code == "FRAME_TOO_LARGE"
        await ada.write(0, 1)
        await oracle.check(shop, ada, range(2))
        assert shop.sockets.connections <= 3
        shop.sockets.cut()
        await ada.write(2)
        await oracle.check(shop, ada, range(3))
        assert shop.sockets.connections <= 4, "what is too large was asked for again"
        await oracle.check_closed(ada)


@pytest.mark.fault(24)
async def test_1009_from_the_server_is_searched_for_and_nobody_is_blamed_in_vain(shop, ada):
    """The server refuses one frame of ours: a query that is answered alone is acquitted."""
    await ada.write(0)
    shop.faults.close_sockets(1009)
    await until(lambda: shop.sockets.connections > 1)
    await ada.write(1)
    await oracle.check(shop, ada, range(2))
    assert ada.shown.errors == []


# --- 25: what is no frame

NONSENSE = {
    "nothing": "",
    "no JSON": "{",
    "no object": "[1]",
    "null": "null",
    "no type": "{}",
    "type that is no text": '{"type":7}',
    "unknown type": f'{{"type":"{CANARY}","id":"sub_1"}}',
    "id that is no text": '{"type":"data","id":7,"data":1}',
    "payload that is none": f'{{"type":"data","data":"{CANARY}"',
    "NUL bytes": '\0{"type":"ack"}\0',
    "lone surrogate": '{"type":"ack","id":"\\ud800"}',
    "doubled keys": '{"type":"ack","type":"data","id":"nobody","id":"sub_0"}',
    "1,000 levels": f'{{"type":"data","id":"nobody","data":{nested(1000)}}}',
    "100,000 levels": nested(100_000),
    "numbers without end": f'{{"type":"data","id":"nobody","data":{"9" * 100_000}}}',
}
IGNORED = ("no JSON", "no object", "null", "no type", "type that is no text", "unknown type", "payload that is none")


@pytest.mark.fault(25, 57)
@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
async def test_text_that_is_no_frame_is_ignored(shop, ada, text):
    """The connection lives, nobody is harmed, and what it held is in no log."""
    shop.faults.send_text(text)
    await settle(shop, ada, 0)
    await oracle.check(shop, ada, [0])
    assert shop.sockets.connections == 1
    assert ada.shown.errors == []
    ignored = ada.client.counts().frames_ignored
    assert ignored == 1 if text in [NONSENSE[name] for name in IGNORED] else ignored <= 1


@pytest.mark.fault(25, 57)
@pytest.mark.parametrize(
    ("members", "harms"),
    [
        ({"type": "data", "data": "a text", "cursor": "no number"}, False),
        ({"type": "data", "data": at_depth(500, ["$lunora.wire$", "bigint", "1"]), "cursor": 99}, True),
        ({"type": "data", "data": UNREADABLE, "cursor": 99}, True),
        ({"type": "delta", "changes": 7, "cursor": 99}, False),
        ({"type": "settled", "cursor": []}, False),
        ({"type": "resume", "epoch": {}}, False),
    ],
    ids=["cursor", "depth", "value", "delta", "settled", "resume"],
)
async def test_frame_with_members_of_wrong_types_harms_one_query_at_most(shop, ada, members, harms):
    """The one that it names is asked for anew; a query beside it is told of nothing."""
    failed, beside = Recorder(), Recorder()
    ada.live.snapshots.subscribe(failed)
    subscription = id_of(ada)
    ada.client.live("rows:large", {"size": 3}).subscribe(beside)
    await until(lambda: beside.values)
    shop.faults.send_text(frame(id=subscription, **members))
    if harms:
        await until(lambda: any(isinstance(each.error, CodecError) for each in failed.values))
    await until(lambda: ada.live.snapshot.error is None)
    await ada.client.query("server:who")
    assert (beside.values, beside.errors) == (["xxx"], [])
    assert shop.sockets.connections == 1
    again = Recorder()
    ada.live.subscribe(again)
    ada.shown = again
    await settle(shop, ada, 0)
    await oracle.check(shop, ada, [0])


@pytest.mark.fault(25)
@pytest.mark.parametrize("position", [0, 1])
async def test_flipped_byte_around_a_frame_costs_the_connection(shop, ada, position):
    """What is no WebSocket any more is replaced by another one, and values are asked for again."""
    await settle(shop, ada, 0)
    flip_one(shop, position)
    await ada.write(1)
    await until(lambda: shop.sockets.connections > 1)
    await ada.write(2)
    await oracle.check(shop, ada, range(3))


@pytest.mark.fault(25)
@pytest.mark.parametrize("position", [2, 10, 20, -1])
async def test_flipped_byte_within_a_frame_is_invalid_text_and_ignored(shop, ada, position):
    """It is counted, what the frame held is in no log, and the connection lives."""
    text = frame(type="ack", id=id_of(ada), more=CANARY)
    flip_one(shop, 2 + position % len(text))
    shop.faults.send_text(text)
    await until(lambda: ada.client.counts().frames_ignored == 1)
    await settle(shop, ada, 0)
    await oracle.check(shop, ada, [0])
    assert shop.sockets.connections == 1


def flip_one(shop, position: int) -> None:
    """Flip a byte of the next chunk that the server sends on its socket, pongs apart."""
    spoil = flip(position)

    def change(chunk: bytes) -> bytes:
        if b"pong" in chunk:
            return chunk
        shop.sockets.rules[Way.DOWN].change = None
        return spoil(chunk)

    shop.sockets.change(Way.DOWN, change)
