"""Layers over a base."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.core.optimistic import Layer, fold, without_acknowledged, without_reached
from lunora_rx.core.results import Change, Result

ADD_C = lambda rows: [*rows, "c"]  # noqa: E731 - a layer's transform, as a caller writes it


def layer(transform=ADD_C, report=None, cursor=None):
    made = Layer(transform, report or pytest.fail)
    made.commit_cursor = cursor
    return made


def live(base, cursor=None):
    result = Result()
    frame(result, base, cursor)
    return result


def frame(result, base, cursor=None):
    content = {"type": "data", "id": "sub_1", "data": base} | ({} if cursor is None else {"cursor": cursor})
    return result.apply_value(content, tagged=False)


def test_fold_of_layers_applies_them_in_order():
    """Each layer works on what the one below shows."""
    assert fold(1, [layer(lambda n: n + 1), layer(lambda n: n * 10)]) == 20


def test_fold_over_a_layer_that_raises_skips_and_reports_it():
    """The others are applied; the reason goes to whoever made the layer."""
    reported = []
    broken = layer(lambda rows: rows.nothing, reported.append)
    assert fold(["a"], [broken, layer()]) == ["a", "c"]
    assert [type(error) for error in reported] == [AttributeError]


def test_scalar_confirmed_by_an_equal_base_drops_its_layer_and_says_so():
    """The number shown stays the same object, and its snapshot is no longer optimistic."""
    result, bump = live(1000, 1), layer(lambda n: max(n, 1001))
    result.push(bump)
    shown = result.shown
    assert result.confirm(bump, 5) is Change.NOTHING
    assert frame(result, 1000 + 1, 5) is Change.STATUS
    assert (result.layers, result.shown) == ((), 1001)
    assert result.shown is shown


def test_scalar_rolled_back_to_an_equal_one_stays_the_same_object():
    """Who has seen a number is not told of it again."""
    result, nothing_new = live(1000, 1), layer(lambda n: int(str(n)))
    shown = result.shown
    result.push(nothing_new)
    assert result.shown is shown
    result.roll_back([nothing_new])
    assert result.shown is shown


@given(cursors=st.lists(st.none() | st.integers(0, 9)), reached=st.none() | st.integers(0, 9))
def test_layers_without_those_reached_keep_order_and_the_unconfirmed(cursors, reached):
    """A layer goes exactly when its cursor is known and the base has reached it."""
    layers = tuple(layer(cursor=cursor) for cursor in cursors)
    kept = without_reached(layers, reached)
    expected = [each for each in layers if None in (each.commit_cursor, reached) or each.commit_cursor > reached]
    assert list(kept) == expected


def test_layer_over_a_base_survives_frames_until_its_cursor_is_reached():
    """The protocol's example: confirmed at 9, kept by a frame at 7, dropped by one at 9 without a flicker."""
    result, pending = live(["a"]), layer()
    result.push(pending)
    assert (result.shown, result.snapshot.pending_layers) == (["a", "c"], 1)
    frame(result, ["a", "b"], 5)
    assert (result.shown, result.snapshot.is_optimistic) == (["a", "b", "c"], True)
    assert result.confirm(pending, 9) is Change.NOTHING
    frame(result, ["a", "b"], 7)
    assert result.shown == ["a", "b", "c"]
    frame(result, ["a", "b", "c"], 9)
    assert (result.shown, result.layers) == (["a", "b", "c"], ())


def test_confirm_at_a_cursor_that_was_passed_drops_at_once():
    """The frame came before the reply."""
    result, pending = live(["a", "c"], 9), layer(lambda rows: rows if "c" in rows else [*rows, "c"])
    result.push(pending)
    assert result.confirm(pending, 9) is Change.STATUS
    assert (result.shown, result.layers) == (["a", "c"], ())


def test_confirm_without_a_cursor_keeps_the_value_until_the_next_frame():
    """A server without a change log: the layer goes, and what it showed stays for now."""
    result, pending = live(["a"]), layer()
    result.push(pending)
    result.confirm(pending, None)
    assert (result.shown, result.layers) == (["a", "c"], ())
    frame(result, ["a"])
    assert result.shown == ["a"]


@pytest.mark.parametrize("kind", ["resume", "settled"])
def test_position_frame_sweeps_the_layers_it_has_reached(kind):
    """A write that left the value as it is still takes its layer away."""
    result, pending = live(["a"], 3), layer()
    result.push(pending)
    result.confirm(pending, 4)
    assert result.apply_position({"type": kind, "id": "sub_1", "cursor": 4}) is Change.STATUS
    assert (result.shown, result.layers) == (["a"], ())


def test_roll_back_of_several_layers_is_one_step():
    """What is left is folded anew over the base."""
    result, first, second = live([]), layer(), layer(lambda rows: [*rows, "d"])
    other = layer(lambda rows: [*rows, "e"])
    for each in (first, other, second):
        result.push(each)
    result.roll_back([first, second])
    assert result.shown == ["e"]


def test_confirm_of_a_layer_that_is_gone_changes_nothing():
    """A verdict may come after the frame that dropped the layer."""
    assert live(["a"]).confirm(layer(), 3) is Change.NOTHING


def test_push_of_a_transform_that_raises_registers_nothing():
    """The caller hears of it, and the value stays."""
    result = live(["a"])
    with pytest.raises(AttributeError):
        result.push(layer(lambda rows: rows.nothing))
    assert (result.shown, result.layers) == (["a"], ())


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["push", "confirm", "roll back", "frame"]), st.integers(0, 5), st.integers(1, 9))
    )
)
def test_shown_value_after_any_steps_is_the_fold_of_the_layers_left(steps):
    """Whatever happens with known cursors, base and layers determine what is shown."""
    result, cursor, pushed = live([], 0), 0, []
    for step, which, number in steps:
        target = pushed[which % len(pushed)] if pushed else None
        if step == "push":
            pushed.append(layer(lambda rows, number=number: [*rows, number]))
            result.push(pushed[-1])
        elif step == "frame":
            cursor += number
            frame(result, [f"base {cursor}"], cursor)
        elif target is not None and step == "confirm":
            result.confirm(target, number)
        elif target is not None:
            result.roll_back([target])
        assert result.shown == fold(result.base, result.layers)
        assert all(each.commit_cursor is None or each.commit_cursor > cursor for each in result.layers)


def test_layers_without_the_acknowledged_keep_what_came_after_the_count():
    """A poll that began at this count holds those at it and before; what has no mark has no verdict."""
    made = [layer() for _ in range(4)]
    for each, mark in zip(made, (None, 1, 2, 3), strict=True):
        each.ack_mark = mark
    assert without_acknowledged(tuple(made), 2) == (made[0], made[3])
    assert without_acknowledged((), 2) == ()


def test_layer_that_a_position_confirms_bears_the_mark_of_its_acknowledgement():
    """A poll drops it although no frame has reached the position."""
    result, added = live(["a"], 1), layer()
    result.push(added)
    assert result.confirm(added, 9, 4) is Change.NOTHING
    assert result.apply_poll(["a"], 3) is Change.VALUE
    assert (result.shown, result.layers) == (["a", "c"], (added,))
    assert result.apply_poll(["a", "c"], 4) is Change.VALUE
    assert (result.shown, result.layers) == (["a", "c"], ())


@given(
    base=st.lists(st.integers(), max_size=3),
    marks=st.lists(st.one_of(st.none(), st.integers(1, 6)), max_size=6),
    polls=st.lists(st.integers(0, 6), max_size=5),
)
def test_polls_show_their_value_under_exactly_the_layers_that_they_do_not_hold(base, marks, polls):
    """Whatever came before, none is lost and none is left."""
    result = live([])
    for number, mark in enumerate(marks):
        each = layer(lambda rows, number=number: [*rows, number])
        each.ack_mark = mark
        each.commit_cursor = None if mark is None else 10
        result.push(each)
    for acknowledged in polls:
        result.apply_poll(list(base), acknowledged)
    held = max(polls, default=0)
    left = [number for number, mark in enumerate(marks) if mark is None or mark > held]
    assert len(result.layers) == len(left)
    assert result.shown == [*(base if polls else []), *left]
