"""What one shard's observers ask for."""

from __future__ import annotations

from math import inf

from lunora_rx.core.subscriptions import Subscription, Subscriptions
from lunora_rx.errors import ServerError
from tests.core.play import parsed


def registry(*, linger: float = 0.0) -> Subscriptions:
    """Return an empty registry whose ids count from 1."""
    ids = (f"sub_{number}" for number in range(1, 1000))
    return Subscriptions(lambda: next(ids), linger=linger)


def acquire(subject: Subscriptions, *keys: str) -> Subscription:
    for key in keys:
        subscription = subject.acquire(key, f"{key}:list", {})
    return subscription


def test_subscription_asked_for_twice_is_one():
    """It is over when both have given it up."""
    subject = registry()
    first, second = acquire(subject, "a"), acquire(subject, "a")
    assert first is second
    assert (len(subject), first.ref_count) == (1, 2)
    assert subject.release("a", 0.0) is None
    assert subject.release("a", 0.0) is first
    assert (len(subject), subject.find("sub_1"), subject.get("a")) == (0, None, None)


def test_subscriptions_come_in_the_order_of_asking():
    """One that was given up and asked for again is a new one, at the end."""
    subject = registry()
    acquire(subject, "a", "b", "c")
    subject.release("a", 0.0)
    acquire(subject, "a")
    assert [each.key for each in subject] == ["b", "c", "a"]
    assert [each.id for each in subject] == ["sub_2", "sub_3", "sub_4"]


def test_release_of_what_nobody_asks_for_is_silent():
    """Giving up twice has no effect."""
    subject = registry(linger=5.0)
    assert subject.release("a", 0.0) is None
    acquire(subject, "a")
    subject.release("a", 0.0)
    assert subject.release("a", 3.0) is None
    assert subject.deadline == 5.0


def test_subscription_that_lingers_outlives_its_last_observer():
    """It is there for who comes back in time, and its deadline is gone then."""
    subject = registry(linger=5.0)
    subscription = acquire(subject, "a")
    assert subject.release("a", 1.0) is None
    assert (subject.deadline, subject.take_outlived(5.9)) == (6.0, [])
    assert acquire(subject, "a") is subscription
    assert (subject.deadline, subscription.ref_count) == (inf, 1)
    subject.release("a", 10.0)
    assert subject.take_outlived(15.0) == [subscription]
    assert (len(subject), subject.deadline) == (0, inf)


def test_subscriptions_that_linger_end_one_by_one():
    """Each has its own deadline."""
    subject = registry(linger=5.0)
    acquire(subject, "a", "b", "c")
    for now, key in enumerate("bac"):
        subject.release(key, now)
    assert [each.key for each in subject.take_outlived(6.0)] == ["b", "a"]
    assert subject.deadline == 7.0
    assert [each.key for each in subject] == ["c"]


def test_clear_forgets_everything():
    """Those that linger too."""
    subject = registry(linger=5.0)
    acquire(subject, "a", "b")
    subject.release("a", 0.0)
    subject.clear()
    assert (len(subject), subject.deadline, subject.find("sub_2")) == (0, inf, None)


def test_frame_asks_for_the_whole_value_without_a_position():
    """Optional keys without a value are absent; the table is the function."""
    subscription = registry().acquire("a", "messages:list", {"n": 1})
    assert parsed(subscription.encode_subscribe()) == {
        "type": "subscribe",
        "id": "sub_1",
        "query": {"functionPath": "messages:list", "args": {"n": 1}, "table": "messages:list"},
    }
    assert parsed(subscription.encode_unsubscribe()) == {"type": "unsubscribe", "id": "sub_1"}


def test_frame_names_the_position_only_with_cursor_and_value():
    """A cursor without a value would be answered by a bare resume; the epoch goes along if known."""
    subscription = acquire(registry(), "a")
    result = subscription.result
    for frame, expected in [
        ({"type": "data", "data": [], "cursor": None}, {}),
        ({"type": "data", "data": [], "cursor": 4}, {"sinceSeq": 4}),
        ({"type": "data", "data": [], "cursor": 5, "epoch": "e"}, {"sinceSeq": 5, "sinceEpoch": "e"}),
    ]:
        result.apply_value(frame, tagged=False)
        query = parsed(subscription.encode_subscribe())["query"]
        assert {name: value for name, value in query.items() if name.startswith("since")} == expected


def test_socket_that_is_gone_is_forgotten():
    """What the server acknowledged there counts no more; that it was ever told does."""
    subscription = acquire(registry(), "a")
    subscription.is_acked = subscription.asked_cold = subscription.was_sent = True
    subscription.forget_socket()
    assert (subscription.is_acked, subscription.asked_cold, subscription.was_sent) == (False, False, True)


def test_description_holds_no_value():
    """It goes into bug reports."""
    subscription = acquire(registry(), "a")
    subscription.result.apply_value({"type": "data", "data": ["secret"], "cursor": 4}, tagged=False)
    assert subscription.describe() == {
        "id": "sub_1",
        "status": "live",
        "error": None,
        "cursor": 4,
        "acked": False,
        "behind": False,
    }
    subscription.result.fail(ServerError("no", code="FORBIDDEN"))
    assert subscription.describe()["error"] == "FORBIDDEN: no"
