"""Numbers that sort rows known by their keys into the order of their list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lunora_rx.adapters.jupyter.order import Order


def sorted_by(order, keys):
    return sorted(keys, key=order.__getitem__)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True), max_size=12))
def test_numbers_sort_keys_into_each_list_that_came(lists):
    """And whoever keeps the old numbers but for those that are told is right, too."""
    order, kept = Order(), {}
    for keys in lists:
        moved = order.follow(keys)
        kept = {key: order[key] if key in moved or key not in kept else kept[key] for key in keys}
        assert sorted_by(order, reversed(keys)) == keys
        assert kept == {key: order[key] for key in keys}


def test_keys_that_come_leave_the_others_their_numbers():
    """In front, between and behind."""
    order = Order()
    order.follow(["b", "d"])
    for keys in (["a", "b", "d"], ["a", "b", "c", "d"], ["a", "b", "c", "d", "e"], ["b", "c", "e"]):
        assert order.follow(keys) == []
        assert sorted_by(order, keys) == keys


def test_a_move_changes_the_numbers_of_those_it_passes_alone():
    """Nine rows of ten thousand, not all."""
    keys = [str(place) for place in range(10_000)]
    order = Order()
    order.follow(keys)
    keys.insert(100, keys.pop(108))
    assert set(order.follow(keys)) == {str(place) for place in range(100, 109)}


def test_gap_that_is_used_up_has_all_numbered_anew():
    """A thousand rows that each come first after another: no two numbers are ever the same."""
    order, keys = Order(), ["first", "last"]
    for number in range(1_000):
        order.follow(keys)
        keys = [keys[0], str(number), *keys[1:]]
        assert sorted_by(order, keys[:1] + keys[2:]) == keys[:1] + keys[2:]
