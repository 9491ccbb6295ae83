"""What the frames of one live query do to its value, step by step."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.optimistic import Layer
from lunora_rx.core.results import Change, Result, is_unchanged
from lunora_rx.core.shape_events import RowOp
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.errors import CodecError, ProtocolError, ServerError
from lunora_rx.protocol.values import UNDEFINED, WireBigInt, WireBytes, WireDate, WireMap, WireUrl
from lunora_rx.protocol.wire import TAG

INSERT = {"op": "insert", "key": "a", "table": "t", "row": {"_id": "a"}}
NAN = float("nan")


def apply(result: Result, kind: str = "data", *, tagged: bool = False, **body: Any) -> Change:
    """Apply a frame as if it had just been parsed."""
    frame = {"type": kind, "id": "sub_1", **body}
    return result.apply_position(frame) if kind in ("resume", "settled") else result.apply_value(frame, tagged=tagged)


def held(value: Any = (), cursor: int | None = 5, epoch: str | None = "e") -> Result:
    """Return a result that holds a value at a position."""
    result = Result()
    apply(result, data=list(value) if value == () else value, cursor=cursor, epoch=epoch)
    return result


def test_result_before_the_first_frame_is_pending():
    """It shows nothing and has no place to resume from."""
    result = Result()
    assert result.snapshot == Snapshot(SnapshotStatus.PENDING)
    assert result.resume_position is None


def test_data_replaces_the_base_and_its_position():
    """The value is live at the cursor of the frame."""
    result = held([1])
    assert apply(result, data=[2], cursor=6, epoch="f", lastMutationId=3) is Change.VALUE
    assert result.snapshot == Snapshot(SnapshotStatus.LIVE, [2], None, 6)
    assert (result.base, result.resume_position, result.last_mutation_id) == ([2], (6, "f"), 3)


def test_data_of_null_is_a_value_even_beside_a_delta():
    """Only an absent ``data`` makes a data frame look at ``delta``."""
    result = Result()
    assert apply(result, data=None, delta=INSERT, cursor=1) is Change.VALUE
    assert result.shown is None
    assert result.resume_position == (1, None)


def test_data_frame_without_data_applies_its_delta():
    """An older server sends deltas so."""
    result = held()
    assert apply(result, "data", delta=INSERT, cursor=6) is Change.VALUE
    assert (result.base, result.cursor) == ([{"_id": "a"}], 6)


def test_frame_with_neither_data_nor_delta_is_undecodable():
    """The base is behind, and the error says what is missing."""
    result = held()
    assert apply(result, cursor=9) is Change.FAILED
    assert (result.status, result.cursor, result.is_behind) == (SnapshotStatus.STALE, 5, True)
    assert result.error.code == "WIRE_DECODE_FAILED"


def test_cursor_is_overwritten_and_may_go_back():
    """After a change of epoch the history starts anew."""
    result = held()
    apply(result, data=[], cursor=2, epoch="f")
    assert result.resume_position == (2, "f")


def test_frame_without_a_position_leaves_it():
    """Only the last frame of a run of deltas carries one."""
    result = held()
    apply(result, "delta", delta=INSERT)
    assert result.resume_position == (5, "e")


def test_last_mutation_id_only_grows():
    """An older acknowledgement says nothing new."""
    result = held()
    for seen, expected in [(4, 4), (2, 4), (None, 4), (7, 7)]:
        apply(result, data=[], lastMutationId=seen)
        assert result.last_mutation_id == expected


@pytest.mark.parametrize("payload", [[1], {"a": 1}, None, "text", {"op": "insert", "key": 1, "table": "t"}])
def test_delta_that_is_no_row_change_replaces_the_value(payload):
    """Whatever it is, it is the value."""
    result = held([0])
    assert apply(result, "delta", delta=payload, cursor=6) is Change.VALUE
    assert (result.base, result.cursor) == (payload, 6)


def test_delta_merges_into_the_base_without_changing_it():
    """Observers hold the old list."""
    result = held()
    before = result.base
    apply(result, "delta", delta=INSERT)
    assert (before, result.shown) == ([], [{"_id": "a"}])


def test_row_change_before_any_base_is_shown_raw_and_is_no_place_to_resume():
    """A cursor beside it would be answered by a bare resume, leaving the raw change on screen for ever."""
    result = Result()
    assert apply(result, "delta", delta=INSERT, cursor=5, epoch="e", lastMutationId=2) is Change.VALUE
    assert (result.shown, result.resume_position, result.last_mutation_id) == (INSERT, None, 2)
    assert apply(result, "delta", delta=INSERT) is Change.BEHIND


def test_delta_that_cannot_be_merged_keeps_the_value_and_forgets_the_position():
    """Later deltas are ignored until a whole value arrives."""
    result = held([1])
    assert apply(result, "delta", delta=INSERT, cursor=6) is Change.BEHIND
    assert result.snapshot == Snapshot(SnapshotStatus.STALE, [1])
    assert (result.cursor, result.epoch, result.resume_position) == (None, None, None)
    assert apply(result, "delta", delta=INSERT, cursor=7) is Change.NOTHING
    assert apply(result, data=[2], cursor=8) is Change.VALUE
    assert (result.status, result.is_behind, result.cursor) == (SnapshotStatus.LIVE, False, 8)


@pytest.mark.parametrize("kind", ["data", "delta"])
def test_frame_that_does_not_decode_advances_nothing(kind):
    """Value, cursor, epoch and mutation stay; deltas are ignored until a decodable value arrives."""
    result = held([1])
    bad = {kind: [TAG, "bigint", "x"], "cursor": 9, "epoch": "f", "lastMutationId": 9}
    assert apply(result, kind, tagged=True, **bad) is Change.FAILED
    assert (result.shown, result.cursor, result.epoch, result.last_mutation_id) == ([1], 5, "e", 0)
    assert isinstance(result.error, CodecError)
    assert (result.error.code, result.error.path) == ("WIRE_DECODE_FAILED", kind)
    assert str(result.error).count(f"{kind}:") == 1
    assert apply(result, "delta", delta=INSERT, cursor=10) is Change.NOTHING
    assert (result.resume_position, result.cursor) == (None, 5)
    assert apply(result, data=[], cursor=11) is Change.VALUE
    assert (result.error, result.resume_position) == (None, (11, "e"))


@pytest.mark.parametrize(
    "position",
    [{"cursor": "5"}, {"cursor": 5.0}, {"cursor": True}, {"epoch": 1.5}, {"epoch": []}, {"lastMutationId": "1"}],
)
@pytest.mark.parametrize("kind", ["data", "delta"])
def test_position_of_the_wrong_type_refuses_the_whole_frame(kind, position):
    """Nothing advances: a value without its position could not be resumed from."""
    result = held([1])
    assert apply(result, kind, **{kind: [2]}, **position) is Change.FAILED
    assert (result.shown, result.resume_position, result.is_behind) == ([1], None, True)


def test_tags_of_a_frame_that_can_hold_them_are_decoded():
    """In data and in the rows of deltas."""
    result = Result()
    apply(result, data=[{"_id": "b", "n": [TAG, "bigint", "7"]}], tagged=True)
    apply(result, "delta", delta={**INSERT, "row": {"_id": "a", "n": [TAG, "bigint", "8"]}}, tagged=True)
    assert result.shown == [{"_id": "b", "n": WireBigInt(7)}, {"_id": "a", "n": WireBigInt(8)}]
    assert type(result.shown[1]["n"]) is WireBigInt


def test_data_that_decodes_to_undefined_has_no_place_to_resume():
    """A cursor without a value would be answered by a bare resume."""
    result = held([1])
    assert apply(result, data=[TAG, "undefined"], tagged=True, cursor=6) is Change.VALUE
    assert (result.snapshot.has_value, result.resume_position) == (False, None)


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_moves_the_position_and_keeps_the_value(kind):
    """The server says that the value holds up to there."""
    result = held([1])
    assert apply(result, kind, cursor=9, epoch="f") is Change.NOTHING
    assert (result.shown, result.resume_position) == ([1], (9, "f"))
    assert apply(result, kind) is Change.NOTHING
    assert result.resume_position == (9, "f")


def test_mutation_of_a_settled_frame_counts_and_that_of_a_resume_does_not():
    """As the protocol has it."""
    result = held()
    apply(result, "resume", lastMutationId=7)
    assert result.last_mutation_id == 0
    apply(result, "settled", lastMutationId=7)
    apply(result, "settled", lastMutationId=3)
    assert result.last_mutation_id == 7


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_heals_a_stale_value(kind):
    """After a reconnect nothing else may come for long."""
    result = held([1])
    assert result.go_stale() is Change.STATUS
    assert apply(result, kind, cursor=6) is Change.STATUS
    assert result.snapshot == Snapshot(SnapshotStatus.LIVE, [1], None, 6)


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_of_the_wrong_type_is_refused_and_changes_nothing(kind):
    """Whoever reads the frames reports it."""
    result = held([1])
    with pytest.raises(ProtocolError, match="cursor"):
        apply(result, kind, cursor="9")
    assert result.resume_position == (5, "e")


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_for_a_value_that_is_behind_moves_nothing(kind):
    """It would carry the cursor past the gap."""
    result = held([1])
    result.fail_behind(CodecError("x"))
    assert apply(result, kind, cursor=9, lastMutationId=9) is Change.NOTHING
    assert (result.cursor, result.status, result.last_mutation_id) == (5, SnapshotStatus.STALE, 0)


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_without_a_value_makes_nothing_live(kind):
    """There is nothing that it could vouch for."""
    result = Result()
    assert apply(result, kind, cursor=9) is Change.NOTHING
    assert result.snapshot == Snapshot()


def test_failure_keeps_the_value_and_is_healed_by_the_next_one():
    """The query stays registered at the server."""
    result, error = held([1]), ServerError("no", code="FORBIDDEN")
    assert result.fail(error) is Change.FAILED
    assert result.snapshot == Snapshot(SnapshotStatus.FAILED, [1], error, 5)
    assert result.go_stale() is Change.NOTHING
    assert apply(result, data=[1]) is Change.VALUE
    assert (result.status, result.error) == (SnapshotStatus.LIVE, None)


def test_scalar_that_is_delivered_again_changes_only_the_status():
    """Containers are told apart by identity, scalars by value."""
    result = held(7)
    assert apply(result, data=7, cursor=6) is Change.NOTHING
    result.go_stale()
    assert apply(result, data=7, cursor=7) is Change.STATUS
    assert result.cursor == 7


def test_position_that_is_forgotten_leaves_the_value():
    """The next subscribe frame asks for the whole of it."""
    result = held([1])
    result.forget_position()
    assert (result.shown, result.resume_position) == ([1], None)


DATE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1, 2, False),
        (0.0, -0.0, True),
        (NAN, float("nan"), True),
        (1, True, False),
        (0, False, False),
        (True, True, True),
        ("a", "a", True),
        ("1", 1, False),
        (None, None, True),
        (None, 0, False),
        (None, UNDEFINED, False),
        (WireBigInt(1), WireBigInt(1), True),
        (WireBigInt(1), 1, False),
        (WireUrl("x:"), WireUrl("x:"), True),
        (WireUrl("x:"), "x:", False),
        (b"a", b"a", True),
        (b"a", b"b", False),
        (WireBytes(b"aa", "Int8Array"), WireBytes(b"aa", "Int8Array"), True),
        (DATE, DATE.replace(), True),
        (WireDate(NAN), WireDate(NAN), True),
        (WireDate(1e15), WireDate(2e15), False),
        ([], [], False),
        ({}, {}, False),
        ([1], 1, False),
        (1, [1], False),
        (WireMap([]), WireMap([]), False),
    ],
)
def test_value_is_unchanged_only_as_the_same_object_or_an_equal_scalar_of_its_kind(old, new, expected):
    """A container may hold what compares equal and is not: it is published again."""
    assert is_unchanged(old, new) is expected


def test_container_is_unchanged_as_itself():
    """A resume delivers the same object."""
    rows: list[Any] = []
    assert is_unchanged(rows, rows)


# --- seeds, and forgetting


def test_seed_is_stale_and_a_place_to_resume_from():
    """Until the server confirms it; a failure of before is over."""
    result = Result()
    result.fail(ServerError("no", code="NO"))
    result.seed([1], 7, "e")
    assert (result.base, result.shown, result.resume_position) == ([1], [1], (7, "e"))
    assert (result.status, result.error) == (SnapshotStatus.STALE, None)


@pytest.mark.parametrize("epoch", [None, 3, "e"])
def test_seed_without_a_cursor_is_shown_and_is_no_place_to_resume(epoch):
    """A server without a change log gave it."""
    result = Result()
    result.seed([1], None, epoch)
    assert (result.shown, result.resume_position) == ([1], None)


def test_seed_drops_the_layers_it_has_reached_and_folds_the_rest():
    """A write that landed before it was stored is in it already."""
    result = Result()
    reached, pending = Layer(lambda rows: ["never"], print), Layer(lambda rows: ["mine"], print)
    for layer in (reached, pending):
        result.push(layer)
    result.confirm(reached, 5)
    result.seed(["cached"], 7, "e")
    assert (result.layers, result.shown) == ((pending,), ["mine"])
    result.roll_back([pending])
    assert result.shown == ["cached"]


def test_forgotten_result_is_as_if_the_server_had_never_answered():
    """Value, position, failure and watermark go; what is behind is so no longer."""
    result = Result()
    result.apply_value({"type": "data", "data": [1], "cursor": 3, "epoch": "e", "lastMutationId": 4}, tagged=False)
    result.fail_behind(CodecError("no"))
    result.forget()
    assert result.snapshot == Result().snapshot
    assert (result.base, result.epoch, result.last_mutation_id) == (UNDEFINED, None, 0)
    assert (result.is_behind, result.resume_position) == (False, None)


def test_epoch_that_changes_takes_what_was_committed_in_the_other_one_along():
    """Its positions mean nothing in this history; what has no position yet stays."""
    result = Result()
    result.apply_value({"type": "data", "data": [1], "cursor": 3, "epoch": "e"}, tagged=False)
    committed, pending = Layer(lambda rows: [*rows, 2], print), Layer(lambda rows: [*rows, 3], print)
    result.push(committed)
    result.push(pending)
    result.confirm(committed, 9)
    result.apply_value({"type": "data", "data": [1], "cursor": 1, "epoch": "f"}, tagged=False)
    assert (result.shown, result.layers) == ([1, 3], (pending,))


def test_forgotten_result_drops_the_layers_that_are_not_to_be_kept():
    """They are somebody else's too."""
    result = Result()
    result.push(Layer(lambda rows: "theirs", print))
    result.forget()
    assert (result.shown, result.layers) == (UNDEFINED, ())


def test_forgotten_result_keeps_the_layers_over_nothing():
    """What cannot be folded over nothing is reported and skipped."""
    result, reported = Result(), []
    result.apply_value({"type": "data", "data": [1], "cursor": 3}, tagged=False)
    result.push(Layer(lambda rows: [*rows, 2], reported.append))
    result.push(Layer(lambda rows: "constant", reported.append))
    result.forget(result.layers)
    assert (result.shown, len(result.layers), [type(each) for each in reported]) == ("constant", 2, [TypeError])


def test_poll_replaces_the_base_and_leaves_the_position():
    """The next socket resumes from where the last one stood."""
    result = held([1])
    assert result.apply_poll([2], 0) is Change.VALUE
    assert result.snapshot == Snapshot(SnapshotStatus.LIVE, [2], None, 5)
    assert result.resume_position == (5, "e")


def polled() -> Result:
    """Return a result that stood at [a] at cursor 5, and shows by polling a row that came since."""
    result = held([{"_id": "a"}])
    assert result.apply_poll([{"_id": "a"}, {"_id": "gone by now"}], 0) is Change.VALUE
    return result


def test_resume_after_a_poll_shows_what_the_server_resumes():
    """A row that came and went is in the polled value alone: nothing has changed since the cursor."""
    result = polled()
    assert apply(result, "resume", cursor=9) is Change.VALUE
    assert (result.shown, result.cursor, result.anchor) == ([{"_id": "a"}], 9, UNDEFINED)


def test_run_after_a_poll_is_merged_where_the_server_counts_from():
    """Its end is shown, and no step on the way there, which is older than the polled value."""
    result = polled()
    polled_rows = result.shown
    row = {"_id": "b"}
    assert apply(result, "delta", delta={**INSERT, "key": "b", "row": row}) is Change.NOTHING
    assert result.shown is polled_rows
    last = {"op": "delete", "key": "a", "table": "t"}
    assert apply(result, "delta", delta=last, cursor=9) is Change.VALUE
    assert (result.shown, result.cursor, result.resume_position) == ([row], 9, (9, "e"))


def test_later_polls_keep_the_first_anchor():
    """The cursor has not moved, and neither has the value that belongs to it."""
    result = polled()
    result.apply_poll([], 0)
    assert result.anchor == [{"_id": "a"}]


@pytest.mark.parametrize("frame", [{"data": [{"_id": "c"}], "cursor": 9}, {"delta": ["whole"], "cursor": 9}])
def test_whole_value_after_a_poll_replaces_everything(frame):
    """The server did not resume."""
    result = polled()
    apply(result, "data" if "data" in frame else "delta", **frame)
    assert (result.base, result.anchor) == (frame.get("data") or frame["delta"], UNDEFINED)


def test_forgotten_position_takes_the_anchor_along():
    """What is asked for anew resumes from nowhere; the polled value stays on the screen."""
    result = polled()
    result.forget_position()
    assert (result.anchor, result.resume_position, len(result.shown)) == (UNDEFINED, None, 2)


def test_poll_of_what_had_no_value_gives_no_position():
    """There is nothing to resume from, and a failure before is over."""
    result = Result()
    result.fail(ServerError("no"))
    assert result.apply_poll(None, 0) is Change.VALUE
    assert (result.snapshot, result.resume_position) == (Snapshot(SnapshotStatus.LIVE, None), None)


def test_poll_over_a_gap_leaves_the_result_behind():
    """The value is a whole one, but deltas that follow are about another."""
    result = held([{"_id": "a"}])
    result.fail_behind(CodecError("no"))
    assert result.apply_poll([{"_id": "b"}], 0) is Change.VALUE
    assert (result.status, result.is_behind, result.resume_position) == (SnapshotStatus.LIVE, True, None)
    assert apply(result, "delta", delta=INSERT, cursor=6) is Change.NOTHING


@pytest.mark.parametrize("before", [SnapshotStatus.LIVE, SnapshotStatus.STALE])
def test_poll_of_an_equal_scalar_says_only_what_is_new(before):
    """That the value is live again, if it was not."""
    result = held("x")
    result.status = before
    assert result.apply_poll("x", 0) is (Change.NOTHING if before is SnapshotStatus.LIVE else Change.STATUS)


def test_poll_that_only_drops_a_layer_says_so():
    """The number stays the same, and is no longer optimistic."""
    result, layer = held(6), Layer(lambda n: 6, print)
    result.push(layer)
    result.confirm(layer, 9, 1)
    assert result.apply_poll(6, 0) is Change.NOTHING
    assert result.apply_poll(6, 1) is Change.STATUS
    assert result.snapshot.pending_layers == 0


# --- how a value was made of the one before


def delta(op="delete", key="a", **fields):
    return {"type": "delta", "delta": {"op": op, "key": key, "table": "t", **fields}}


def test_result_tells_how_a_row_change_made_what_is_shown():
    """It is told of the two values themselves."""
    result = Result()
    result.apply_value({"type": "data", "data": [{"_id": "a"}]}, tagged=False)
    assert result.merge is None
    before = result.shown
    result.apply_value(delta(), tagged=False)
    assert result.merge.before is before
    assert result.merge.after is result.shown
    assert result.merge.ops == (RowOp("delete", "a", UNDEFINED, {"_id": "a"}),)
    result.apply_value({"type": "data", "data": []}, tagged=False)
    assert result.merge is None


def test_result_tells_no_row_change_of_a_folded_value():
    """With a layer what is shown is the function's: before the change, after it, or both."""
    result = Result()
    result.apply_value({"type": "data", "data": [{"_id": "a"}, {"_id": "b"}]}, tagged=False)
    layer = Layer(lambda rows: [*rows, {"_id": "mine"}], print)
    result.push(layer)
    result.apply_value(delta(), tagged=False)
    assert result.merge is None
    layer.commit_cursor = 5
    frame = {**delta(key="b"), "cursor": 5}
    assert result.apply_value(frame, tagged=False) is Change.VALUE
    assert (result.shown, result.layers, result.merge) == ([], (), None)


def test_result_that_was_forgotten_tells_nothing():
    """The rows were somebody else's."""
    result = Result()
    result.apply_value({"type": "data", "data": [{"_id": "a"}]}, tagged=False)
    result.apply_value(delta(), tagged=False)
    result.forget()
    assert (result.merge, result._merger) == (None, None)


_ANY_DATA = st.sampled_from([[], [{"_id": "a"}], {}, {"n": 1}, 5, None, "text", True])
_ANY_FIELDS = st.fixed_dictionaries(
    {"type": st.just("data"), "id": st.just("sub_1")},
    optional={
        "data": _ANY_DATA,
        "delta": st.just({"op": "insert", "row": {"_id": "b"}}),
        "cursor": st.sampled_from([None, -1, 0, 5, 6, True, 1.5, "6"]),
        "epoch": st.sampled_from([None, "e", "f", 7, 1.5]),
        "lastMutationId": st.sampled_from([None, 3]),
        "more": st.just(1),
    },
)


def state_of(result: Result) -> list[Any]:
    """All that a result holds, but the error itself, which is another each time."""
    fields = {name: getattr(result, name) for name in Result.__slots__ if name not in ("_merger", "error")}
    return [*fields.items(), type(result.error)]


@given(st.lists(_ANY_FIELDS, max_size=6), st.booleans(), st.sampled_from([None, "stale", "behind", "failed", "polled"]))
def test_plain_frame_takes_the_short_way_to_the_same_result(frames: list[Any], has_layer: bool, before: str | None):
    """Whatever came before; a frame that is refused there has changed nothing."""
    short, long = held([{"_id": "a"}]), held([{"_id": "a"}])
    layer = Layer(lambda value: [*(value if isinstance(value, list) else []), {"_id": "ours"}], print)
    for result in (short, long):
        if has_layer:
            result.push(layer)
        if before == "stale":
            result.go_stale()
        elif before == "behind":
            result.fall_behind()
        elif before == "failed":
            result.fail(ServerError("no"))
        elif before == "polled":
            result.apply_poll([{"_id": "polled"}], 0)
    for frame in frames:
        unchanged = state_of(short)
        if short.take_plain(frame):
            assert long.apply_value(dict(frame), tagged=False) is Change.VALUE
        else:
            assert state_of(short) == unchanged
            assert short.apply_value(dict(frame), tagged=False) is long.apply_value(dict(frame), tagged=False)
        assert state_of(short) == state_of(long)
