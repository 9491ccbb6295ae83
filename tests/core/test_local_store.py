"""What an optimistic update sees and patches."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest

from lunora_rx.core.local_store import LocalQuery, LocalStore
from lunora_rx.core.subscriptions import Subscriptions
from lunora_rx.protocol.encode import encode_wire
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.protocol.values import UNDEFINED


def watched(*queries, shard=""):
    """Return subscriptions to ``(function, args, value)``; a value of ``UNDEFINED`` has not come yet."""
    numbers = count(1)
    subscriptions = Subscriptions(lambda: f"sub_{next(numbers)}")
    for function, args, value in queries:
        tree = {} if args is None else encode_wire(args)
        made = subscriptions.acquire(subscription_key(function, args, shard), function, tree)
        if value is not UNDEFINED:
            made.result.apply_value({"type": "data", "id": made.id, "data": value}, tagged=False)
    return subscriptions


def store_of(subscriptions, shard="", path_of=str):
    return LocalStore(shard, subscriptions, path_of, pytest.fail)


def test_get_of_a_query_returns_what_it_shows():
    """By function and arguments; ``UNDEFINED`` for one that is not watched or has no value."""
    store = store_of(
        watched(("notes:list", {"n": 1}, ["a"]), ("notes:list", None, ["b"]), ("tags:list", {}, UNDEFINED))
    )
    assert store.get_query("notes:list", {"n": 1}) == ["a"]
    assert store.get_query("notes:list") == store.get_query("notes:list", {}) == ["b"]
    assert store.get_query("notes:list", {"n": 2}) is UNDEFINED
    assert store.get_query("tags:list") is UNDEFINED


def test_get_after_a_set_returns_what_was_set():
    """An update sees its own patches."""
    store = store_of(watched(("notes:list", None, ["a"])))
    store.set_query("notes:list", None, ["b"])
    assert store.get_query("notes:list") == ["b"]
    assert [subscription.function_path for subscription, _ in store.pushed] == ["notes:list"]


def test_set_of_a_query_masks_what_the_server_says_until_it_is_dropped():
    """The layer is a constant."""
    subscriptions = watched(("notes:list", None, ["a"]))
    store_of(subscriptions).set_query("notes:list", None, ["b"])
    (subscription,) = subscriptions
    subscription.result.apply_value({"type": "data", "id": subscription.id, "data": ["a", "c"]}, tagged=False)
    assert (subscription.result.base, subscription.result.shown) == (["a", "c"], ["b"])


def test_set_of_a_query_that_is_not_watched_does_nothing():
    """Nor does a patch of its key."""
    store = store_of(watched(("notes:list", None, ["a"])))
    store.set_query("notes:list", {"n": 1}, ["b"])
    store.patch("nobody's", pytest.fail)
    assert store.pushed == []


def test_all_queries_of_a_function_come_with_decoded_arguments():
    """In the order of asking; other functions are left out."""
    when = datetime(2026, 1, 2, tzinfo=UTC)
    store = store_of(watched(("a:l", {"at": when}, [1]), ("b:l", None, [2]), ("a:l", None, UNDEFINED)))
    assert store.all_queries("a:l") == [LocalQuery({"at": when}, [1]), LocalQuery({}, UNDEFINED)]


def test_function_is_whatever_names_one():
    """The client decides what that is."""
    store = store_of(watched(("a:l", None, [1])), path_of=lambda function: f"{function}:l")
    assert store.get_query("a") == store.all_queries("a")[0].value == [1]


def test_store_is_scoped_to_its_shard():
    """The same function and arguments elsewhere are another query."""
    store = store_of(watched(("a:l", None, [1]), shard="room"), "room")
    assert store.get_query("a:l") == [1]
    assert store_of(watched(("a:l", None, [1]), shard="room")).get_query("a:l") is UNDEFINED


def test_container_that_a_store_shows_may_be_changed():
    """It is a copy: whoever appends to it and never sets it has changed nothing, and nothing needs a rollback."""
    rows, page = [{"_id": "a"}], {"page": [{"_id": "a"}], "isDone": True}
    store = store_of(watched(("a:rows", None, rows), ("a:page", None, page)))
    store.get_query("a:rows").append({"_id": "b"})
    store.get_query("a:page")["page"].clear()
    store.all_queries("a:rows")[0].value.clear()
    assert (rows, page) == ([{"_id": "a"}], {"page": [{"_id": "a"}], "isDone": True})
    assert store.get_query("a:rows")[0] is rows[0]
