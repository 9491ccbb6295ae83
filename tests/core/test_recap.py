"""What is known of a shard, told again: a fresh client that is told it shows the same."""

from __future__ import annotations

from lunora_rx.core.recap import encode_base, is_anything_shown, recap, wire_tree
from lunora_rx.protocol.text import spell
from lunora_rx.protocol.values import WireBigInt
from tests.core.play import PlayedSession, parsed

POKE = {"pokeId": "p", "epoch": "e"}


def told_again(play: PlayedSession) -> PlayedSession:
    """Return a fresh client that asked for the same and was told the recap."""
    fresh = PlayedSession()
    fresh.subscribe("q", "r")
    fresh.session.subscribe_shape("rows", {}, 0)
    fresh.open()
    for told in recap(play.session):
        if told.is_inbound:
            fresh.receive_text(told.text)
    return fresh


def played() -> PlayedSession:
    play = PlayedSession()
    play.subscribe("q", "r")
    play.session.subscribe_shape("rows", {}, 0)
    play.open()
    return play


def test_recap_tells_values_with_their_positions():
    """Base, cursor and epoch, in wire form; a query without a value is only asked for."""
    play = played()
    play.receive("data", id="sub_1", data={"at": ["$lunora.wire$", "date", 5]}, cursor=7, epoch="e")
    fresh = told_again(play)
    ours, theirs = (each.session.subscriptions.get("q").result for each in (play, fresh))
    assert (theirs.base, theirs.cursor, theirs.epoch) == (ours.base, 7, "e")
    assert fresh.session.subscriptions.get("r").result.snapshot == play.session.subscriptions.get("r").result.snapshot
    assert is_anything_shown(play.session)


def test_recap_tells_a_failure():
    """With its code, after the value that it left standing."""
    play = played()
    play.receive("data", id="sub_1", data=1, cursor=1, epoch="e")
    play.receive("error", id="sub_1", error={"code": "NO", "message": "never"})
    ours, theirs = (each.session.subscriptions.get("q").result for each in (play, told_again(play)))
    assert (theirs.base, theirs.status, str(theirs.error)) == (1, ours.status, "NO: never")


def test_recap_tells_rows_and_a_poke_that_has_not_ended():
    """What follows in the poke fits to it."""
    play = played()
    first = [{"op": "insert", "key": "a", "value": {"n": 1}}]
    for kind, body in (
        ("pokeStart", POKE),
        ("pokePart", {**POKE, "shapeId": "shape_1", "rowsPatch": first, "reset": True}),
        ("pokeEnd", {**POKE, "checkpoint": 1}),
        ("pokeStart", {"pokeId": "p2", "baseCheckpoint": 1, "epoch": "e"}),
        ("pokePart", {"pokeId": "p2", "shapeId": "shape_1", "rowsPatch": [{"op": "insert", "key": "b", "value": 2}]}),
    ):
        play.receive(kind, **body)
    fresh = told_again(play)
    assert _shape(fresh).rows == {"a": {"n": 1}}
    for each in (play, fresh):
        each.receive("pokeEnd", pokeId="p2", checkpoint=2, epoch="e")
    assert _shape(fresh).rows == _shape(play).rows == {"a": {"n": 1}, "b": 2}
    assert (_shape(fresh).checkpoint, _shape(fresh).epoch) == (2, "e")


def test_recap_tells_that_a_poke_cannot_be_read():
    """What replays it shows no rows in the place of those that were let go."""
    play = played()
    for kind, body in (
        ("pokeStart", POKE),
        ("pokePart", {**POKE, "shapeId": "shape_1", "rowsPatch": [{"op": "insert", "key": "a", "value": 1}]}),
        ("pokeEnd", {**POKE, "checkpoint": 1}),
        ("pokeStart", {"pokeId": "p2", "baseCheckpoint": 1, "epoch": "e"}),
        ("pokePart", {"pokeId": "p2", "shapeId": "shape_1", "rowsPatch": 5, "reset": True}),
    ):
        play.receive(kind, **body)
    fresh = told_again(play)
    for each in (play, fresh):
        each.receive("pokeEnd", pokeId="p2", checkpoint=2, epoch="e")
    assert _shape(fresh).rows == _shape(play).rows == {"a": 1}
    assert _shape(fresh).status == _shape(play).status
    assert _shape(fresh).checkpoint == _shape(play).checkpoint


def test_recap_tells_which_streams_run():
    """From where they stand."""
    play = played()
    play.session.start_stream("a:b", {"x": 1}, 0, durable=True)
    play.receive("chunk", id="stream_1", data=1, seq=4)
    (start,) = [parsed(told.text) for told in recap(play.session) if parsed(told.text)["type"] == "stream"]
    assert start["sinceChunk"] == 4
    assert start["query"]["args"] == {"x": 1}


def test_recap_of_nothing_shown_only_asks():
    """There is nothing to tell, and no base."""
    play = played()
    assert not is_anything_shown(play.session)
    assert [told.is_inbound for told in recap(play.session)] == [False] * 3
    assert encode_base(play.session.subscriptions.get("q")) is None


def test_wire_tree_keeps_numbers_that_only_a_server_sends():
    """Plain JSON may hold integers past what is safe; they stay."""
    assert wire_tree([2**60]) == [2**60]


def test_recap_of_a_shape_that_failed_tells_its_error():
    """Whoever looks at the recording sees that there are no rows, and why."""
    play = played()
    play.session.subscribe_shape("open", {}, 0)
    play.receive("error", id="shape_1", error={"code": "SHAPE_REQUIRES_CDC", "message": "no log"})
    errors = [parsed(told.text) for told in recap(play.session) if told.is_inbound]
    assert [(each["id"], each["error"]["code"]) for each in errors] == [("shape_1", "SHAPE_REQUIRES_CDC")]


def _shape(play: PlayedSession):
    (shape,) = play.session.shapes
    return shape


def test_recap_tells_what_could_not_be_sent():
    """A recording repeats what a server said: a lone surrogate as its escape, and any depth."""
    play = played()
    deep = "[" * 400 + "]" * 400
    play.receive_text(f'{{"type":"data","id":"sub_1","data":["\\ud800",{deep}],"cursor":1,"epoch":"e"}}')
    play.receive_text('{"type":"data","id":"sub_2","data":["$lunora.wire$","set",["\\ud800"]],"cursor":1}')
    fresh = told_again(play)
    for name in ("q", "r"):
        ours, theirs = (each.session.subscriptions.get(name).result for each in (play, fresh))
        assert spell(wire_tree(theirs.base)) == spell(wire_tree(ours.base))


def test_wire_tree_tags_rows_that_were_merged_into_plain_json():
    """One row may hold a number of which only plain JSON knows, and the next a bigint."""
    assert wire_tree({"page": [{"n": 2**60}, {"n": WireBigInt(7)}]}) == {
        "page": [{"n": 2**60}, {"n": ["$lunora.wire$", "bigint", "7"]}]
    }
