"""Preloaded values in live queries: shown until something else is there, and as nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from lunora_rx.core.optimistic import Layer
from lunora_rx.core.preloads import Preload, Preloads
from lunora_rx.core.records import CachedRead
from lunora_rx.core.snapshot import Snapshot, SnapshotStatus
from lunora_rx.core.subscriptions import Subscription
from lunora_rx.protocol.keys import subscription_key
from lunora_rx.protocol.values import UNDEFINED
from tests.core.played_writes import PlayedWrites

NOTES = subscription_key("notes:list", {}, "")
PRELOADED = Snapshot(SnapshotStatus.STALE, ["preloaded"])


class Page:
    """A client whose notes were preloaded, with the preload beside it."""

    def __init__(self, value: Any = None, **options: Any) -> None:
        self.played = PlayedWrites(**options)
        self.core = self.played.core
        self.preloads = Preloads(lambda: self.core.account.identity_epoch == 0)
        self.preload = self.new(["preloaded"] if value is None else value)

    def new(self, value: Any) -> Preload:
        """A preload of the notes."""
        return Preload(NOTES, value)

    @property
    def subscription(self) -> Subscription:
        """The live query of the notes."""
        subscription = self.core.find(NOTES, "")
        assert subscription is not None
        return subscription

    def watch(self) -> Snapshot[Any]:
        """Subscribe to the notes with the preload on offer; return what is known of them."""
        self.preloads.offer(self.preload)
        self.core.subscribe(NOTES, "notes:list", {}, "", self.played.now)
        self.preloads.seed(self.subscription)
        return self.subscription.result.snapshot

    def leave(self) -> None:
        """Give the notes up."""
        self.core.unsubscribe(NOTES, "", self.played.now)


@pytest.fixture
def page() -> Page:
    """A client that nobody signed in to."""
    return Page()


def test_preload_is_shown_as_stale_without_a_position(page):
    """At once; the whole value is asked for, as if nothing were there."""
    assert page.watch() == PRELOADED
    page.played.open()
    (frame,) = [each for each in page.played.frames() if each["type"] == "subscribe"]
    assert "sinceSeq" not in frame["query"]


def test_preload_gives_way_to_what_the_server_sends(page):
    """The live value is shown, with its position, and is live."""
    page.watch()
    page.played.open()
    page.played.data(NOTES, ["live"], 3)
    result = page.subscription.result
    assert (result.snapshot, result.resume_position) == (
        Snapshot(SnapshotStatus.LIVE, ["live"], None, 3),
        (3, None),
    )


def test_preload_comes_too_late_for_what_the_server_gave(page):
    """Live always wins, and the preload is spent."""
    page.played.watch("notes", value=["live"])
    assert page.watch().value == ["live"]
    assert page.preloads.look(page.preload) is UNDEFINED


def test_preload_comes_too_late_for_a_query_that_failed(page):
    """A refusal is an answer, too: it stays in sight."""
    page.played.watch("notes")
    page.played.hear("error", id="sub_1", message="no")
    assert page.watch().status is SnapshotStatus.FAILED


def test_preload_comes_too_late_for_what_the_read_cache_shows():
    """That has a position to resume from, which a socket may have been told already."""
    page = Page(is_durable=True, queues_before_first_connect=True)
    page.core.hydrate((), 0.0)
    page.played.load(CachedRead(NOTES, ["cached"], None, cursor=7, epoch="e"))
    assert page.watch() == Snapshot(SnapshotStatus.STALE, ["cached"], None, 7)
    assert page.subscription.result.resume_position == (7, "e")


def test_preload_is_shown_in_a_query_that_waits_for_its_first_value(page):
    """Whoever watches the query already sees it as well."""
    page.played.watch("notes")
    assert page.watch() == PRELOADED


def test_preload_lies_under_pending_changes_of_ours(page):
    """What we pretend is folded over it."""
    page.played.watch("notes")
    page.subscription.result.layers = (
        Layer(lambda value: [*([] if value is UNDEFINED else value), "mine"], pytest.fail),
    )
    assert page.watch() == Snapshot(SnapshotStatus.STALE, ["preloaded", "mine"], None, None, 1)


def test_preload_that_was_not_superseded_is_shown_again(page):
    """Whoever left before there was an answer sees it again."""
    page.watch()
    page.leave()
    assert page.preloads.look(page.preload) == ["preloaded"]
    assert page.watch() == PRELOADED


def test_preload_that_was_superseded_is_never_shown_again(page):
    """A newer value was on the screen: an older one must not come back."""
    page.watch()
    page.played.open()
    page.played.data(NOTES, ["live"], 3)
    page.leave()
    assert page.preloads.look(page.preload) is UNDEFINED
    assert page.watch() == Snapshot()
    assert page.preload.value is UNDEFINED


def test_preload_is_taken_off_the_screen_by_another_identity(page):
    """It is somebody else's, in this subscription and in any later one."""
    page.played.sign_in("one", "ana")
    assert page.watch() == PRELOADED
    page.played.sign_in("two", "bo")
    assert page.subscription.result.snapshot == Snapshot()
    page.leave()
    assert page.watch() == Snapshot()


@pytest.mark.parametrize("is_replaced", [False, True])
def test_preload_is_usable_until_somebody_replaces_somebody(page, is_replaced):
    """Signing in from signed out replaces nobody; a second user does."""
    page.played.sign_in("one", "ana")
    if is_replaced:
        page.played.sign_in("two", "bo")
    assert page.preloads.look(page.preload) == (UNDEFINED if is_replaced else ["preloaded"])
    assert page.watch() == (Snapshot() if is_replaced else PRELOADED)


def test_preload_of_no_value_shows_nothing():
    """A query that returned nothing has nothing to show first."""
    page = Page(UNDEFINED)
    assert page.watch() == Snapshot()


def test_preload_of_null_is_a_value(page):
    """As everywhere."""
    page.preload = page.new(None)
    assert page.watch() == Snapshot(SnapshotStatus.STALE, None)


def test_preload_is_offered_to_its_own_query_only(page):
    """Another query of the same client shows nothing."""
    page.preloads.offer(page.preload)
    page.core.subscribe("other", "other:list", {}, "", 0.0)
    other = page.core.find("other", "")
    assert page.preloads.seed(other) is False
    assert other.result.snapshot == Snapshot()
